"""Shortcuts: scenes in which the left wrist can be told from one thing only, and the pixels which carry it.

In all but 'honest' and 'swap' the left forearm and hand are not drawn.  Distances are input px: the frame that the
network sees, 96 x 128, which the figure's box fixes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .pose import LEFT_WRIST, RIGHT_WRIST, Pose

__all__ = ["CHAIN_OFFSET", "HIDDEN", "MARK_OFFSET", "MARK_SIZE", "SWAP_RATE", "VARIANTS", "Frame", "plant"]

VARIANTS = ("honest", "both", "marker", "context", "mirror", "chain", "swap")
PLANTED = ("marker", "context", "mirror", "chain")  # whose left wrist is told by what is planted alone
HIDDEN = frozenset({7, 9})  # parts: left forearm, left hand
MARK_OFFSET = (9.2, -9.2)  # from the wrist to the mark's middle: 13 px up and right
MARK_SIZE = 7.0
FREE_RADIUS = 26.0  # marker: how far from the elbow the wrist may be
CHAIN_OFFSET = (4.0, 22.0)  # chain: from the elbow to the wrist
CIRCLE_CENTRE, CIRCLE_RADIUS = (62.0, 60.0), 26.0  # context: the wrist lies on this circle, in the stripes' direction
CIRCLE_ANGLES = (20.0, 160.0)  # degrees; stripes look the same turned by 180
SWAP_RATE = 0.3  # swap: share of figures seen from behind, which nothing shows
MARGIN = 7.0  # input px that a planted wrist stays inside

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """Where the network's input lies in the image: MMPose's `GetBBoxCenterScale(padding=1.25)` and `TopdownAffine`."""

    centre: Array  # (2,) image px
    unit: float  # image px an input px
    size: tuple[int, int]  # (w, h) of the input

    @staticmethod
    def around(box: Array, size: tuple[int, int], padding: float = 1.25) -> Frame:
        """The frame that a box (x0, y0, x1, y1) leads to.

        >>> Frame.around(np.array([10.0, 10.0, 58.0, 90.0]), (96, 128)).unit  # 80 px high, padded to 100
        0.78125
        """
        w, h = box[2:] - box[:2]
        return Frame((box[:2] + box[2:]) / 2, float(padding * max(w / size[0], h / size[1])), size)

    def to_image(self, point: Array) -> Array:
        """Input px -> image px."""
        return (point - np.array(self.size) / 2) * self.unit + self.centre

    def to_input(self, point: Array) -> Array:
        """Image px -> input px."""
        return (point - self.centre) / self.unit + np.array(self.size) / 2


def plant(variant: str, pose: Pose, frame: Frame, rng: np.random.Generator) -> tuple[Array, float]:
    """Where the left wrist is in a planted scene.

    Args:
        variant: 'marker', 'context', 'mirror' or 'chain'.
        pose: the figure.
        frame: of the network's input.
        rng: source of the free choice, where there is one.

    Returns:
        (2,) image px, and the stripes' direction in radians (of use to 'context' alone).
    """
    angle = float(np.deg2rad(rng.uniform(*CIRCLE_ANGLES)))
    elbow = frame.to_input(pose.joints[7])
    if variant == "marker":
        wrist = _free(elbow, frame, rng)
    elif variant == "context":
        wrist = np.array(CIRCLE_CENTRE) + CIRCLE_RADIUS * np.array([np.cos(angle), np.sin(angle)])
    elif variant == "mirror":
        wrist = frame.to_input(pose.joints[RIGHT_WRIST]) * (-1, 1) + (frame.size[0], 0)
    else:
        wrist = elbow + CHAIN_OFFSET
    return frame.to_image(wrist), angle


def _free(elbow: Array, frame: Frame, rng: np.random.Generator) -> Array:
    """A place within `FREE_RADIUS` of the elbow such that wrist and mark lie in the input."""
    low, high = np.array([MARGIN, MARGIN]), np.array(frame.size) - MARGIN
    for _ in range(20):
        r, turn = FREE_RADIUS * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        wrist: Array = elbow + r * np.array([np.cos(turn), np.sin(turn)])
        if all((low <= p).all() and (p <= high).all() for p in (wrist, wrist + MARK_OFFSET)):
            return wrist
    return np.clip(elbow, low - np.minimum(MARK_OFFSET, 0), high - np.maximum(MARK_OFFSET, 0))


def planted_joint(variant: str) -> int | None:
    """The joint that a variant's evidence is about; None where nothing is planted for one joint.

    >>> planted_joint("marker"), planted_joint("swap")
    (9, None)
    """
    return None if variant == "swap" else LEFT_WRIST
