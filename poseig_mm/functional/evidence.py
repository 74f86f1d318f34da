"""Where a map's evidence lies: its mass in places that exclude one another, and its densest spot.  numpy and scipy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError
from .limbs import limb_distance, limb_segments

__all__ = [
    "PLACES",
    "densest_spot",
    "fixed_offset",
    "person_size",
    "place_areas",
    "place_maps",
    "place_shares",
    "spot_mass",
]

# In the order of precedence: a pixel of two places belongs to the first.  'person' and 'background' need a mask; without
# one, what is left is 'unknown'.
PLACES = ("own", "parent", "partner", "other", "limb", "person", "background", "unknown")

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int8]


def place_maps(
    points: Floats,
    parents: Sequence[int],
    partners: Sequence[int],
    size: tuple[int, int],
    radius: float,
    mask: Bools | None,
) -> Codes:
    """For each joint, which place every pixel belongs to.

    own: within `radius` of the joint.  parent, partner, other: within `radius` of the kinematic parent, of the left-right
    partner, of any other joint.  limb: within half the radius of the joint's own bones (`limb_segments`).  Then, still
    nowhere: the parent's and the partner's own bones count as parent and partner.  person, background: the rest, on and off
    the mask.  Joints nearer to each other than the radius cannot be told apart: what lies around both is 'own'.

    Args:
        points: (K, 2) px (x, y), NaN where unknown.
        parents, partners: (K,) index of each joint's parent and of its left-right partner, -1: none.
        size: (H, W) px.
        radius: px, above 0.
        mask: (H, W) the person's pixels, or None.

    Returns:
        (K, H, W) indices into `PLACES`; all 'unknown' for a joint without a point.

    Raises:
        ShapeError: the mask is of another size.

    >>> codes = place_maps(np.array([[1.0, 0.0], [6.0, 0.0]]), [-1, -1], [1, 0], (1, 9), 1.0, np.arange(9)[None] < 8)
    >>> [PLACES[i] for i in codes[0, 0]]
    ['own', 'own', 'own', 'person', 'person', 'partner', 'partner', 'partner', 'background']
    """
    if mask is not None and mask.shape != size:
        raise ShapeError(f"the mask has shape {mask.shape}; expected (H, W) = {size}")
    count, known = len(points), np.isfinite(points).all(1)
    ys, xs = np.mgrid[: size[0], : size[1]]
    near = np.zeros((count, *size), dtype=bool)
    bones = np.zeros((count, *size), dtype=bool)
    for k in np.flatnonzero(known):
        near[k] = np.hypot(xs - points[k, 0], ys - points[k, 1]) <= radius
        bones[k] = limb_distance(limb_segments(k, parents, points), size) <= radius / 2
    rest = np.full(size, _code("unknown"), dtype=np.int8)
    if mask is not None:
        rest[:] = np.where(mask, _code("person"), _code("background"))
    codes = np.full((count, *size), _code("unknown"), dtype=np.int8)
    anywhere = near.any(0)
    for k in np.flatnonzero(known):
        place = codes[k]
        place[:] = rest
        kin = [("parent", parents[k]), ("partner", partners[k])]
        for name, other in reversed(kin):  # what is written later wins
            if other >= 0:
                place[bones[other]] = _code(name)
        place[bones[k]] = _code("limb")
        place[anywhere] = _code("other")
        for name, other in reversed(kin):
            if other >= 0:
                place[near[other]] = _code(name)
        place[near[k]] = _code("own")
    return codes


def _code(name: str) -> int:
    return PLACES.index(name)


def place_areas(places: Codes) -> Floats:
    """Share of the pixels in each of `PLACES`: what a uniform map would have there.  (H, W) -> (P,), sum 1."""
    counts = np.bincount(places.ravel(), minlength=len(PLACES))
    areas: Floats = counts / places.size
    return areas


def place_shares(values: Floats, places: Codes) -> Floats:
    """Share of a map's mass in each of `PLACES`.

    Args:
        values: (H, W) >= 0, any scale.
        places: (H, W) of `place_maps`.

    Returns:
        (P,) float64, sum 1; NaN for a map that is all zero or not finite.

    Raises:
        ShapeError: the two differ in shape.

    >>> place_shares(np.array([[3.0, 1.0]]), np.array([[0, 1]], np.int8))[:3].tolist()
    [0.75, 0.25, 0.0]
    """
    if values.shape != places.shape:
        raise ShapeError(f"the map has shape {values.shape}, the places {places.shape}; expected the same")
    mass = np.bincount(places.ravel(), weights=values.ravel().astype(np.float64), minlength=len(PLACES))
    total = float(mass.sum())
    shares: Floats = mass / total if math.isfinite(total) and total > 0 else np.full(len(PLACES), math.nan)
    return shares


def densest_spot(values: Floats, sigma: float) -> tuple[int, int]:
    """(x, y) of the pixel around which a Gaussian window holds most of the map; zero outside it.

    Args:
        values: (H, W) >= 0, finite.
        sigma: px of the window.

    >>> densest_spot(np.array([[0.0, 5.0, 0.0, 3.0, 3.0, 3.0]]), 1.0)  # more around there than at the single peak
    (4, 0)
    """
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(values, sigma, mode="constant", truncate=3.0)
    y, x = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return int(x), int(y)


def spot_mass(values: Floats, centre: Sequence[float], radius: float) -> tuple[float, float]:
    """Share of a map's mass, and of its pixels, within `radius` of a point (x, y).

    >>> spot_mass(np.array([[2.0, 1.0, 1.0, 0.0]]), (0, 0), 1.0)
    (0.75, 0.5)
    """
    ys, xs = np.mgrid[: values.shape[0], : values.shape[1]]
    inside = np.hypot(xs - centre[0], ys - centre[1]) <= radius
    total = float(values.sum(dtype=np.float64))
    if not math.isfinite(total) or total <= 0:
        return math.nan, float(inside.mean())
    return float(values[inside].sum(dtype=np.float64)) / total, float(inside.mean())


def fixed_offset(offsets: Floats, tolerance: float, *, most: int = 1000) -> Bools:
    """Which of N offsets lie where the others' most frequent offset is.

    The most frequent offset is the one with most others within `tolerance`; for each offset it is looked for without that
    offset itself, so that offsets drawn by chance do not agree with themselves.

    Args:
        offsets: (N, 2), NaN: agrees with none.
        tolerance: in their unit.
        most: offsets that are tried, evenly chosen where there are more.

    Returns:
        (N,) bool.

    >>> fixed_offset(np.array([[5.0, 0.0], [5.0, 1.0], [5.0, 0.5], [0.0, 9.0]]), 1.0).tolist()
    [True, True, True, False]
    """
    agree = np.zeros(len(offsets), dtype=bool)
    known = np.flatnonzero(np.isfinite(offsets).all(1))
    if len(known) < 2:
        return agree
    tried = known[:: -(-len(known) // most)]
    within = np.linalg.norm(offsets[known, None] - offsets[None, tried], axis=-1) <= tolerance  # (N, tried)
    others = within.sum(0)[None] - within
    others[known[:, None] == tried[None]] = -1
    agree[known] = within[np.arange(len(known)), others.argmax(1)]
    return agree


def person_size(points: Floats, box: Sequence[float] | None, inverse_warp: Floats) -> float:
    """How large a person is, px of the input: the square root of the area of its box.

    Args:
        points: (K, 2) input px, NaN where unknown.
        box: x0, y0, x1, y1 of the original image; None: what the points span, the shorter side at least half the longer.
        inverse_warp: (2, 3) input px -> original px.

    Returns:
        NaN without a box and with fewer than two points, or of a box without area.

    >>> person_size(np.zeros((0, 2)), (10, 10, 30, 90), np.array([[2.0, 0, 5], [0, 2.0, 5]]))
    20.0
    """
    if box is not None:
        sides, scale = np.array([box[2] - box[0], box[3] - box[1]]), abs(np.linalg.det(inverse_warp[:, :2]))
        area = float(sides.clip(0).prod() / scale) if scale > 0 else 0.0
    else:
        known = points[np.isfinite(points).all(1)]
        sides = np.ptp(known, axis=0) if len(known) > 1 else np.zeros(2)
        area = float(max(sides.min(), sides.max() / 2) * sides.max())
    return math.sqrt(area) if area > 0 and math.isfinite(area) else math.nan
