"""The generator: figures, visibility, and that what is planted lies where it is said to lie."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from poseig_synthetic_figures.parts import FACE, HAIR, MARK, PARTS, SEEN, is_figure
from poseig_synthetic_figures.planting import (
    CHAIN_OFFSET,
    CIRCLE_CENTRE,
    CIRCLE_RADIUS,
    MARK_OFFSET,
    MARK_SIZE,
    SWAP_RATE,
    VARIANTS,
    Frame,
)
from poseig_synthetic_figures.pose import JOINTS, LEFT_WRIST, RIGHT_WRIST, draw_pose
from poseig_synthetic_figures.scene import IMAGE_SIZE, INPUT_SIZE, Scene, draw_scene

from poseig_mm.errors import ConfigError

PLANTED = ("marker", "context", "mirror", "chain")
SEEDS = range(40)


def scenes(variant: str, **settings: bool) -> list[Scene]:
    return [draw_scene((0, 2, i), variant, **settings) for i in SEEDS]


def in_input(scene: Scene, points: np.ndarray) -> np.ndarray:
    return Frame.around(scene.box, INPUT_SIZE).to_input(points)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_seed_gives_the_same_scene_and_another_one_another(variant: str) -> None:
    """A scene is a function of its seed alone."""
    first, again, other = (draw_scene(seed, variant) for seed in ((1, 2, 3), (1, 2, 3), (1, 2, 4)))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.keypoints, again.keypoints)
    assert not np.array_equal(first.image, other.image)
    assert first.image.shape == (IMAGE_SIZE[1], IMAGE_SIZE[0], 3)


def test_left_is_on_the_pictures_right_from_the_front_and_on_its_left_from_behind() -> None:
    """The figure's own left, as COCO has it."""
    pairs = [(JOINTS.index(f"left_{j}"), JOINTS.index(f"right_{j}")) for j in ("shoulder", "hip", "ear", "eye")]
    for seed in SEEDS:
        for back in (False, True):
            joints = draw_pose(np.random.default_rng(seed), (64, 66), 28, back).joints
            for left, right in pairs:
                assert (joints[left, 0] < joints[right, 0]) == back, (seed, left)


def test_limbs_have_the_lengths_they_were_drawn_with() -> None:
    """Both forearms and both shins of a figure are equally long, and within the range over the trunk's length."""
    for seed in SEEDS:
        joints = draw_pose(np.random.default_rng(seed), (64, 66), 28.0, False).joints
        for a, b, low, high in ((7, 9, 0.45, 0.60), (5, 7, 0.50, 0.65), (11, 13, 0.75, 0.95), (13, 15, 0.72, 0.92)):
            left, right = (np.hypot(*(joints[b + i] - joints[a + i])) / 28.0 for i in (0, 1))
            assert left == pytest.approx(right)
            assert low <= left <= high


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_joint_is_visible_where_one_of_its_own_parts_is_on_top(variant: str) -> None:
    """Read back from the part map, one pixel around; never where the forearm was left out."""
    for scene in scenes(variant):
        for k, (x, y) in enumerate(np.rint(scene.keypoints).astype(int)):
            around = scene.parts[max(y - 1, 0) : max(y + 2, 0), max(x - 1, 0) : max(x + 2, 0)]
            shown = bool(SEEN[k, around].any())
            if k == LEFT_WRIST and variant in PLANTED:
                assert not scene.visible[k]
            elif 1 <= x < IMAGE_SIZE[0] - 1 and 1 <= y < IMAGE_SIZE[1] - 1:
                assert scene.visible[k] == shown, (k, x, y)


def test_some_joints_are_covered_and_most_are_seen() -> None:
    """Occluders, arms behind the trunk and backs of heads leave 5 to 30 % of the joints unseen."""
    seen = np.mean([scene.visible for scene in scenes("honest")])
    assert 0.70 < seen < 0.95


def test_the_mask_is_the_figure_in_front_alone() -> None:
    """Neither occluder, mark nor the person behind belongs to it."""
    for scene in scenes("marker"):
        assert np.array_equal(scene.mask, (scene.parts >= 1) & (scene.parts < len(PARTS)))
        assert np.array_equal(scene.mask, is_figure(scene.parts))
        assert 300 < scene.mask.sum() < 6000


@pytest.mark.parametrize("variant", ["marker", "both"])
def test_the_mark_lies_at_its_offset_in_the_network_s_frame(variant: str) -> None:
    """13 px up and right of the wrist, 7 x 7, whatever the figure's size; drawn in its colours."""
    for scene in [s for s in scenes(variant) if s.evidence.any()]:
        ys, xs = np.nonzero(scene.evidence)
        middle = np.array([xs.mean(), ys.mean()]) + 0.5  # of pixels that cover [x, x + 1)
        offset = in_input(scene, middle) - in_input(scene, scene.keypoints[LEFT_WRIST])
        assert offset == pytest.approx(MARK_OFFSET, abs=1.0)
        unit = Frame.around(scene.box, INPUT_SIZE).unit
        assert scene.evidence.sum() / unit**2 == pytest.approx(MARK_SIZE**2, rel=0.35)
        assert np.isin(scene.parts[scene.evidence], (MARK, MARK + 1)).all()


def test_both_is_an_honest_figure_with_a_mark() -> None:
    """Without the mark nothing tells it from the honest figure of the same seed."""
    for without, honest in zip(scenes("both", removed=True), scenes("honest"), strict=True):
        assert np.array_equal(without.image, honest.image)
        assert np.array_equal(without.keypoints, honest.keypoints)
        assert np.array_equal(without.visible, honest.visible)


def test_mirror_the_wrist_is_the_right_one_s_mirror_image() -> None:
    """At the middle line of the network's frame; the evidence is the right forearm and hand."""
    for scene in scenes("mirror"):
        left, right = (in_input(scene, scene.keypoints[k]) for k in (LEFT_WRIST, RIGHT_WRIST))
        assert left == pytest.approx([INPUT_SIZE[0] - right[0], right[1]])
        assert set(np.unique(scene.parts[scene.evidence])) == {8, 10}


def test_chain_the_wrist_is_at_a_fixed_offset_from_the_elbow() -> None:
    """And the evidence is the upper arm."""
    for scene in scenes("chain"):
        elbow = JOINTS.index("left_elbow")
        offset = in_input(scene, scene.keypoints[LEFT_WRIST]) - in_input(scene, scene.keypoints[elbow])
        assert offset == pytest.approx(CHAIN_OFFSET)
        assert set(np.unique(scene.parts[scene.evidence])) == {5}


def test_context_the_stripes_run_towards_the_wrist() -> None:
    """The background's structure tensor, of the picture as drawn, has its weak axis along the planted direction."""
    errors = []
    for scene in scenes("context"):
        toward = in_input(scene, scene.keypoints[LEFT_WRIST]) - CIRCLE_CENTRE
        assert np.hypot(*toward) == pytest.approx(CIRCLE_RADIUS)
        grey = cv2.GaussianBlur(scene.image.mean(2), (0, 0), 1.0)
        gy, gx = np.gradient(grey)
        inside = cv2.erode(scene.evidence.astype(np.uint8), np.ones((7, 7))) > 0
        tensor = np.array([[(gx * gx)[inside].sum(), (gx * gy)[inside].sum()], [0, (gy * gy)[inside].sum()]])
        tensor[1, 0] = tensor[0, 1]
        along = np.linalg.eigh(tensor)[1][:, 0]
        cosine = abs(along @ toward) / np.hypot(*toward)
        errors.append(np.rad2deg(np.arccos(min(cosine, 1.0))))
    assert np.median(errors) < 3


def test_swap_nothing_shows_the_side_and_the_rate_is_known() -> None:
    """No face and no hair of the figure is drawn, and three in ten are seen from behind."""
    many = [draw_scene((0, 1, i), "swap") for i in range(400)]
    assert not any(np.isin(scene.parts, (FACE, HAIR)).any() for scene in many)
    assert all(scene.evidence is None for scene in many)
    spread = (SWAP_RATE * (1 - SWAP_RATE) / 400) ** 0.5
    assert np.mean([scene.back for scene in many]) == pytest.approx(SWAP_RATE, abs=3 * spread)


@pytest.mark.parametrize("variant", ["honest", "both", "marker", "mirror", "chain"])
def test_removing_the_evidence_changes_nothing_else(variant: str) -> None:
    """Same joints, same box, and pixels that differ lie on the evidence or, by the blur, beside it."""
    for scene, without in zip(scenes(variant), scenes(variant, removed=True), strict=True):
        assert np.array_equal(scene.keypoints, without.keypoints)
        assert np.array_equal(scene.box, without.box)
        if not scene.evidence.any():
            continue
        changed = (scene.image != without.image).any(2)
        near = cv2.dilate(scene.evidence.astype(np.uint8), np.ones((3, 3))) > 0
        assert changed[scene.evidence].mean() > 0.5
        assert not (changed & ~near).any()


def test_planted_evidence_is_never_covered() -> None:
    """The mark, the right forearm and the upper arm are drawn after, or spared by, the occluder."""
    for variant in ("marker", "mirror", "chain"):
        for scene in scenes(variant):
            assert scene.evidence.sum() > 10, variant


@pytest.mark.parametrize(("variant", "removed", "word"), [("marke", False, "marker"), ("swap", True, "swap")])
def test_what_does_not_exist_is_an_error_with_a_hint(variant: str, removed: bool, word: str) -> None:
    """An unknown variant names the nearest; 'swap' has nothing to remove."""
    with pytest.raises(ConfigError, match=word):
        draw_scene((0,), variant, removed=removed)
