"""Rows of one sample: their columns are the store's, and what is not known is NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from poseig_mm.errors import StoreError  # noqa: E402
from poseig_mm.indices import Index  # noqa: E402
from poseig_mm.run.rows import box_side, error_columns, index_columns, sample_record  # noqa: E402
from poseig_mm.store.schema import SAMPLES_SCHEMA, SampleRecord, joints_schema, relations_schema  # noqa: E402
from poseig_mm.testing import GROUPS  # noqa: E402
from poseig_mm.types import Attribution, Finding, Sample  # noqa: E402

COLUMNS = (
    "sample_id,image_id,instance_id,joint,joint_name,group,visible,gt_x,gt_y,pred_x,pred_y,epe,epe_soft,unit,di,fi,li,"
    "reason,target_start,target_end,residual,residual_rel,map_error,converged,evaluations,"
    "mass_in_padding,fi_input"
)
TRUTH = [[1.0, 2.0], [3.0, 4.0], [math.nan, math.nan]]


def person(**given: Any) -> Sample:
    """Three joints, the last one not annotated, in an input of 5 x 4 px."""
    known: dict[str, Any] = {
        "sample_id": "7-8",
        "image_id": "7",
        "instance_id": "8",
        "image_path": "a.png",
        "image": torch.zeros(3, 4, 5),
        "display": np.zeros((4, 5, 3), np.uint8),
        "keypoints": torch.tensor(TRUTH),
        "visible": torch.tensor([True, True, False]),
        "mask": None,
        "mask_source": "none",
        "inverse_warp": np.array([[2.0, 0, 10], [0, 3, 20]]),
    }
    return Sample(**{**known, **given})


def record(
    dimensions: int = 2,
    errors: Sequence[str] = (),
    index_errors: Mapping[str, torch.Tensor] = MappingProxyType({}),
    **indices: torch.Tensor,
) -> SampleRecord:
    """Three joints, the last one not annotated; each prediction is 3 and 4 px off."""
    pad = torch.zeros(3, dimensions - 2)
    sample = replace(person(), keypoints=torch.cat([torch.tensor(TRUTH), pad], 1))
    number = torch.arange(3.0)
    attribution = Attribution(
        maps=torch.ones(3, 4, 5),
        residual=number,
        residual_rel=number,
        target_start=number,
        target_end=number,
        map_error=number,
        converged=torch.tensor([True, False, False]),
        evaluations=torch.tensor([3, 4, 0]),
        reasons=("", "", "not_visible"),
    )
    prediction = sample.keypoints.nan_to_num() + torch.cat([torch.tensor([3.0, 4.0]), pad[0]])
    attribution = replace(attribution, soft_coords=prediction - torch.cat([torch.tensor([3.0, 0.0]), pad[0]]))
    finding = Finding(
        sample=sample,
        attribution=attribution,
        prediction=prediction,
        reference=sample.keypoints,
        indices=indices,
        reasons=("", "no_mask", "not_visible"),
        seconds=0.5,
        index_errors=index_errors,
    )
    return sample_record(finding, GROUPS, "px", errors)


def test_columns_are_those_of_the_architecture() -> None:
    """Names and order that others rely on; a plugin's index stands after `li`."""
    assert ",".join(joints_schema(2, index_columns([], "joint"))) == COLUMNS
    found = record(di=torch.ones(3), mine=torch.ones(3))
    assert set(found.joints[0]) == set(joints_schema(2, ["di", "fi", "li", "mine"]))
    assert set(found.sample) | {"maps_file"} == set(SAMPLES_SCHEMA)


def test_errors_are_distances_to_the_truth() -> None:
    """`epe` of the model's own decoding, `epe_soft` of the differentiable one, their mean over visible joints."""
    found = record()
    assert [row["epe"] for row in found.joints[:2]] == [5.0, 5.0]
    assert [row["epe_soft"] for row in found.joints[:2]] == [4.0, 4.0]
    assert math.isnan(found.joints[2]["epe"])
    assert math.isnan(found.joints[2]["gt_x"])
    assert found.joints[2]["pred_x"] == 3.0
    assert (found.sample["mepe"], found.sample["n_visible"], found.sample["evaluations"]) == (5.0, 2, 7)
    assert [found.sample[f"warp_{i}"] for i in ("00", "02", "11", "12")] == [2.0, 10.0, 3.0, 20.0]


def test_three_dimensions_have_a_z() -> None:
    """gt_z and pred_z, in their place."""
    assert set(record(3, di=torch.ones(3)).joints[0]) == set(joints_schema(3, ["di", "fi", "li"]))


def test_an_index_that_was_not_asked_for_is_nan() -> None:
    """Its column is there nevertheless."""
    row = record(fi=torch.full((3,), 2.0)).joints[0]
    assert math.isnan(row["di"])
    assert row["fi"] == 2.0


def test_relations_of_visible_joints() -> None:
    """One row a visible joint and other joint; with a plugin's relation alone `ri` is NaN."""
    values = torch.arange(9.0).reshape(3, 3)
    rows = record(mine=values).relations
    assert [(r["joint"], r["other"], r["mine"]) for r in rows] == [
        (a, b, 3.0 * a + b) for a in (0, 1) for b in range(3)
    ]
    assert set(rows[0]) == set(relations_schema(["ri", "mine"]))
    assert all(math.isnan(r["ri"]) for r in rows)
    assert [r["ri"] for r in record(ri=values).relations] == [0, 1, 2, 3, 4, 5]
    assert record(di=torch.ones(3)).relations == []


def test_errors_are_columns_of_their_own_and_unknown_where_nobody_gave_them() -> None:
    """`sample_record` writes the columns that the store has; an index's error is that of its half-rules."""
    names = error_columns([])
    assert names == ["map_error_2px", "di_error", "fi_error", "li_error"]
    plain, stated = (record(errors=names if wanted else (), di=torch.ones(3)) for wanted in (False, True))
    assert set(stated.joints[0]) - set(plain.joints[0]) == set(names)
    assert set(stated.joints[0]) == set(joints_schema(2, ["di", "fi", "li"], errors=names))
    assert all(math.isnan(row[name]) for row in stated.joints for name in names)
    stated = record(errors=names, index_errors={"di_error": torch.tensor([0.25, 0.5, math.nan])}, di=torch.ones(3))
    assert [row["di_error"] for row in stated.joints[:2]] == [0.25, 0.5]
    assert math.isnan(stated.joints[0]["fi_error"])


def test_an_index_cannot_be_called_as_an_error_of_another() -> None:
    """`fi_error` is FI's; a plugin's index with an error of its own brings a column."""

    class Mine(Index):
        name, title, has_error = "mine", "Mine", True

    assert error_columns([Mine()])[-1] == "mine_error"
    Mine.has_error = False
    assert "mine_error" not in error_columns([Mine()])
    with pytest.raises(StoreError, match="index 'di_error' has the name of another column"):
        joints_schema(2, ["di", "di_error"], errors=["di_error"])


def test_the_boxs_longer_side_in_the_input() -> None:
    """60 x 80 px of an image that is halved and turned: 40 px, however it is turned; NaN without a box."""
    for angle in (0.0, 0.3, math.pi / 2):
        turn = 2 * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        given = person(inverse_warp=np.column_stack([turn, [7.0, 9.0]]), extra={"bbox": [10.0, 20.0, 70.0, 100.0]})
        assert box_side(given) == pytest.approx(40)
    stretched = np.array([[2.0, 0, 10], [0, 4, 20]])
    assert box_side(person(inverse_warp=stretched, extra={"bbox": [0.0, 0.0, 60.0, 80.0]})) == pytest.approx(30)
    assert math.isnan(box_side(person()))
    assert math.isnan(box_side(person(extra={"bbox": [10.0, 20.0, 10.0, 20.0]})))
    assert math.isnan(record().sample["box_side"])
