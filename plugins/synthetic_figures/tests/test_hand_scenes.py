"""The hands: bones, camera, visibility, and what a picture shows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from poseig_synthetic_figures.hand_pose import (
    _BONES,
    CAMERA,
    HAND_JOINTS,
    PARENTS,
    SIZE,
    _rotation,
    draw_hand_pose,
    project,
)
from poseig_synthetic_figures.hand_scene import (
    HAND_IMAGE_SIZE,
    HAND_PARTS,
    HAND_PARTS_OF_JOINT,
    HandScene,
    _colours,
    draw_hand_scene,
)

SEEDS = range(60)
KNUCKLES = {name: HAND_JOINTS.index(f"{name}1") for name in ("forefinger", "pinky_finger")}


def scenes() -> list[HandScene]:
    return [draw_hand_scene((0, 2, i)) for i in SEEDS]


def test_the_same_seed_gives_the_same_picture_and_another_one_another() -> None:
    """A scene is a function of its seed alone."""
    first, again, other = (draw_hand_scene(seed) for seed in ((1, 2, 3), (1, 2, 3), (1, 2, 4)))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.joints, again.joints)
    assert not np.array_equal(first.image, other.image)
    assert first.image.shape == (HAND_IMAGE_SIZE[1], HAND_IMAGE_SIZE[0], 3)


def test_the_joints_are_freihand_s() -> None:
    """21 names in MMPose's order, and each finger is a chain that begins at the wrist."""
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    names = parse_pose_metainfo(dict(from_file="configs/_base_/datasets/freihand2d.py"))["keypoint_id2name"]
    assert tuple(names[k] for k in range(21)) == HAND_JOINTS
    assert [PARENTS[k] for k in (0, 1, 2, 3, 4, 5, 6, 17, 20)] == [-1, 0, 1, 2, 3, 0, 5, 0, 19]


def test_bones_have_lengths_of_a_human_hand_whatever_the_pose() -> None:
    """Each bone lies within the sampled range about its mean length: neither bending nor turning changes it."""
    for seed in SEEDS:
        hand = draw_hand_pose(np.random.default_rng(seed))
        for finger in range(5):
            chain = hand.joints[1 + 4 * finger : 5 + 4 * finger]
            ratio = np.linalg.norm(np.diff(chain, axis=0), axis=1) / _BONES[finger]
            assert (ratio > SIZE[0] * 0.94 - 1e-9).all()
            assert (ratio < SIZE[1] * 1.06 + 1e-9).all()
            assert ratio / hand.size == pytest.approx(1, abs=0.06 + 1e-9)


def test_keypoints_are_the_joints_seen_through_the_camera() -> None:
    """u = fx X / Z + cx and v = fy Y / Z + cy, written out."""
    for scene in scenes():
        x, y, z = scene.joints.T
        assert scene.keypoints[:, 0] == pytest.approx(scene.camera[0, 0] * x / z + scene.camera[0, 2])
        assert scene.keypoints[:, 1] == pytest.approx(scene.camera[1, 1] * y / z + scene.camera[1, 2])
        assert np.array_equal(scene.relative, scene.joints - scene.joints[0])


def test_a_point_on_the_axis_is_at_the_principal_point_and_distance_shrinks() -> None:
    """By hand: 27 mm at 270 mm are 27 px, at 540 mm 13.5 px."""
    assert project(np.array([0.0, 0.0, 300.0])).tolist() == [CAMERA[0, 2], CAMERA[1, 2]]
    assert project(np.array([[27.0, 0.0, 270.0], [27.0, 0.0, 540.0]]))[:, 0].tolist() == [91.0, 77.5]


def test_a_rotation_is_one_and_tilts_by_sixty_degrees_at_most() -> None:
    """Orthonormal, right-handed; the palm's normal stays within 60 degrees of the camera's axis."""
    tilts = []
    for seed in range(300):
        turned = _rotation(np.random.default_rng(seed))
        assert turned @ turned.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(turned) == pytest.approx(1)
        tilts.append(np.rad2deg(np.arccos(turned[2, 2])))
    assert max(tilts) <= 60 + 1e-9
    assert max(tilts) > 55


def test_it_is_a_right_hand_with_the_palm_to_the_camera() -> None:
    """Seen so, the forefinger's knuckle comes clockwise of the little finger's, about the wrist."""
    for seed in SEEDS:
        joints = draw_hand_pose(np.random.default_rng(seed)).joints
        fore, little = (joints[KNUCKLES[f]] - joints[0] for f in ("forefinger", "pinky_finger"))
        assert np.cross(little, fore)[2] > 0, seed


def test_fingers_bend_towards_the_palm() -> None:
    """A bent finger's tip lies on the palm's side of the plane through wrist and knuckles (or hardly behind it)."""
    for seed in SEEDS:
        joints = draw_hand_pose(np.random.default_rng(seed)).joints
        fore, little = (joints[KNUCKLES[f]] - joints[0] for f in ("forefinger", "pinky_finger"))
        palm = np.cross(fore, little)
        palm /= np.linalg.norm(palm)  # out of the palm
        for finger in (1, 2, 3, 4):
            along = joints[4 + 4 * finger] - joints[1 + 4 * finger]
            straight = np.linalg.norm(np.diff(joints[1 + 4 * finger : 5 + 4 * finger], axis=0), axis=1).sum()
            bent = np.linalg.norm(along) < 0.8 * straight
            assert along @ palm > (0 if bent else -0.35 * straight), (seed, finger)


def test_a_joint_is_visible_where_one_of_its_own_parts_is_on_top() -> None:
    """Read back from the part map, one pixel around; and the wrist, which nothing covers, always is."""
    for scene in scenes():
        for k, (x, y) in enumerate(np.rint(scene.keypoints).astype(int)):
            around = scene.parts[y - 1 : y + 2, x - 1 : x + 2]
            assert scene.visible[k] == bool(np.isin(around, HAND_PARTS_OF_JOINT[k]).any()), k
        assert scene.visible[0]


def test_what_covers_a_joint_is_nearer() -> None:
    """Where another finger's bone is on top of a joint, some of that bone is nearer to the camera than the joint."""
    before = []
    for scene in [draw_hand_scene((5, i)) for i in SEEDS]:
        for k in range(2, 21):
            x, y = np.rint(scene.keypoints[k]).astype(int)
            part = int(scene.parts[y, x])
            if "_bone" in HAND_PARTS[part] and part not in HAND_PARTS_OF_JOINT[k]:
                finger, i = divmod(part - 3, 3)
                ends = scene.joints[[1 + 4 * finger + i, 2 + 4 * finger + i], 2]
                before.append(scene.joints[k, 2] - ends.min())  # mm
    assert len(before) > 60
    assert min(before) > 0


def test_the_mask_is_the_hand_without_the_forearm() -> None:
    """It covers the visible joints, and its pixels are the parts of the hand."""
    for scene in scenes():
        names = {HAND_PARTS[v] for v in np.unique(scene.parts[scene.mask])}
        assert not names & {"background", "forearm"}
        assert 400 < scene.mask.sum() < 8000
        near = cv2.dilate(scene.mask.astype(np.uint8), np.ones((5, 5)))
        for k in range(1, 21):
            x, y = np.rint(scene.keypoints[k]).astype(int)
            assert near[y, x] or not scene.visible[k]


def test_hands_lie_inside_the_picture_and_their_boxes_around_them() -> None:
    """Every joint, with a margin of 6 px where the picture reaches so far."""
    for scene in scenes():
        low, high = scene.box[:2], scene.box[2:]
        assert (scene.keypoints >= 0).all()
        assert (scene.keypoints <= np.array(HAND_IMAGE_SIZE) - 1).all()
        assert (scene.keypoints >= low).all()
        assert (scene.keypoints <= high).all()


def test_a_part_is_darker_the_farther_it_is() -> None:
    """By 0.35 % a mm, from 60 % to 135 %; a rim has 62 % of its part's light."""
    depths = np.zeros(64)
    depths[[4, 36]], depths[[5, 37]], depths[[6, 38]], depths[7] = -40, 20, 500, -500
    table = _colours(np.random.default_rng(0), depths)
    plain = table[3]
    assert plain.min() > 10
    for part, light in ((4, 1.14), (5, 0.93), (6, 0.6), (7, 1.35)):
        assert table[part] / plain == pytest.approx(np.full(3, light), rel=1e-5), part
    for part in (4, 5, 6):
        assert table[part + 32] / table[part] == pytest.approx(np.full(3, 0.62), rel=1e-5)


def test_depth_shows_in_the_picture() -> None:
    """Within a hand, the brightness of bones falls with their depth: through texture, uneven light and noise."""
    falls = []
    for scene in scenes():
        light, depth = [], []
        for part in range(3, 18):
            inside = cv2.erode((scene.parts == part).astype(np.uint8), np.ones((3, 3))) > 0
            if inside.sum() >= 12:
                finger, i = divmod(part - 3, 3)
                depth.append(scene.joints[[1 + 4 * finger + i, 2 + 4 * finger + i], 2].mean())
                light.append(np.median(scene.image[inside].astype(float).sum(1)))
        if len(depth) >= 6:
            falls.append(np.corrcoef(depth, light)[0, 1])
    assert len(falls) > 30
    assert np.mean(np.array(falls) < 0) > 0.8
