"""One picture of a hand, from a seed: the hand before a background, its joints in the picture and in space."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .hand_pose import CAMERA, FINGERS, HandPose, draw_hand_pose, project
from .surfaces import draw_background, draw_skin, finish

__all__ = ["HAND_IMAGE_SIZE", "HAND_PARTS", "HAND_PARTS_OF_JOINT", "HandScene", "draw_hand_scene"]

HAND_IMAGE_SIZE = (128, 128)  # (w, h)
PALM, FOREARM, _BONE, _NAIL = 1, 2, 3, 18  # numbers of parts; a finger has three bones
HAND_PARTS = (
    "background", "palm", "forearm", *(f"{finger}_bone{i}" for finger in FINGERS for i in (1, 2, 3)),
    *(f"{finger}_nail" for finger in FINGERS),
)  # fmt: skip
_RIM = 32  # the darker edge of a part is numbered from here
_RIM_WIDTH = 1.6  # mm
_HALF = ((14.0, 11.5, 10.0, 8.0), *((11.0, 9.5, 8.5, 6.5),) * 3, (10.0, 8.5, 7.5, 6.0))  # mm, half widths at the joints
_PALM = (0, 1, 5, 9, 13, 17)  # joints around it
_PALM_HALF = (19.0, 15.0, 11.0, 11.0, 11.0, 11.0)  # mm, how far it reaches beyond them
_TO = np.array([1 + 4 * finger + i for finger in range(5) for i in (1, 2, 3)])  # joint at the end of each bone
_FROM = _TO - 1
_CIRCLE = np.stack([np.cos(np.arange(16) * np.pi / 8), np.sin(np.arange(16) * np.pi / 8)], -1)
_SHADE = 0.0035  # of brightness a mm of depth


def _parts_of_joint(joint: int) -> tuple[int, ...]:
    if joint == 0:
        return PALM, FOREARM
    finger, i = divmod(joint - 1, 4)
    own = [_BONE + 3 * finger + j for j in (i - 1, i) if 0 <= j <= 2]
    return (PALM, *own) if i == 0 else (*own, _NAIL + finger) if i == 3 else tuple(own)


HAND_PARTS_OF_JOINT = tuple(_parts_of_joint(k) for k in range(21))  # a joint is seen where one of these is on top
_SEEN = np.zeros((21, _RIM), bool)
for _joint, _own in enumerate(HAND_PARTS_OF_JOINT):
    _SEEN[_joint, list(_own)] = True


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
    depths[PALM], depths[FOREARM] = pose.joints[list(_PALM), 2].mean(), pose.joints[0, 2] + 15
    depths[_BONE : _BONE + 15] = pose.joints[np.stack([_FROM, _TO]), 2].mean(0)
    for part in np.argsort(-depths[: _BONE + 15])[: _BONE + 14].tolist():  # all but 'background', whose depth is 0
        mm = pose.size * CAMERA[0, 0] / depths[part]  # px a mm, there
        if part == PALM:
            _rounded(canvas, pixels[list(_PALM)], np.array(_PALM_HALF), part, mm)
        elif part == FOREARM:
            _rounded(canvas, np.stack([project(pose.forearm), pixels[0]]), np.array([23.0, 20.0]), part, mm)
        else:
            finger, i = divmod(part - _BONE, 3)
            ends = [_FROM[part - _BONE], _TO[part - _BONE]]
            _rounded(canvas, pixels[ends], np.array(_HALF[finger][i : i + 2]), part, mm)
            if i == 2:
                _nail(canvas, pose, finger, pixels[ends[1]], mm)
                depths[_NAIL + finger] = depths[part]
    depths[_RIM:] = depths[:_RIM]
    return depths


def _rounded(
    canvas: NDArray[np.uint8], places: NDArray[np.float64], half: NDArray[np.float64], part: int, mm: float
) -> None:
    """The convex hull of discs at places (n, 2) px of radii (n,) mm, with a rim."""
    for number, radii in ((part + _RIM, half * mm), (part, (half - _RIM_WIDTH) * mm)):
        points = (places[:, None] + radii[:, None, None] * _CIRCLE).reshape(-1, 2) * 16
        cv2.fillConvexPoly(canvas, cv2.convexHull(np.rint(points).astype(np.int32)), number, shift=4)


def _nail(canvas: NDArray[np.uint8], pose: HandPose, finger: int, tip: NDArray[np.float64], mm: float) -> None:
    """On the back of the last bone, where that faces the camera."""
    end = 4 + 4 * finger
    towards = -pose.joints[end] / np.linalg.norm(pose.joints[end])
    facing = float(pose.dorsal[finger] @ towards)
    if facing > 0.15:
        root = pose.joints[end] - 0.3 * (pose.joints[end] - pose.joints[end - 1]) + pose.dorsal[finger] * 4
        places = (np.stack([project(root), tip])[:, None] + 4.0 * mm * facing * _CIRCLE).reshape(-1, 2) * 16
        cv2.fillConvexPoly(canvas, cv2.convexHull(np.rint(places).astype(np.int32)), _NAIL + finger, shift=4)


def _colours(rng: np.random.Generator, depths: NDArray[np.float64]) -> NDArray[np.float32]:
    """(64, 3) the colour of each part: skin, darker where it is farther and at its rim."""
    light = np.clip(1 - _SHADE * depths, 0.6, 1.35)[:, None]
    table = np.repeat(draw_skin(rng)[None], 2 * _RIM, 0) * light
    table[_RIM:] *= 0.62
    table[_NAIL : _NAIL + 5] = (0.45 * draw_skin(rng) + (130, 105, 110)) * light[_NAIL : _NAIL + 5]
    if rng.random() < 0.6:
        table[[FOREARM, FOREARM + _RIM]] = rng.uniform(20, 235, 3)
    return np.asarray(table, np.float32)


def _visible(parts: NDArray[np.uint8], keypoints: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(21,) whether one of a joint's own parts is seen within a pixel of it."""
    height, width = parts.shape
    found = np.zeros(len(keypoints), bool)
    for k, (x, y) in enumerate(np.rint(keypoints).astype(int)):
        if 0 <= x < width and 0 <= y < height:
            found[k] = bool(_SEEN[k, parts[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]].any())
    return found
