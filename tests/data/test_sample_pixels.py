"""What a sample says of its crop holds for the pixels themselves: the drawn images' colours are their coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_coordinates import (
    BLUE,
    BOXED,
    CROP,
    FLIP,
    HEIGHT,
    JOINTS,
    LOAD,
    PACK,
    PIPELINES,
    WIDTH,
    dataset,
    person,
    preprocessor,
    source,
    square,
    to_original,
    write,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("mmpose_ready")


def load(folder: Path, pipeline: Any, preprocess: Any = None, segmentation: Any = None) -> Any:
    """The one person of a drawn image."""
    write(folder, [person(7, segmentation=segmentation or [square(JOINTS[5])])])
    return source(dataset(folder, pipeline), preprocess).load(0)


@pytest.mark.parametrize("name", PIPELINES)
def test_the_inverse_warp_leads_to_the_pixels_origin(tmp_path: Path, name: str) -> None:
    """Every pixel that shows the image shows the place where the inverse warp takes it: to a grey level."""
    sample = load(tmp_path, PIPELINES[name])
    y, x = np.mgrid[: sample.display.shape[0], : sample.display.shape[1]]
    there = to_original(sample, np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(*x.shape, 2)
    inside = ((there >= 0) & (there <= (WIDTH - 1, HEIGHT - 1))).all(-1)
    assert inside.sum() > 1000
    shown = sample.display.astype(float)
    assert np.abs(shown[..., :2] - there)[inside].max() < 1.1
    assert (shown[..., 2][inside] == BLUE).all()


@pytest.mark.parametrize("name", PIPELINES)
def test_keypoints_return_to_their_annotation(tmp_path: Path, name: str) -> None:
    """To 1e-3 px; a mirrored image has left and right exchanged, one that is turned by 180 degrees has not."""
    sample = load(tmp_path, PIPELINES[name])
    partner = {1: 2, 5: 6, 6: 5, 15: 16} if name == "flipped" else {}
    for joint, place in JOINTS.items():
        found = to_original(sample, sample.keypoints[partner.get(joint, joint)].numpy())
        assert found == pytest.approx(place, abs=1e-3)
    assert int(sample.keypoints.isfinite().all(1).sum()) == len(JOINTS)


@pytest.mark.parametrize("name", PIPELINES)
def test_the_mask_lies_on_its_joint(tmp_path: Path, name: str) -> None:
    """A square drawn around a joint has its centroid on that joint, in the input too."""
    sample = load(tmp_path, PIPELINES[name], segmentation=[square(JOINTS[5], 20)])
    ys, xs = np.nonzero(sample.mask.numpy())
    joint = sample.keypoints[6 if name == "flipped" else 5]
    assert (xs.mean(), ys.mean()) == pytest.approx(joint.tolist(), abs=0.5)  # of nearest pixels
    scale = 1 / abs(np.linalg.det(sample.inverse_warp[:, :2]))
    assert sample.mask.sum() == pytest.approx(41 * 41 * scale, rel=0.08)


@pytest.mark.parametrize("swap", [True, False])
def test_the_image_is_the_display_normalised(tmp_path: Path, swap: bool) -> None:
    """(value - mean) / std, in the order of channels that the model wants; the display is RGB either way."""
    sample = load(tmp_path, PIPELINES["plain"], preprocessor(bgr_to_rgb=swap))
    shown = sample.display if swap else sample.display[..., ::-1]
    expected = (shown - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
    assert np.abs(sample.image.numpy().transpose(1, 2, 0) - expected).max() < 1e-5
    assert (sample.display[..., 2].max(), str(sample.image.dtype)) == (BLUE, "torch.float32")


def test_a_padded_input_keeps_joints_and_mask_off_the_padding(tmp_path: Path) -> None:
    """A preprocessor that pads to multiples of 40 makes 64 x 48 into 80 x 80: to the right and below is nothing."""
    beyond = {0: (90.0, 75.0), 1: (131.0, 75.0)}  # the second 28 input px right of the centre: in the padding
    write(tmp_path, [person(7, joints=beyond, segmentation=[[0, 0, 200, 0, 200, 160, 0, 160]])])
    sample = source(dataset(tmp_path), preprocessor(pad_size_divisor=40)).load(0)
    assert sample.image.shape == (3, 80, 80)
    assert sample.display.shape == (80, 80, 3)
    assert sample.mask.shape == (80, 80)
    assert not sample.mask[:, 48:].any()
    assert not sample.mask[64:].any()
    assert sample.mask[:64, :48].all()
    assert 47 < sample.keypoints[1, 0] < 79
    assert sample.visible.tolist()[:2] == [True, False]


def test_one_grey_channel_is_shown_as_grey(tmp_path: Path) -> None:
    """A pipeline that loads grey images."""
    pipeline = [{**LOAD, "color_type": "grayscale"}, BOXED, CROP, PACK]
    plain = preprocessor(mean=[0.0], std=[1.0], bgr_to_rgb=False)
    sample = load(tmp_path, pipeline, plain)
    assert sample.image.shape[0] == 1
    assert np.array_equal(sample.display[..., 0], sample.image[0].numpy())
    assert np.array_equal(sample.display[..., 0], sample.display[..., 2])


def test_extra_says_what_was_annotated(tmp_path: Path) -> None:
    """Box as two corners in original px, area, and the annotation's id; a flip does not change them."""
    write(tmp_path, [person(7)])
    extra = source(dataset(tmp_path, [LOAD, FLIP, BOXED, CROP, PACK])).load(0).extra
    assert extra["bbox"] == [60, 30, 120, 120]
    assert (extra["area"], extra["iscrowd"], extra["annotation_id"]) == (2500, 0, 7)
    assert extra["ori_shape"] == (HEIGHT, WIDTH)
    assert extra["input_center"] == pytest.approx([WIDTH - 1 - 90, 75])  # of the crop, in the flipped image
    assert extra["input_scale"] == pytest.approx([1.25 * 67.5, 1.25 * 90])
