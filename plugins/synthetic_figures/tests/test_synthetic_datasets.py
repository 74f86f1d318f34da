"""The figures as MMPose's data sets see them."""

from __future__ import annotations

import numpy as np
import pytest
from poseig_synthetic_figures.datasets import SyntheticFiguresDataset
from poseig_synthetic_figures.planting import Frame
from poseig_synthetic_figures.scene import INPUT_SIZE

from poseig_mm.data.masks import rasterise
from poseig_mm.errors import ConfigError

PIPELINE = [
    dict(type="LoadImage"),
    dict(type="GetBBoxCenterScale"),
    dict(type="TopdownAffine", input_size=INPUT_SIZE),
]


@pytest.fixture(autouse=True)
def _mmpose_scope() -> None:
    from mmengine.registry import init_default_scope

    init_default_scope("mmpose")


def test_mmpose_s_own_crop_is_the_frame_that_evidence_is_planted_in() -> None:
    """`transformed_keypoints` of MMPose's pipeline equal `Frame.to_input`, to a thousandth of a pixel."""
    data = SyntheticFiguresDataset("test", 8, "marker", pipeline=PIPELINE, test_mode=True)
    for i in range(8):
        scene = data.scene(i)
        expected = Frame.around(scene.box, INPUT_SIZE).to_input(scene.keypoints)
        assert data[i]["transformed_keypoints"][0] == pytest.approx(expected, abs=2e-3)


def test_annotations_made_beforehand_equal_those_made_with_the_picture() -> None:
    """Test mode and training mode differ in when, not in what."""
    ready, lazy = (SyntheticFiguresDataset("val", 4, test_mode=mode) for mode in (True, False))
    for i in range(4):
        a, b = ready.get_data_info(i), lazy.get_data_info(i)
        for key in ("keypoints", "keypoints_visible", "bbox", "img"):
            assert np.array_equal(a[key], b[key]), key
        assert np.array_equal(a["img"], ready.scene(i).image[..., ::-1])


def test_the_segmentation_is_the_mask() -> None:
    """COCO's run lengths decode to the figure's pixels, and the area counts them."""
    data = SyntheticFiguresDataset("test", 5, test_mode=True)
    for i in range(5):
        info, mask = data.get_data_info(i), data.scene(i).mask
        assert np.array_equal(rasterise(info["segmentation"], *mask.shape), mask)
        assert info["area"] == mask.sum()


def test_splits_share_no_picture_and_variants_take_turns() -> None:
    """Each split has its own seeds; several variants follow one another."""
    pictures = {s: SyntheticFiguresDataset(s, 3).get_data_info(0)["img"].tobytes() for s in ("train", "val", "test")}
    assert len(set(pictures.values())) == 3
    mixed = SyntheticFiguresDataset("test", 4, ["honest", "swap"])
    assert [mixed.variant_of(i) for i in range(4)] == ["honest", "swap", "honest", "swap"]
    assert mixed.scene(1).evidence is None


def test_coco_s_visibility_flags_are_true() -> None:
    """v is 2 where the joint is seen, 1 where it is covered, 0 outside the picture."""
    data = SyntheticFiguresDataset("test", 30, "marker", test_mode=True)
    for i in range(30):
        flags = np.array(data.get_data_info(i)["raw_ann_info"]["keypoints"]).reshape(17, 3)[:, 2]
        scene = data.scene(i)
        assert ((flags == 2) == scene.visible).all()
        assert flags[9] == 1  # the painted-over wrist is labelled, and not seen


@pytest.mark.parametrize(
    ("settings", "word"),
    [(dict(split="tset"), "test"), (dict(variant="mirorr"), "mirror"), (dict(length=0), "at least one")],
)
def test_wrong_settings_are_errors_that_help(settings: dict, word: str) -> None:
    """What, got, expected."""
    with pytest.raises(ConfigError, match=word):
        SyntheticFiguresDataset(**settings)
