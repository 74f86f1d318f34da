"""A figure's joints: a kinematic tree with drawn limb lengths and angles, seen from the front or from behind.

Frame: image px, x to the right, y down.  Joints are COCO's 17 in COCO's order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["JOINTS", "LEFT_WRIST", "RIGHT_WRIST", "Pose", "draw_pose"]

JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
LEFT_WRIST, RIGHT_WRIST = 9, 10
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Where the joints of one figure are, and which way it looks."""

    joints: Array  # (17, 2) image px
    back: bool  # seen from behind: its left is on the picture's left
    torso: float  # length of the trunk, px: the measure of all widths
    arms_in_front: tuple[bool, bool]  # (left, right) before the trunk, or behind it


def draw_pose(rng: np.random.Generator, centre: tuple[float, float], torso: float, back: bool) -> Pose:
    """A figure with random proportions and angles.

    Args:
        rng: source of all randomness; always asked for as many numbers, so that variants of a scene share the rest.
        centre: (x, y) px, the middle of the trunk.
        torso: length of the trunk, px; the whole figure is about 3.4 times as high.
        back: seen from behind.

    >>> front = draw_pose(np.random.default_rng(0), (64, 60), 28, back=False)
    >>> bool(front.joints[5, 0] > front.joints[6, 0])  # the left shoulder is on the picture's right
    True
    """
    u = rng.random(24)
    lean = np.deg2rad(_between(u[0], -14, 14))
    across, down = np.array([np.cos(lean), np.sin(lean)]), np.array([-np.sin(lean), np.cos(lean)])
    neck = np.asarray(centre) - down * torso / 2
    pelvis = neck + down * torso
    joints = np.empty((17, 2))
    side = -1.0 if back else 1.0  # of the figure's left in the picture
    shoulder, hip = torso * _between(u[1], 0.30, 0.40), torso * _between(u[2], 0.18, 0.25)
    upper_arm, forearm = torso * _between(u[3], 0.50, 0.65), torso * _between(u[4], 0.45, 0.60)
    thigh, shin = torso * _between(u[5], 0.75, 0.95), torso * _between(u[6], 0.72, 0.92)
    for left, s, v in ((0, side, u[7:12]), (1, -side, u[12:17])):  # 0 left, 1 right in COCO's order
        arm = _between(v[0], -25, 150)
        bent = arm + _between(v[1], -20, 130)
        leg = _between(v[2], -12, 45)
        knee = leg - _between(v[3], 0, 55)
        joints[5 + left] = neck + across * s * shoulder + down * 0.06 * torso
        joints[7 + left] = joints[5 + left] + _limb(upper_arm, lean, s, arm)
        joints[9 + left] = joints[7 + left] + _limb(forearm, lean, s, bent)
        joints[11 + left] = pelvis + across * s * hip
        joints[13 + left] = joints[11 + left] + _limb(thigh, lean, s, leg)
        joints[15 + left] = joints[13 + left] + _limb(shin, lean, s, knee)
    tilt = lean + np.deg2rad(_between(u[17], -15, 15))
    along, up = np.array([np.cos(tilt), np.sin(tilt)]), np.array([np.sin(tilt), -np.cos(tilt)])
    head = neck + up * torso * 0.38
    turn = _between(u[18], -0.06, 0.06) * torso
    joints[0] = head + along * turn - up * 0.02 * torso
    for left, s in ((0, side), (1, -side)):
        joints[1 + left] = head + along * (s * 0.10 * torso + turn) + up * 0.07 * torso
        joints[3 + left] = head + along * s * 0.22 * torso + up * 0.02 * torso
    return Pose(joints, back, torso, (bool(u[19] < 0.7), bool(u[20] < 0.7)))


def _between(share: Any, low: float, high: float) -> float:
    return float(low + (high - low) * share)


def _limb(length: float, lean: float, side: float, degrees: float) -> Array:
    """A vector of some length, `degrees` outwards of straight down, in the trunk's frame."""
    angle = np.deg2rad(degrees) * side - lean
    return length * np.array([np.sin(angle), np.cos(angle)])
