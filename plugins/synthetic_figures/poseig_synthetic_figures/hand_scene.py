"""One picture of a hand, from a seed: the hand before a background, its joints in the picture and in space."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .hand_pose import CAMERA, FINGERS, PARENTS, HandPose, draw_hand_pose, project
from .parts import _capsule, _disc, _fixed
from .surfaces import draw_background, _skin, finish

__all__ = ["HAND_IMAGE_SIZE", "HAND_PARTS", "HAND_PARTS_OF_JOINT", "HandScene", "draw_hand_scene"]

HAND_IMAGE_SIZE = (128, 128)  # (w, h)
PALM, FOREARM, _BONE, _NAIL = 1, 2, 3, 18  # numbers of parts; a finger has three bones
HAND_PARTS = (
    "background", "palm", "forearm", *(f"{finger}_bone{i}" for finger in FINGERS for i in (1, 2, 3)),
    *(f"{finger}_nail" for finger in FINGERS),
)  # fmt: skip
_RIM = 32  # the darker edge of a part is numbered from here
_HALF = ((12.5, 10.5, 9.0), *((9.5, 8.5, 7.5),) * 3, (8.5, 7.5, 6.5))  # mm, half widths of the bones
_PALM = (0, 1, 5, 9, 13, 17)  # joints around it
_SHADE = 0.0035  # of brightness a mm of depth


def _parts_of_joint(joint: int) -> tuple[int, ...]:
    if joint == 0:
        return PALM, FOREARM
    finger, i = divmod(joint - 1, 4)
    own = [_BONE + 3 * finger + j for j in (i - 1, i) if 0 <= j <= 2]
    return (PALM, *own) if i == 0 else (*own, _NAIL + finger) if i == 3 else tuple(own)


HAND_PARTS_OF_JOINT = tuple(_parts_of_joint(k) for k in range(21))  # a joint is seen where one of these is on top


@dataclass(frozen=True)
class HandScene:
    """A picture of a hand and all that is known of it."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB
    joints: NDArray[np.float64]  # (21, 3) mm, camera frame
    camera: NDArray[np.float64]  # (3, 3) K, px
    keypoints: NDArray[np.float64]  # (21, 2) image px
    visible: NDArray[np.bool_]  # (21,) one of the joint's own parts is on top there
    parts: NDArray[np.uint8]  # (H, W) what is seen where, see `HAND_PARTS`
    box: NDArray[np.float64]  # (4,) x0, y0, x1, y1 image px, around the joints

    @property
    def relative(self) -> NDArray[np.float64]:
        """(21, 3) mm from the wrist."""
        offsets: NDArray[np.float64] = self.joints - self.joints[:1]
        return offsets

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) the hand's visible pixels, without the forearm."""
        return np.asarray((self.parts != 0) & (self.parts != FOREARM))


def draw_hand_scene(seed: tuple[int, ...]) -> HandScene:
    """Draw one hand; about two milliseconds.

    Args:
        seed: any numbers; the same give the same scene.

    >>> scene = draw_hand_scene((0, 1))
    >>> scene.image.shape, scene.relative[0].tolist()
    ((128, 128, 3), [0.0, 0.0, 0.0])
    """
    shape, looks, behind = (np.random.default_rng((*seed, i)) for i in range(3))
    width, height = HAND_IMAGE_SIZE
    pose = draw_hand_pose(shape)
    canvas = np.zeros((height, width), np.uint8)
    depths = _draw_hand(canvas, pose)
    picture = draw_background(behind, height, width)
    drawn = canvas > 0
    picture[drawn] = _colours(looks, depths - pose.joints[:, 2].mean())[canvas[drawn]]
    image = finish(looks, picture, drawn)
    parts = np.asarray(canvas % _RIM, np.uint8)
    keypoints = project(pose.joints)
    low, high = keypoints.min(0) - 6, keypoints.max(0) + 6
    box = np.concatenate([np.maximum(low, 0), np.minimum(high, np.array(HAND_IMAGE_SIZE) - 1.0)])
    return HandScene(image, pose.joints, CAMERA.copy(), keypoints, _visible(parts, keypoints), parts, box)


def _draw_hand(canvas: NDArray[np.uint8], pose: HandPose) -> NDArray[np.float64]:
    """Draw the parts, nearer ones over farther ones; returns (64,) the depth of each part, mm."""
    pixels = project(pose.joints)
    depths = np.zeros(2 * _RIM)
    items: list[tuple[float, int, int]] = [(float(pose.joints[list(_PALM), 2].mean()), PALM, 0)]
    items.append((float(pose.joints[0, 2]) + 15, FOREARM, 0))
    for end in range(1, 21):
        finger, i = divmod(end - 1, 4)
        if i > 0:
            items.append((float(pose.joints[[PARENTS[end], end], 2].mean()), _BONE + 3 * finger + i - 1, end))
    for depth, part, end in sorted(items, reverse=True):
        mm = pose.size * CAMERA[0, 0] / depth  # px a mm, there
        if part == PALM:
            _palm(canvas, pixels, mm)
        elif part == FOREARM:
            _rimmed(canvas, project(pose.forearm), pixels[0], 22 * mm, part, 1.2 * mm)
        else:
            finger, i = divmod(part - _BONE, 3)
            _rimmed(canvas, pixels[PARENTS[end]], pixels[end], _HALF[finger][i] * mm, part, 1.6 * mm)
            if i == 2:
                _nail(canvas, pose, finger, pixels[end], mm)
                depths[_NAIL + finger] = depth
        depths[part] = depths[part + _RIM] = depth
    return depths


def _palm(canvas: NDArray[np.uint8], pixels: NDArray[np.float64], mm: float) -> None:
    for number, more in ((PALM + _RIM, 1.6), (PALM, 0.0)):
        around = [(pixels[k], (13.0 if k < 5 else 9.5) + more) for k in _PALM]
        for (a, half), (b, other) in zip(around, around[1:] + around[:1], strict=True):
            _capsule(canvas, a, b, min(half, other) * mm, number)
            _disc(canvas, a, half * mm, number)
        hull = cv2.convexHull(_fixed(pixels[list(_PALM)]))
        cv2.fillConvexPoly(canvas, hull, number, shift=4)


def _rimmed(
    canvas: NDArray[np.uint8], a: NDArray[np.float64], b: NDArray[np.float64], half: float, part: int, rim: float
) -> None:
    _capsule(canvas, a, b, half, part + _RIM)
    _capsule(canvas, a, b, half - rim, part)


def _nail(canvas: NDArray[np.uint8], pose: HandPose, finger: int, tip: NDArray[np.float64], mm: float) -> None:
    """On the back of the last bone, where that faces the camera."""
    end = 4 + 4 * finger
    towards = -pose.joints[end] / np.linalg.norm(pose.joints[end])
    facing = float(pose.dorsal[finger] @ towards)
    if facing > 0.15:
        root = pose.joints[end] - 0.3 * (pose.joints[end] - pose.joints[end - 1]) + pose.dorsal[finger] * 4
        _capsule(canvas, project(root), tip, 4.0 * mm * facing, _NAIL + finger)


def _colours(rng: np.random.Generator, depths: NDArray[np.float64]) -> NDArray[np.float32]:
    """(64, 3) the colour of each part: skin, darker where it is farther and at its rim."""
    light = np.clip(1 - _SHADE * depths, 0.6, 1.35)[:, None]
    table = np.repeat(_skin(rng)[None], 2 * _RIM, 0) * light
    table[_RIM:] *= 0.62
    table[_NAIL : _NAIL + 5] = (0.45 * _skin(rng) + (130, 105, 110)) * light[_NAIL : _NAIL + 5]
    if rng.random() < 0.6:
        table[[FOREARM, FOREARM + _RIM]] = rng.uniform(20, 235, 3)
    return np.asarray(table, np.float32)


def _visible(parts: NDArray[np.uint8], keypoints: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(21,) whether one of a joint's own parts is seen within a pixel of it."""
    height, width = parts.shape
    found = np.zeros(len(keypoints), bool)
    for k, (x, y) in enumerate(np.rint(keypoints).astype(int)):
        if 0 <= x < width and 0 <= y < height:
            around = parts[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            found[k] = bool(np.isin(around, HAND_PARTS_OF_JOINT[k]).any())
    return found
