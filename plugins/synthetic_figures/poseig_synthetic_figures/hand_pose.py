"""A right hand's 21 joints in 3D: a kinematic chain with drawn bone lengths and angles, before a pinhole camera.

Frame: mm, the camera at the origin, x to the right, y down, z away.  Joints are FreiHAND's 21 in its order, with
MMPose's names.  The palm faces the camera, tilted by up to 60 degrees, turned in the picture by up to 90 either way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CAMERA", "FINGERS", "HAND_JOINTS", "PARENTS", "HandPose", "draw_hand_pose", "project"]

FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
HAND_JOINTS = ("wrist", *(f"{finger}{i}" for finger in FINGERS for i in (1, 2, 3, 4)))
PARENTS = (-1, *(0 if i == 0 else 4 * finger + i for finger in range(5) for i in range(4)))
CAMERA = np.array([[270.0, 0.0, 64.0], [0.0, 270.0, 64.0], [0.0, 0.0, 1.0]])  # K: px
TILT, TURN = 60.0, 90.0  # degrees
DISTANCE = (520.0, 680.0)  # mm from the camera to the middle of the hand
SIZE = (0.9, 1.1)  # of a hand over the one below

# A hand with the palm to the camera and the fingers up, mm: where each chain begins, and the bones that follow.
_FIRST = np.array(
    [[25.0, -24.0, -8.0], [24.0, -92.0, 0.0], [3.0, -93.0, 3.0], [-15.0, -86.0, 1.0], [-31.0, -75.0, -3.0]]
)
_BONES = np.array([[45.0, 33.0, 27.0], [42.0, 25.0, 22.0], [46.0, 29.0, 23.0], [43.0, 27.0, 23.0], [34.0, 20.0, 20.0]])
_SPREAD = (0.0, 9.0, 1.0, -6.0, -15.0)  # degrees from straight up, towards the thumb
_TOWARDS = np.array([-0.85, -0.25, -0.45])  # where the thumb bends to
Array = NDArray[np.float64]


@dataclass(frozen=True)
class HandPose:
    """Where the joints of one hand are, and which way it looks."""

    joints: Array  # (21, 3) mm, camera frame
    dorsal: Array  # (5, 3) unit vectors: where the nail of each finger points
    forearm: Array  # (3,) mm: a point in the middle of the forearm, 60 mm from the wrist
    size: float  # over the mean hand: the measure of all widths


def draw_hand_pose(rng: np.random.Generator) -> HandPose:
    """A hand with random bone lengths and angles.

    >>> hand = draw_hand_pose(np.random.default_rng(0))
    >>> hand.joints.shape, bool((hand.joints[:, 2] > 350).all())
    ((21, 3), True)
    """
    size = rng.uniform(*SIZE)
    bones = _BONES * size * rng.uniform(0.94, 1.06, _BONES.shape)
    first = _FIRST * size * rng.uniform(0.96, 1.04, (5, 1))
    curl = rng.uniform(-5, 75)  # what the fingers share
    joints, dorsal = np.zeros((21, 3)), np.empty((5, 3))
    for finger in range(5):
        start, bend = _thumb(rng) if finger == 0 else _finger(rng, finger, curl)
        place = first[finger]
        joints[1 + 4 * finger] = place
        for i, degrees in enumerate(_flexion(rng, finger, curl)):
            along, dorsal[finger] = _turned(start, bend, degrees)
            place = place + bones[finger, i] * along
            joints[2 + 4 * finger + i] = place
    turned = _rotation(rng)
    joints, forearm = joints @ turned.T, turned @ np.array([rng.uniform(-18, 18), 58.0, rng.uniform(-10, 10)])
    middle = np.array([rng.uniform(-12, 12), rng.uniform(-12, 12), rng.uniform(*DISTANCE)]) - joints.mean(0)
    return HandPose(joints + middle, dorsal @ turned.T, forearm + middle, float(size))


def project(points: Array, camera: Array = CAMERA) -> Array:
    """(..., 3) mm -> (..., 2) image px.

    >>> project(np.array([0.0, 10.0, 540.0])).tolist()
    [64.0, 69.0]
    """
    there = points @ camera.T
    pixels: Array = there[..., :2] / there[..., 2:]
    return pixels


def _finger(rng: np.random.Generator, finger: int, curl: float) -> tuple[Array, Array]:
    """Directions of a straight finger and of the palm, to which it bends; a curled finger spreads less."""
    spread = np.deg2rad(_SPREAD[finger] + rng.uniform(-8, 8) * (1 - max(curl, 0) / 100))
    return np.array([np.sin(spread), -np.cos(spread), 0.0]), np.array([0.0, 0.0, -1.0])


def _thumb(rng: np.random.Generator) -> tuple[Array, Array]:
    outwards, forwards = np.deg2rad(rng.uniform(25, 65)), np.deg2rad(rng.uniform(5, 45))
    start = np.array([np.sin(outwards) * np.cos(forwards), -np.cos(outwards) * np.cos(forwards), -np.sin(forwards)])
    bend = _TOWARDS - (_TOWARDS @ start) * start
    return start, bend / np.linalg.norm(bend)


def _flexion(rng: np.random.Generator, finger: int, curl: float) -> Array:
    """(3,) degrees that each bone of a finger is bent from straight."""
    if finger == 0:
        return np.cumsum([0.0, rng.uniform(-5, 40), rng.uniform(-10, 55)])
    knuckle = np.clip(0.8 * curl + rng.uniform(-15, 15), -12, 85)
    middle = np.clip(curl + rng.uniform(-20, 35), 0, 100)
    return np.cumsum([knuckle, middle, middle * rng.uniform(0.4, 0.75)])


def _turned(start: Array, bend: Array, degrees: float) -> tuple[Array, Array]:
    """`start` turned towards `bend`, and what was `-bend` turned with it: along the bone, and out of its back."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return c * start + s * bend, s * start - c * bend


def _rotation(rng: np.random.Generator) -> Array:
    """Tilt about an axis in the picture's plane, then a turn in it: (3, 3)."""
    axis, tilt, turn = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(0, TILT)), np.deg2rad(rng.uniform(-TURN, TURN))
    n = np.array([np.cos(axis), np.sin(axis), 0.0])
    cross = np.array([[0.0, -n[2], n[1]], [n[2], 0.0, -n[0]], [-n[1], n[0], 0.0]])
    tilted = np.eye(3) + np.sin(tilt) * cross + (1 - np.cos(tilt)) * cross @ cross
    c, s = np.cos(turn), np.sin(turn)
    rotation: Array = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ tilted
    return rotation
