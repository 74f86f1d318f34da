"""From FreiHAND's files to a run's tables: a mesh model of random weights, its joints in mm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

pytest.importorskip("mmpose", reason="mmpose cannot be imported")

from hand_files import write_freihand
from mmengine.config import Config

from poseig_mm import Session
from poseig_mm.store import Store

CONFIGS = Path(__file__).parents[3] / "configs" / "hand_models"
ALPHA = 0.02  # per mm


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[np.ndarray]]:
    """MobRecon, with the synthetic hand in the place of MANO's, on two evaluation pictures; its store and the truth."""
    if not CONFIGS.is_dir():
        pytest.skip(f"no configs at {CONFIGS}")
    folder = tmp_path_factory.mktemp("hands")
    (folder / "freihand_v2").mkdir()
    truth = write_freihand(folder / "freihand_v2")["evaluation"]
    cfg = Config.fromfile(CONFIGS / "mobrecon_freihand-128x128.py")
    changes: dict[str, Any] = {
        "test_dataloader.dataset.data_root": str(folder / "freihand_v2"),
        "model.backbone.topology": "synthetic",
        "model.head.topology": "synthetic",
        "model.head.regressor": "synthetic",
        "diagnosis": {
            "attribution": {
                **{"quadrature": "midpoint", "nodes": 4, "compute": "exact"},
                "likelihood_settings": {"alpha": ALPHA},
            },
            "report": {"enabled": False},
            "indices": ["di", "fi", "li", "ri", "pa_epe"],
        },
    }
    cfg.merge_from_dict(changes)
    return Session(cfg, work_dir=folder / "run").run(), truth


def test_errors_are_in_mm_from_the_wrist(run: tuple[Store, list[np.ndarray]]) -> None:
    """The truth is FreiHAND's xyz in mm less the wrist; EPE is its distance; PA-EPE is smaller in the mean."""
    store, truth = run
    joints = store.joints()
    assert set(joints["unit"]) == {"mm"}
    assert len(joints) == 2 * 21
    for sample, (xyz,) in zip(store.sample_ids, zip(truth, strict=True), strict=True):
        rows = joints.filter(pl.col("sample_id") == sample).sort("joint")
        np.testing.assert_allclose(rows.select("gt_x", "gt_y", "gt_z"), 1000 * (xyz - xyz[0]), atol=0.01)
        moved = rows.select("pred_x", "pred_y", "pred_z").to_numpy() - rows.select("gt_x", "gt_y", "gt_z").to_numpy()
        np.testing.assert_allclose(np.linalg.norm(moved, axis=1), rows["epe"], rtol=1e-4, atol=1e-4)
        target = np.exp(-ALPHA * rows["epe_soft"].to_numpy())[1:]
        np.testing.assert_allclose(rows["target_end"].to_numpy()[1:], target, rtol=1e-3)
    assert joints["pa_epe"].drop_nans().mean() < joints.filter(pl.col("joint") > 0)["epe"].mean()


def test_every_joint_but_the_wrist_has_a_map_and_indices(run: tuple[Store, list[np.ndarray]]) -> None:
    """With the hand's own mask; joints appear where FreiHAND's K projects them."""
    store, _ = run
    joints = store.joints()
    fingers = joints.filter(pl.col("joint") > 0)
    assert fingers.select(pl.col("di", "fi", "li", "residual", "target_start").is_finite().all()).row(0) == (True,) * 5
    assert set(store.samples()["mask_source"]) == {"instance"}
    wrist = joints.filter(pl.col("joint") == 0)
    assert wrist["epe"].max() == 0
    assert wrist["di"].is_nan().all()
    assert not wrist["reason"].str.len_chars().eq(0).any()
    assert fingers.filter(pl.col("place_x").is_between(0, 127) & pl.col("place_y").is_between(0, 127)).height == 40
