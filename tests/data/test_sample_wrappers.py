"""Data sets inside wrappers, joint groups from plugins, masks of everybody."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_coordinates import (
    FLIP,
    JOINTS,
    PLAIN,
    config,
    dataset,
    person,
    preprocessor,
    source,
    square,
    to_original,
    write,
)

from poseig_mm.errors import ConfigError
from poseig_mm.types import JointGroups

pytestmark = pytest.mark.usefixtures("mmpose_ready")
METAINFO = {"from_file": "configs/_base_/datasets/coco.py"}


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two data sets of two persons each."""
    made = []
    for i in range(2):
        (tmp_path / str(i)).mkdir()
        made.append(write(tmp_path / str(i), [person(10 * i + 1), person(10 * i + 2)]))
    return made


def same(a: Any, b: Any) -> bool:
    """The network's input, the joints and the mask of two samples."""
    return (
        np.array_equal(a.image, b.image)
        and np.array_equal(a.keypoints, b.keypoints, equal_nan=True)
        and np.array_equal(a.mask, b.mask)
        and np.array_equal(a.inverse_warp, b.inverse_warp)
    )


@pytest.mark.parametrize("inner", [[], [{"type": "LoadImage"}]], ids=["outside", "split"])
def test_combined_data_sets_are_one(folders: list[Path], inner: Any) -> None:
    """The wrapper's own pipeline follows that of its parts, wherever the border between them is."""
    parts = [dataset(f, inner) for f in folders]
    wrapper = {"type": "CombinedDataset", "metainfo": METAINFO, "datasets": parts, "pipeline": PLAIN[len(inner) :]}
    found = source(wrapper)
    assert found.ids() == ["1-1", "1-2", "1-11", "1-12"]
    assert found.dataset_name == "coco"
    assert same(found.load(3), source(dataset(folders[1])).load(1))


def test_a_part_s_joints_are_converted(folders: list[Path]) -> None:
    """KeypointConverter in a part, as MMPose's mixed data sets have it: the joints are those of the wrapper."""
    convert = {"type": "KeypointConverter", "num_keypoints": 17, "mapping": [(5, 6), (6, 5)]}
    parts = [dataset(folders[0], [convert])]
    wrapper = {"type": "CombinedDataset", "metainfo": METAINFO, "datasets": parts, "pipeline": PLAIN}
    sample, plain = source(wrapper).load(0), source(dataset(folders[0])).load(0)
    assert sample.keypoints[6].tolist() == pytest.approx(plain.keypoints[5].tolist(), abs=1e-4)
    assert sample.visible.nonzero().flatten().tolist() == [5, 6]


def test_a_wrapper_s_flip_partners_are_its_own(folders: list[Path]) -> None:
    """COCO's persons as AI Challenger's 14 joints, flipped after the conversion: left and right are those of the 14."""
    convert = {"type": "KeypointConverter", "num_keypoints": 14, "mapping": [(5, 3), (6, 0), (15, 11)]}
    wrapper = {
        **{"type": "CombinedDataset", "metainfo": {"from_file": "configs/_base_/datasets/aic.py"}},
        **{"datasets": [dataset(folders[0], [convert])], "pipeline": [PLAIN[0], FLIP, *PLAIN[1:]]},
    }
    sample = source(wrapper).load(0)
    assert sample.visible.nonzero().flatten().tolist() == [0, 3, 8]  # right shoulder, left shoulder, right ankle
    for joint, place in ((0, JOINTS[5]), (3, JOINTS[6]), (8, JOINTS[15])):
        assert to_original(sample, sample.keypoints[joint].numpy()) == pytest.approx(place, abs=1e-3)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda d: {"type": "RepeatDataset", "dataset": d, "times": 3},
        lambda d: {"type": "ConcatDataset", "datasets": [d]},
        lambda d: {"type": "ConcatDataset", "datasets": [{"type": "RepeatDataset", "dataset": d, "times": 2}]},
        lambda d: {
            **{"type": "CombinedDataset", "metainfo": METAINFO, "pipeline": PLAIN, "sample_ratio_factor": [2.5]},
            "datasets": [{**d, "pipeline": []}],
        },
    ],
    ids=["repeat", "concat", "nested", "resampled"],
)
def test_each_person_is_taken_once(folders: list[Path], wrap: Any) -> None:
    """Repetition is for training: here it would count a person twice."""
    found = source(wrap(dataset(folders[0])))
    assert found.ids() == ["1-1", "1-2"]
    assert same(found.load(1), source(dataset(folders[0])).load(1))


def test_a_repetition_that_is_left_out_is_noted(folders: list[Path]) -> None:
    """Six entries of two persons."""
    found = source({"type": "RepeatDataset", "dataset": dataset(folders[0]), "times": 3})
    assert any("6 entries of 2 persons" in note for note in found.notes)
    assert not source(dataset(folders[0])).notes or "persons" not in source(dataset(folders[0])).notes[0]


def test_detected_boxes_are_replaced_also_inside(folders: list[Path]) -> None:
    """Detections have no joints; the config stays as its user wrote it, and a note says what was done."""
    inner = dataset(folders[0], bbox_file="detections.json")
    for wanted in (inner, {"type": "ConcatDataset", "datasets": [inner]}):
        cfg = config(wanted)
        before = copy.deepcopy(cfg.to_dict())
        from poseig_mm.data.samples import SampleSource

        found = SampleSource(cfg, preprocess=preprocessor())
        assert found.load(0).visible.any()
        assert any("detections.json" in note for note in found.notes)
        assert cfg.to_dict() == before


def test_the_fingerprint_covers_all_parts(folders: list[Path]) -> None:
    """Also the second one's annotations."""
    both = {"type": "ConcatDataset", "datasets": [dataset(f) for f in folders]}
    first = source(both).fingerprint()
    write(folders[1], [person(11), person(12, area=9.0)])
    assert source(both).fingerprint() != first


def test_the_union_is_everybody_in_the_image(tmp_path: Path) -> None:
    """Crowds and persons without joints as well, as published; those of other images not."""
    crowd = {"size": [160, 200], "counts": [160 * 110, 160 * 20, 160 * 70]}  # columns 110 to 129
    people = [
        person(1, segmentation=[square((70, 60), 8)]),
        person(2, segmentation=[square((100, 100), 8)], num_keypoints=0, joints={}),
        person(3, segmentation=crowd, iscrowd=1),
        person(4, 2, segmentation=[square((90, 75), 20)]),
    ]
    write(tmp_path, people, images=(1, 2))
    own, everybody = (source(dataset(tmp_path), mask=kind).load(0) for kind in ("instance", "union"))
    assert (own.mask_source, everybody.mask_source) == ("instance", "union")
    scale = 1 / np.linalg.det(own.inverse_warp[:, :2])
    assert own.mask.sum() == pytest.approx(289 * scale, rel=0.1)
    rows = 64 / np.sqrt(scale)  # of the original in the input
    assert everybody.mask.sum() == pytest.approx((2 * 289 + 20 * rows) * scale, rel=0.1)
    assert (everybody.mask | ~own.mask).all()


def test_masks_can_be_switched_off(tmp_path: Path) -> None:
    """Then a broken segmentation is no reason to lose a person."""
    write(tmp_path, [person(1, segmentation=[[1, 2, 3]])])
    sample = source(dataset(tmp_path), mask="none").load(0)
    assert (sample.mask, sample.mask_source) == (None, "none")


def test_boxes_in_place_of_masks_are_noted(tmp_path: Path) -> None:
    """FI over FreiHAND's boxes is not FI over hands; one true outline among them and nothing is said."""
    write(tmp_path, [person(1), person(2)])
    assert any("upright boxes" in note for note in source(dataset(tmp_path)).notes)
    write(tmp_path, [person(1), person(2, segmentation=[[60, 30, 120, 40, 90, 120]])])
    assert not any("upright boxes" in note for note in source(dataset(tmp_path)).notes)


def test_a_plugin_s_groups_win(tmp_path: Path) -> None:
    """Over those found by name, for the data set they are for."""
    write(tmp_path, [person(1)])
    usual = source(dataset(tmp_path)).groups
    own = JointGroups(usual.keypoint_names, ("x",) * 17, (-1,) * 17, (), ())
    assert source(dataset(tmp_path), datasets={"coco": own}).groups == replace(own, sigmas=usual.sigmas)
    assert source(dataset(tmp_path), datasets={"mpii": own}).groups == usual


def test_a_plugin_s_groups_must_fit(tmp_path: Path) -> None:
    """Other joints would put the wrong name on every row."""
    write(tmp_path, [person(1)])
    wrong = JointGroups(("a", "b"), ("x", "x"), (-1, -1), (), ())
    with pytest.raises(ConfigError, match=r"name 2 joints.*has 17"):
        source(dataset(tmp_path), datasets={"coco": wrong})
