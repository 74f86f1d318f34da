"""A figure as a map of body parts: one number a pixel says what is seen there.  Colours come later, by a table."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .pose import Pose

__all__ = [
    "FACE", "HAIR", "HEAD", "MARK", "OCCLUDER", "OTHER", "PARTS", "PARTS_OF_JOINT", "SEEN", "TORSO", "draw_figure",
    "is_figure",
]  # fmt: skip

PARTS = (
    "background", "torso", "head", "hair", "face", "left_upper_arm", "right_upper_arm", "left_forearm", "right_forearm",
    "left_hand", "right_hand", "left_thigh", "right_thigh", "left_shin", "right_shin", "left_foot", "right_foot",
)  # fmt: skip
TORSO, HEAD, HAIR, FACE = 1, 2, 3, 4
OTHER = 32  # parts of a person behind are numbered from here
OCCLUDER, MARK = 96, 97

# Where a joint is seen: one of its own parts is the topmost thing there.
PARTS_OF_JOINT = (
    (FACE,), (FACE,), (FACE,), (HEAD, HAIR), (HEAD, HAIR), (TORSO, 5), (TORSO, 6), (5, 7), (6, 8), (7, 9), (8, 10),
    (TORSO, 11), (TORSO, 12), (11, 13), (12, 14), (13, 15), (14, 16),
)  # fmt: skip

_LIMBS = {  # part: (from joint, to joint, half width over the trunk's length)
    5: (5, 7, 0.105), 6: (6, 8, 0.105), 7: (7, 9, 0.085), 8: (8, 10, 0.085), 11: (11, 13, 0.135), 12: (12, 14, 0.135),
    13: (13, 15, 0.10), 14: (14, 16, 0.10),
}  # fmt: skip
SEEN = np.zeros((len(PARTS_OF_JOINT), 128), bool)  # joint, part: whether it shows the joint
for _joint, _own in enumerate(PARTS_OF_JOINT):
    SEEN[_joint, list(_own)] = True
_SUB = 4  # cv2 takes coordinates in fractions of 2^-4 px


def is_figure(parts: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W) parts -> (H, W), the figure in front and nothing else.

    >>> is_figure(np.array([[0, 1, 16], [OTHER + 1, OCCLUDER, MARK]], np.uint8)).astype(int).tolist()
    [[0, 1, 1], [0, 0, 0]]
    """
    return (parts > 0) & (parts < len(PARTS))


def draw_figure(
    canvas: NDArray[np.uint8], pose: Pose, *, first: int = 0, face: bool = True, hidden: frozenset[int] = frozenset()
) -> None:
    """Draw a figure's parts into `canvas` (H, W), nearer ones over farther ones.

    Args:
        canvas: changed in place.
        pose: joints in px of the canvas.
        first: added to each part's number.
        face: with eyes, nose and mouth (seen from the front) or hair (from behind); without, both look alike.
        hidden: parts that are left out.
    """
    arms = [(5, 7, 9), (6, 8, 10)]
    for which in (0, 1):
        if not pose.arms_in_front[which]:
            _limbs(canvas, pose, arms[which], first, hidden)
    for leg in ((15, 13, 11), (16, 14, 12)):
        _limbs(canvas, pose, leg, first, hidden)
    _trunk(canvas, pose, first)
    _head(canvas, pose, first, face)
    for which in (0, 1):
        if pose.arms_in_front[which]:
            _limbs(canvas, pose, arms[which], first, hidden)


def _limbs(canvas: NDArray[np.uint8], pose: Pose, parts: tuple[int, ...], first: int, hidden: frozenset[int]) -> None:
    for part in parts:
        if part in hidden:
            continue
        colour = first + part
        if part in _LIMBS:
            start, end, half = _LIMBS[part]
            _capsule(canvas, pose.joints[start], pose.joints[end], half * pose.torso, colour)
        elif part in (9, 10):  # a hand reaches beyond the wrist
            wrist, elbow = pose.joints[part], pose.joints[part - 2]
            _disc(canvas, wrist + _unit(wrist - elbow) * 0.08 * pose.torso, 0.115 * pose.torso, colour)
        else:  # a foot points outwards
            ankle = pose.joints[part]
            toe = ankle + np.array([np.sign(ankle[0] - pose.joints[11:13, 0].mean()) or 1.0, 0.25]) * 0.16 * pose.torso
            _capsule(canvas, ankle, toe, 0.09 * pose.torso, colour)


def _trunk(canvas: NDArray[np.uint8], pose: Pose, first: int) -> None:
    shoulders, hips = pose.joints[5:7], pose.joints[11:13]
    middle = hips.mean(0)
    corners = np.stack(
        [shoulders[0], shoulders[1], middle + 1.35 * (hips[1] - middle), middle + 1.35 * (hips[0] - middle)]
    )
    cv2.fillConvexPoly(canvas, _fixed(corners), first + TORSO, shift=_SUB)
    for corner in shoulders:
        _disc(canvas, corner, 0.11 * pose.torso, first + TORSO)
    neck = shoulders.mean(0)
    _capsule(canvas, neck, neck + 0.35 * (pose.joints[3:5].mean(0) - neck), 0.09 * pose.torso, first + HEAD)


def _head(canvas: NDArray[np.uint8], pose: Pose, first: int, face: bool) -> None:
    ears = pose.joints[3:5]
    middle, radius = ears.mean(0), 0.25 * pose.torso
    up = _unit(middle - pose.joints[5:7].mean(0))
    _disc(canvas, middle, radius, first + HEAD)
    if not face:
        return
    if pose.back:
        _disc(canvas, middle + up * 0.03 * pose.torso, radius, first + HAIR)
        return
    _capsule(
        canvas,
        middle + up * 0.7 * radius - _left(up) * 0.5 * radius,
        middle + up * 0.7 * radius + _left(up) * 0.5 * radius,
        0.4 * radius,
        first + HAIR,
    )
    for eye in pose.joints[1:3]:
        _disc(canvas, eye, 0.045 * pose.torso, first + FACE)
    nose = pose.joints[0]
    _capsule(canvas, nose, nose + up * 0.04 * pose.torso, 0.022 * pose.torso, first + FACE)
    mouth = nose - up * 0.10 * pose.torso
    _capsule(
        canvas,
        mouth - _left(up) * 0.07 * pose.torso,
        mouth + _left(up) * 0.07 * pose.torso,
        0.02 * pose.torso,
        first + FACE,
    )


def _left(up: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([up[1], -up[0]])


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / max(float(np.hypot(*vector)), 1e-9)


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(np.asarray(points) * 2**_SUB).astype(np.int32)


def _disc(canvas: NDArray[np.uint8], centre: NDArray[np.float64], radius: float, colour: int) -> None:
    x, y = _fixed(centre)
    cv2.circle(canvas, (int(x), int(y)), max(round(radius * 2**_SUB), 8), colour, -1, shift=_SUB)


def _capsule(
    canvas: NDArray[np.uint8], start: NDArray[np.float64], end: NDArray[np.float64], half: float, colour: int
) -> None:
    """All pixels within `half` px of the line from start to end."""
    across = _left(_unit(end - start)) * half
    cv2.fillConvexPoly(
        canvas, _fixed(np.stack([start + across, end + across, end - across, start - across])), colour, shift=_SUB
    )
    _disc(canvas, start, half, colour)
    _disc(canvas, end, half, colour)
