"""One picture of the data set, from a seed: figure, background, what is planted, and the exact pixels that carry it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from poseig_mm.errors import ConfigError, did_you_mean

from .parts import MARK, OCCLUDER, OTHER, SEEN, draw_figure, is_figure
from .planting import HIDDEN, MARK_OFFSET, MARK_SIZE, PLANTED, SWAP_RATE, VARIANTS, Frame, plant
from .pose import LEFT_WRIST, Pose, draw_pose
from .surfaces import draw_background, draw_colours, finish, stripes

__all__ = ["IMAGE_SIZE", "INPUT_SIZE", "Scene", "draw_scene"]

IMAGE_SIZE = (128, 160)  # (w, h)
INPUT_SIZE = (96, 128)  # (w, h) of the network that planted distances are measured in
OTHERS, OCCLUDED, BEHIND = (
    0.3,
    0.35,
    0.5,
)  # shares of pictures: with a second person, with an occluder, seen from behind


@dataclass(frozen=True)
class Scene:
    """A picture and all that is known of it."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    keypoints: NDArray[np.float64]  # (17, 2) image px
    visible: NDArray[np.bool_]  # (17,) seen: not covered, not left out, not out of the picture
    parts: NDArray[np.uint8]  # (H, W) what is seen where, see `parts`
    box: NDArray[np.float64]  # (4,) x0, y0, x1, y1 image px, around the drawn figure
    back: bool  # seen from behind
    evidence: NDArray[np.bool_] | None  # (H, W) the pixels that tell the left wrist; None: 'swap', where nothing does

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) the figure's visible pixels."""
        return is_figure(self.parts)


def draw_scene(seed: tuple[int, ...], variant: str = "honest", *, removed: bool = False) -> Scene:
    """Draw one scene; about a millisecond.

    Args:
        seed: any numbers; the same give the same scene.
        variant: one of `VARIANTS`.
        removed: leave the evidence out, and all else as it is: the mark, the stripes' direction, the right forearm, the
            left upper arm, or (honest) the left forearm.

    Raises:
        ConfigError: an unknown variant, or 'swap' with its evidence removed: it has none.

    >>> scene = draw_scene((0, 1), "marker")
    >>> scene.image.shape, bool(scene.visible[9])
    ((160, 128, 3), False)
    """
    if variant not in VARIANTS:
        raise ConfigError(f"there is no variant {variant!r} of synthetic figures; {did_you_mean(variant, VARIANTS)}")
    if variant == "swap" and removed:
        raise ConfigError("'swap' has no evidence that could be removed; expected one of the other variants")
    shape, looks, behind, extra = (np.random.default_rng((*seed, i)) for i in range(4))
    width, height = IMAGE_SIZE
    share = SWAP_RATE if variant == "swap" else BEHIND
    back = bool(shape.random() < share)
    pose = draw_pose(shape, (64 + shape.uniform(-8, 8), 66 + shape.uniform(-6, 6)), shape.uniform(23, 33), back)
    planted = variant in PLANTED
    hidden = HIDDEN if planted or (variant == "honest" and removed) else frozenset()
    if variant in ("mirror", "chain"):
        pose = replace(pose, arms_in_front=(True, True))  # what tells the wrist is not covered
    box = _box(pose, without=LEFT_WRIST if planted else None)
    frame = Frame.around(box, INPUT_SIZE)
    wrist, direction = plant(variant, pose, frame, shape) if planted else (pose.joints[LEFT_WRIST], 0.0)
    joints = pose.joints.copy()
    joints[LEFT_WRIST] = wrist

    parts = np.zeros((height, width), np.uint8)
    if behind.random() < OTHERS:
        place = (64 + behind.choice((-1, 1)) * behind.uniform(24, 52), 66 + behind.uniform(-12, 12))
        draw_figure(
            parts, draw_pose(behind, place, behind.uniform(18, 30), bool(behind.random() < BEHIND)), first=OTHER
        )
    gone = {"mirror": {8, 10}, "chain": {5}}.get(variant, set()) if removed else set()
    draw_figure(parts, pose, face=variant != "swap", hidden=hidden | gone)
    # where the evidence is, or, removed, where it would be
    evidence = draw_scene(seed, variant).evidence if removed else _evidence(variant, parts)
    _occlude(parts, pose, evidence if variant in ("mirror", "chain") else None, extra)
    if variant in ("marker", "both"):
        evidence = _mark(parts, wrist + np.array(MARK_OFFSET) * frame.unit, MARK_SIZE * frame.unit, draw=not removed)
    elif not removed:
        evidence = _evidence(variant, parts)  # what the occluder has left

    colours = draw_colours(looks)
    picture = _background(behind, variant, direction, removed)
    drawn = parts > 0
    picture[drawn] = colours[parts[drawn]]
    image = finish(looks, picture, is_figure(parts))
    return Scene(image, joints, _visible(parts, joints, hidden), parts, box, back, evidence)


def _box(pose: Pose, without: int | None) -> NDArray[np.float64]:
    """Around the joints, with room for head, hands and feet; a joint that is not drawn does not count."""
    joints = pose.joints if without is None else np.delete(pose.joints, without, 0)
    room = 0.16 * pose.torso
    low = joints.min(0) - np.array([room, 0.3 * pose.torso])
    high = joints.max(0) + np.array([room, 0.12 * pose.torso])
    return np.concatenate([np.maximum(low, 0), np.minimum(high, np.array(IMAGE_SIZE) - 1.0)])


def _evidence(variant: str, parts: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    if variant == "swap":
        return None
    if variant == "context":
        return np.asarray(parts == 0)
    wanted = {"mirror": (8, 10), "chain": (5,)}.get(variant, (7, 9))
    found: NDArray[np.bool_] = np.logical_or.reduce([parts == part for part in wanted])
    return found


def _occlude(parts: NDArray[np.uint8], pose: Pose, spared: NDArray[np.bool_] | None, rng: np.random.Generator) -> None:
    """Put a rectangle or an ellipse over some joint, in some pictures; nowhere if it would cover what is `spared`."""
    wanted, joint, ellipse = rng.random() < OCCLUDED, int(rng.integers(5, 17)), rng.random() < 0.5
    x, y = pose.joints[joint] + rng.normal(0, 0.15 * pose.torso, 2)
    half = rng.uniform(0.2, 0.45, 2) * pose.torso
    if not wanted:
        return
    cover = np.zeros_like(parts)
    if ellipse:
        cv2.ellipse(cover, (int(x), int(y)), (int(half[0]), int(half[1])), 0, 0, 360, 1, -1)
    else:
        cv2.rectangle(cover, (int(x - half[0]), int(y - half[1])), (int(x + half[0]), int(y + half[1])), 1, -1)
    if spared is None or not (cover.astype(bool) & spared).any():
        parts[cover > 0] = OCCLUDER


def _mark(parts: NDArray[np.uint8], centre: NDArray[np.float64], size: float, *, draw: bool) -> NDArray[np.bool_]:
    """A square with a smaller one inside; returns where it is, drawn or not."""
    place = np.zeros_like(parts)
    for share, number in ((1.0, MARK), (0.4, MARK + 1)):
        low, high = centre - share * size / 2, centre + share * size / 2
        x0, y0, x1, y1 = (int(v) for v in (*np.rint(low), *np.rint(high)))
        place[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = number
    if draw:
        parts[place > 0] = place[place > 0]
    return place > 0


def _background(rng: np.random.Generator, variant: str, direction: float, removed: bool) -> NDArray[np.float32]:
    width, height = IMAGE_SIZE
    if variant != "context":
        return draw_background(rng, height, width)
    if removed:
        return draw_background(rng, height, width, "clouds")
    first, second = rng.uniform(30, 225, (2, 3)).astype(np.float32)
    second = np.where(np.abs(second - first).max() < 60, 255 - first, second).astype(np.float32)
    return stripes(height, width, direction, rng.uniform(7, 11), first, second)


def _visible(parts: NDArray[np.uint8], joints: NDArray[np.float64], hidden: frozenset[int]) -> NDArray[np.bool_]:
    """(17,) whether one of a joint's own parts is seen within a pixel of it."""
    height, width = parts.shape
    found = np.zeros(len(joints), bool)
    for k, (x, y) in enumerate(np.rint(joints).astype(int)):
        if 0 <= x < width and 0 <= y < height and not (k == LEFT_WRIST and hidden):
            around = parts[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            found[k] = bool(SEEN[k, around].any())
    return found
