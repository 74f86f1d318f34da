"""PCK from a store's tables, as MMPose decides it."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from poseig_mm.summary.pck import with_pck


def tables(rng: np.random.Generator, persons: int = 20, joints: int = 5) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Persons of many sizes with errors about as large as the limit."""
    side = rng.uniform(40, 200, persons)
    truth = rng.uniform(0, 100, (persons, joints, 2))
    predicted = truth + rng.normal(0, 0.05, (persons, joints, 2)) * side[:, None, None]
    ids = [f"p{i}" for i in range(persons)]
    rows = {"sample_id": np.repeat(ids, joints), "joint": np.tile(range(joints), persons), "unit": "px"}
    rows |= {f"gt_{a}": truth[..., i].ravel() for i, a in enumerate("xy")}
    rows |= {f"pred_{a}": predicted[..., i].ravel() for i, a in enumerate("xy")}
    return pl.DataFrame({**rows, "visible": rng.random(persons * joints) < 0.8}), pl.DataFrame(
        {"sample_id": ids, "box_side": side}
    )


@pytest.mark.parametrize("threshold", [0.05, 0.1])
def test_it_is_mmposes(mmpose_ready: None, threshold: float) -> None:
    """The mean over joints of each joint's mean is that of its function, on the same numbers."""
    from mmpose.evaluation.functional import keypoint_pck_accuracy

    joints, samples = tables(np.random.default_rng(0))
    found = with_pck(joints, samples, threshold)
    assert found.drop("pck").equals(joints)
    means = [found.filter(joint=k, visible=True)["pck"].mean() for k in range(5)]
    shape = (len(samples), 5)
    truth, predicted = (
        np.stack([joints[f"{of}_{a}"].to_numpy().reshape(shape) for a in "xy"], -1) for of in ("gt", "pred")
    )
    size = np.repeat(samples["box_side"].to_numpy()[:, None], 2, 1)
    mask = joints["visible"].to_numpy().reshape(shape)
    each, mean, _ = keypoint_pck_accuracy(predicted, truth, mask, threshold, size)
    assert means == pytest.approx(list(each))
    assert np.mean(means) == pytest.approx(mean)
    assert 0.2 < mean < 0.95
    assert found.filter(visible=False)["pck"].is_nan().all()


def test_what_is_not_known_is_nan() -> None:
    """No box, no prediction, a person without a row, joints in space."""
    joints = pl.DataFrame(
        {
            "sample_id": ["a", "b", "c", "a"], "visible": True, "unit": "px", "gt_x": 0.0, "gt_y": 0.0, "pred_y": 0.0,
            "pred_x": [0.0, 0.0, 0.0, math.nan],
        }
    )  # fmt: skip
    samples = pl.DataFrame({"sample_id": ["a", "b"], "box_side": [10.0, math.nan]})
    found = with_pck(joints, samples)["pck"].to_list()
    assert found[0] == 1.0
    assert all(math.isnan(value) for value in found[1:])
    assert with_pck(joints.with_columns(unit=pl.lit("mm")), samples)["pck"].is_nan().all()
    assert with_pck(joints.with_columns(gt_z=0.0), samples)["pck"].is_nan().all()
