"""Which pixels belong to a joint's limb, and how a map's mass is shared between two limbs.  numpy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

THICKNESS = 0.25  # radius of a drawn bone, in median bones: a finger is about half as thick as its bones are long
Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class LimbShares:
    """A map's mass in a limb: all in [0, 1], NaN where undefined."""

    mass: float  # of the absolute map
    area: float  # of the pixels; mass / area: 1 = no preference
    positive: float  # of the mass in the limb, what is positive


def limb_segments(joint: int, parents: Sequence[int], points: Floats) -> Floats:
    """Bones of a joint's limb: from the joint to its parent, or, for a root, to each of its children.

    Args:
        joint: its index.
        parents: (K,) index of each joint's parent, -1 at a root.
        points: (K, 2); a bone to a joint without a finite point is left out.

    Returns:
        (n, 2, 2) ends of n bones, n >= 1: without any bone the joint itself, as a bone of length 0.

    >>> limb_segments(1, [-1, 0], np.array([[0.0, 0.0], [0.0, 8.0]])).tolist()
    [[[0.0, 8.0], [0.0, 0.0]]]
    """
    parent = parents[joint]
    partners = [parent] if parent >= 0 else [j for j, p in enumerate(parents) if p == joint]
    ends = [points[j] for j in partners if np.isfinite(points[j]).all()] or [points[joint]]
    return np.stack([np.stack([points[joint], end]) for end in ends])


def limb_distance(segments: Floats, size: tuple[int, int]) -> Floats:
    """(H, W): each pixel centre's distance from the nearest of the segments (n, 2, 2), (x, y) px.

    >>> limb_distance(np.array([[[1.0, 0.0], [2.0, 0.0]]]), (2, 5)).round(2).tolist()
    [[1.0, 0.0, 0.0, 1.0, 2.0], [1.41, 1.0, 1.0, 1.41, 2.24]]
    """
    ys, xs = np.mgrid[: size[0], : size[1]].astype(np.float64)
    nearest = np.full(size, np.inf)
    for (ax, ay), (bx, by) in segments:
        dx, dy = bx - ax, by - ay
        length = dx * dx + dy * dy
        along = np.clip(((xs - ax) * dx + (ys - ay) * dy) / length, 0, 1) if length > 0 else 0.0
        nearest = np.minimum(nearest, np.hypot(xs - ax - along * dx, ys - ay - along * dy))
    return nearest


def skeleton_mask(points: Floats, skeleton: Sequence[tuple[int, int]], size: tuple[int, int]) -> Bools | None:
    """A person or hand drawn from its joints: what lies within a quarter of the median bone of any bone.

    It stands in for a mask where a data set has none, and is about right for hands; of a body it leaves out what has no
    bone (the belly, hair).

    Args:
        points: (K, 2) px, (x, y); a bone to a joint without a finite point is left out.
        skeleton: bones, pairs of joints.
        size: (H, W).

    Returns:
        (H, W), or None where no bone is known.

    >>> skeleton_mask(np.array([[1.0, 1.0], [5.0, 1.0]]), [(0, 1)], (3, 7)).astype(int).tolist()
    [[0, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1, 0]]
    >>> skeleton_mask(np.array([[1.0, 1.0], [np.nan, 1.0]]), [(0, 1)], (3, 7)) is None
    True
    """
    bones = [(a, b) for a, b in skeleton if np.isfinite(points[[a, b]]).all()]
    if not bones:
        return None
    segments = np.stack([points[[a, b]] for a, b in bones])
    radius = THICKNESS * float(np.median(np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1)))
    limb: Bools = limb_distance(segments, size) <= radius
    return limb


def limb_shares(
    values: Floats, here: int, there: int, points: Floats, parents: Sequence[int], radius: float
) -> tuple[LimbShares, LimbShares]:
    """Mass of a signed map in the limb of joint `there`, and in that of joint `here`.

    A limb is what lies within `radius` of its bones (`limb_segments`).  Pixels of both limbs (an elbow's and a wrist's
    share the forearm) belong to that of the nearer joint, so that the two limbs are disjoint.

    Args:
        values: (H, W) signed; only relative size matters.
        here, there: the right joint and the wrong one.
        points: (K, 2) px of the map, (x, y); those two are finite.
        parents: (K,), -1 at a root.
        radius: px.

    Returns:
        (wrong limb, right limb); NaN shares of a map that is zero or not finite, or of a limb without a pixel.
    """
    height, width = values.shape
    masks = [limb_distance(limb_segments(j, parents, points), (height, width)) <= radius for j in (there, here)]
    ys, xs = np.mgrid[:height, :width]
    to_there, to_here = (np.hypot(xs - points[j, 0], ys - points[j, 1]) for j in (there, here))
    both = masks[0] & masks[1]
    wrong = masks[0] & ~(both & (to_here < to_there))
    right = masks[1] & ~(both & (to_there <= to_here))
    return _shares(values, wrong), _shares(values, right)


def _shares(values: Floats, limb: Bools) -> LimbShares:
    size = np.abs(values.astype(np.float64))
    total, inside = float(size.sum()), float(size[limb].sum())
    if not math.isfinite(total) or total == 0 or not limb.any():
        return LimbShares(math.nan, float(limb.mean()), math.nan)
    positive = float(size[limb & (values > 0)].sum()) / inside if inside > 0 else math.nan
    return LimbShares(inside / total, float(limb.mean()), positive)
