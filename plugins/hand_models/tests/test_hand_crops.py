"""Boxes of the models' authors, and crops that keep joints in the picture and in space together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from poseig_hand_models.hand_camera import intrinsics, mirror_camera, mirror_pixels, mirror_points, project, turn_of
from poseig_hand_models.hand_crops import GetHandBox, HandAffine, MirrorLeftHands
from poseig_hand_models.hand_entries import run_lengths

from poseig_mm.data.crops import run_pipeline
from poseig_mm.errors import ConfigError, DataError

K = intrinsics(600.0, 600.0, 320.0, 240.0)


@pytest.fixture(autouse=True)
def _mmpose_scope() -> None:
    init_default_scope("mmpose")


def entry(side: str = "right", depth: float = 0.0) -> dict[str, Any]:
    """A hand of random joints 600 mm away, in a 640 x 480 picture; `depth`: how far joints leave the wrist's plane,
    mm.
    """
    rng = np.random.default_rng(3)
    joints = rng.uniform(-80, 80, (1, 21, 3)) * [1, 1, 0] + rng.uniform(-depth, depth, (1, 21, 1)) * [0, 0, 1]
    joints -= joints[:, :1]
    root = np.array([[30.0, -20.0, 600.0]])
    points = project(joints, K, root)
    return {
        "img": rng.integers(0, 255, (480, 640, 3), dtype=np.uint8),
        "img_shape": (480, 640),
        "keypoints": points.astype(np.float32),
        "keypoints_visible": np.ones((1, 21), np.float32),
        "bbox": np.concatenate([points[0].min(0), points[0].max(0)])[None].astype(np.float32),
        "keypoints_3d": joints.astype(np.float32),
        "root_3d": root.astype(np.float32),
        "camera": K[None].astype(np.float32),
        "hand_side": side,
        "flip_indices": list(range(21)),
    }


def boxed(source: str, padding: float, **changed: Any) -> tuple[list[float], float]:
    """Centre and side of the square, which must be one."""
    found = GetHandBox(source, padding)({**entry(), **changed})
    (w, h), center = found["bbox_scale"][0], found["bbox_center"]
    assert w == h
    assert center.shape == (1, 2)
    return center[0].tolist(), pytest.approx(float(w))


def spanned(x0: float, y0: float, x1: float, y1: float) -> dict[str, Any]:
    """Keypoints whose box it is."""
    points = np.full((1, 21, 2), [(x0 + x1) / 2, (y0 + y1) / 2], np.float32)
    points[0, :2] = [[x0, y0], [x1, y1]]
    return {"keypoints": points}


def test_the_centre_is_a_fixed_square() -> None:
    """100 px x 1.3 about (320, 240) of a 640 x 480 picture, wherever the hand is."""
    assert boxed("centre", 1.3) == ([320, 240], 130)


def test_the_joints_box_is_padded_then_cut() -> None:
    """x 100 to 200 and y 50 to 90, x 1.5: x 75 to 225; cut to a width of 149 from there: middle 149.5."""
    assert boxed("joints", 1.5, **spanned(100, 50, 200, 90)) == ([149.5, 69.5], 149)


def test_a_box_that_leaves_the_picture_is_moved_in_on_the_left_and_shortened_on_the_right() -> None:
    """As HandOccNet does it: x -15 to 135 becomes 0 to 149; x 575 to 725 becomes 575 to 639, so that the height
    leads.
    """
    assert boxed("joints", 1.5, **spanned(10, 50, 110, 90)) == ([74.5, 69.5], 149)
    assert boxed("joints", 1.5, **spanned(600, 50, 700, 130)) == ([607, 89.5], 119)


def test_a_hand_beyond_the_picture_is_looked_for_in_all_of_it() -> None:
    """x 700 to 800: nothing is left of the box."""
    assert boxed("joints", 1.5, **spanned(700, 50, 800, 90)) == ([319.5, 239.5], 639)


@pytest.mark.parametrize(("source", "padding"), [("joints", 1.5), ("box", 1.25)])
def test_a_hand_beyond_the_picture_may_have_it_stretched(source: str, padding: float) -> None:
    """As HandOccNet's test does it: pixels (0, 0) and (639, 479) of 640 x 480 are the input's corners, whose sides are
    256 px; joints go along, and `input_camera` projects to them.  Any other box is the square that it always is.
    """
    beyond = spanned(700, 50, 800, 90)
    far = {**entry(), **beyond, "bbox": np.array([[700.0, 50, 800, 90]])}
    far["root_3d"] = np.array([[500.0, 0, 600]], np.float32)
    far["keypoints"] = project(far["keypoints_3d"], K, far["root_3d"]).astype(np.float32)
    given = GetHandBox(source, padding, outside="stretch")(far)
    crop = HandAffine((256, 256))(given)
    corners = np.array([[0, 0, 1], [639, 479, 1], [319.5, 239.5, 1]]) @ crop["input_warp"].T
    assert corners == pytest.approx(np.array([[0, 0], [256, 256], [128, 128]]), abs=1e-3)
    moved = far["keypoints"] * np.array([256 / 639, 256 / 479])
    assert crop["transformed_keypoints"] == pytest.approx(moved, abs=0.01)
    inside = project(crop["keypoints_3d"], crop["input_camera"], crop["root_3d"])
    assert inside == pytest.approx(crop["transformed_keypoints"], abs=0.01)
    assert crop["keypoints_3d"] == pytest.approx(far["keypoints_3d"])
    assert crop["input_scale"].tolist() == [639, 479]
    near = [GetHandBox(source, padding, outside=how)(entry())["bbox_scale"].tolist() for how in ("square", "stretch")]
    assert near[0] == near[1]
    with pytest.raises(ConfigError, match="'stretch'"):
        GetHandBox(source, padding, outside="stretched")


def test_a_diagnosis_knows_the_way_of_a_stretched_picture() -> None:
    """The sample's map from the image to the input is the crop's, so that maps are drawn where they belong."""
    from mmpose.datasets.transforms import PackPoseInputs

    far = {**entry("left"), "bbox": np.array([[700.0, 50, 800, 90]]), "ori_shape": (480, 640)}
    steps = [GetHandBox("box", 1.25, outside="stretch"), MirrorLeftHands(), HandAffine((256, 256))]
    crop = run_pipeline([*steps, PackPoseInputs(meta_keys=())], far)
    corners = np.array([[639, 0, 1], [0, 479, 1]]) @ crop.warp.T
    assert corners == pytest.approx(np.array([[0, 0], [256, 256]]), abs=1e-3)


def test_a_stretched_picture_turns_by_the_same_angle() -> None:
    """Turned before it is stretched, so that space turns by what the picture does."""
    far = {**entry(depth=40), "bbox": np.array([[700.0, 50, 800, 90]])}
    given = GetHandBox("box", 1.25, outside="stretch")(far)
    crop = HandAffine((256, 256))({**given, "bbox_rotation": np.array([33.0])})
    inside = project(crop["keypoints_3d"], crop["input_camera"], crop["root_3d"])
    assert inside == pytest.approx(crop["transformed_keypoints"], abs=0.02)
    turned = far["keypoints_3d"][0] @ turn_of(crop["input_warp"]).T
    assert crop["keypoints_3d"][0] == pytest.approx(turned, abs=1e-3)
    assert crop["keypoints_3d"][0, 1, :2] != pytest.approx(far["keypoints_3d"][0, 1, :2], abs=1)


def test_a_ready_box_stays_as_it_is() -> None:
    """Beyond the picture, too: middle (20, 30), longer side 100."""
    assert boxed("ready", 1.0, bbox=np.array([[-30.0, -10, 70, 70]])) == ([20, 30], 100)


def test_the_annotated_box_is_cut_then_padded() -> None:
    """(10, 20) to (110, 60): 99 px after the cut, x 1.25."""
    assert boxed("box", 1.25, bbox=np.array([[10.0, 20, 110, 60]])) == ([59.5, 39.5], 123.75)


def test_the_mask_s_largest_piece_counts() -> None:
    """30 x 20 pixels from (20, 30), and a smaller piece far away: middle (35, 40), 30 x 1.3."""
    mask = np.zeros((480, 640), bool)
    mask[30:50, 20:50] = True
    mask[400:410, 600:610] = True
    assert boxed("mask", 1.3, segmentation=run_lengths(mask)) == ([35, 40], 39)


def test_a_mask_that_is_not_there_is_an_error() -> None:
    """None, and one without a pixel."""
    for segmentation in (None, run_lengths(np.zeros((480, 640), bool))):
        with pytest.raises(DataError, match="masks=True"):
            boxed("mask", 1.3, segmentation=segmentation)


def test_an_unknown_source_is_an_error_that_helps() -> None:
    """The near one is named."""
    with pytest.raises(ConfigError, match="'joints'"):
        GetHandBox("joint", 1.5)


def test_the_mirrored_hand_projects_to_the_mirrored_keypoints() -> None:
    """Mirrored joints by mirrored K: each px at 639 - x.  The picture and the boxes go along."""
    before = entry("left", depth=40)
    boxed_before = GetHandBox("joints", 1.5)(before)
    after = MirrorLeftHands()(boxed_before)
    assert after["keypoints"][..., 0] == pytest.approx(639 - before["keypoints"][..., 0])
    assert after["keypoints"][..., 1] == pytest.approx(before["keypoints"][..., 1])
    found = project(after["keypoints_3d"], after["camera"], after["root_3d"])
    assert found == pytest.approx(after["keypoints"], abs=1e-3)
    assert after["keypoints_3d"][..., 0] == pytest.approx(-before["keypoints_3d"][..., 0])
    assert after["keypoints_3d"][..., 1:] == pytest.approx(before["keypoints_3d"][..., 1:])
    assert (after["img"] == before["img"][:, ::-1]).all()
    x0, y0, x1, y1 = before["bbox"][0]
    assert after["bbox"][0] == pytest.approx([639 - x1, y0, 639 - x0, y1])
    x, y = boxed_before["bbox_center"][0]
    assert after["bbox_center"][0] == pytest.approx([639 - x, y])
    assert (after["flip"], after["flip_direction"], after["hand_side"]) == (True, "horizontal", "left")


def test_a_right_hand_goes_through_unchanged() -> None:
    """Nothing is flipped, nothing says so."""
    before = entry("right")
    after = MirrorLeftHands()(before)
    assert after is before
    assert "flip_direction" not in after


def test_what_is_mirrored_stays_as_it_was_in_the_data_set() -> None:
    """The arrays of the entry are not written into."""
    before = entry("left")
    kept = {name: np.array(before[name]) for name in ("img", "keypoints", "keypoints_3d", "root_3d", "camera", "bbox")}
    HandAffine((64, 64))(MirrorLeftHands()(GetHandBox("joints", 1.5)(before)))
    for name, value in kept.items():
        assert (before[name] == value).all(), name


def test_the_box_comes_before_the_mirror() -> None:
    """A mask is of the image as loaded."""
    with pytest.raises(DataError, match="before MirrorLeftHands"):
        GetHandBox("mask", 1.3)(MirrorLeftHands()(entry("left")))


def test_mirrored_twice_is_as_before() -> None:
    """Camera, points and pixels."""
    camera = intrinsics(600.0, 590.0, 300.0, 200.0)
    points = np.array([[1.0, 2.0, 3.0]])
    assert (mirror_camera(mirror_camera(camera, 640), 640) == camera).all()
    assert (mirror_points(mirror_points(points)) == points).all()
    assert (mirror_pixels(mirror_pixels(points[:, :2], 640), 640) == points[:, :2]).all()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("use_udp", [False, True])
@pytest.mark.parametrize("degrees", [0.0, 33.0, -120.0])
def test_a_turned_crop_keeps_picture_and_space_together(degrees: float, use_udp: bool, side: str) -> None:
    """`input_camera` projects to the input's keypoints, `camera` to the image's; distances between joints are kept."""
    given = MirrorLeftHands()(GetHandBox("joints", 1.5)(entry(side, depth=40)))
    found = HandAffine((128, 128), use_udp=use_udp)({**given, "bbox_rotation": np.array([degrees])})
    space = found["keypoints_3d"]
    inside = project(space, found["input_camera"], found["root_3d"])
    assert inside == pytest.approx(found["transformed_keypoints"], abs=0.01)
    assert project(space, found["camera"], found["root_3d"]) == pytest.approx(found["keypoints"], abs=0.01)
    lengths = np.linalg.norm(given["keypoints_3d"][0, :, None] - given["keypoints_3d"][0], axis=-1)
    assert np.linalg.norm(space[0, :, None] - space[0], axis=-1) == pytest.approx(lengths, abs=1e-3)
    assert space[..., 2] == pytest.approx(given["keypoints_3d"][..., 2], abs=1e-3)


@pytest.mark.parametrize("degrees", [0.0, 33.0, -120.0])
def test_space_turns_the_way_the_picture_does(degrees: float) -> None:
    """All joints 600 mm away: what separates them in the input is what separates them in space, times one number."""
    given = GetHandBox("joints", 1.5)(entry())
    found = HandAffine((128, 128))({**given, "bbox_rotation": np.array([degrees])})
    apart = found["transformed_keypoints"][0] - found["transformed_keypoints"][0, 0]
    scale = 128 / given["bbox_scale"][0, 0] * 600 / 600  # input px an image px, image px a mm
    assert apart == pytest.approx(scale * found["keypoints_3d"][0, :, :2], abs=0.02)


def test_a_crop_that_is_not_turned_leaves_space_alone() -> None:
    """To the last bit, but for -0."""
    given = GetHandBox("joints", 1.5)(entry(depth=40))
    found = HandAffine((64, 64))(given)
    assert (found["keypoints_3d"] == given["keypoints_3d"]).all()
    assert (found["root_3d"] == given["root_3d"]).all()


def test_turns_are_found_in_scaled_and_moved_maps() -> None:
    """The angle that went in."""
    for degrees in (0.0, 30.0, 200.0, -75.0):
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        expected = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        assert turn_of(np.array([[2 * c, -2 * s, 9.0], [2 * s, 2 * c, -4.0]])) == pytest.approx(expected)


@pytest.mark.parametrize("direction", ["horizontal", "vertical"])
def test_mmpose_s_flip_is_refused(direction: str) -> None:
    """RandomFlip moves keypoints and leaves space alone."""
    from mmpose.datasets.transforms import RandomFlip

    flipped = RandomFlip(prob=1.0, direction=direction)(GetHandBox("joints", 1.5)(entry()))
    with pytest.raises(DataError, match="RandomFlip"):
        HandAffine((64, 64))(flipped)


def test_data_without_space_is_refused() -> None:
    """MMPose's FreiHandDataset has no camera."""
    given = GetHandBox("joints", 1.5)(entry())
    del given["camera"]
    with pytest.raises(DataError, match="needs camera"):
        HandAffine((64, 64))(given)


def test_what_is_behind_the_camera_is_nowhere() -> None:
    """NaN, not a mirrored place."""
    found = project(np.array([[0.0, 0.0, -10.0], [0.0, 0.0, 10.0]]), K)
    assert np.isnan(found[0]).all()
    assert found[1].tolist() == [320.0, 240.0]
