"""Where a map's evidence lies: its mass in places that exclude one another, and its densest spots.  numpy and scipy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ShapeError
from ...functional.limbs import limb_distance, limb_segments

# In the order of precedence: a pixel of two places belongs to the first.  'person' and 'background' need a mask;
# without one, what is left is 'unknown'.
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

    own: within `radius` of the joint.  parent, partner, other: within `radius` of the kinematic parent, of the
    left-right partner, of any other joint.  limb: within half the radius of the joint's own bones (`limb_segments`).
    Then, still nowhere: the parent's and the partner's own bones count as parent and partner.  person, background: the
    rest, on and off the mask.  Joints nearer to each other than the radius cannot be told apart: what lies around both
    is 'own'.

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


@dataclass(frozen=True)
class Spot:
    """A disc that holds much of a map."""

    x: int  # px, of its middle
    y: int
    share: float  # of the map's mass, without what denser spots hold
    area: float  # share of the pixels


def densest_spots(values: Floats, radius: float, count: int) -> list[Spot]:
    """The densest spots of a map, one after the other: each is sought in what the spots before it have left.

    A spot's middle is where a Gaussian window of standard deviation radius / 2 holds most; the map counts as zero
    outside.

    Args:
        values: (H, W) >= 0, any scale.
        radius: px.
        count: of spots.

    Returns:
        Densest first; fewer where nothing is left, none for a map that is all zero or not finite.

    >>> line = np.array([[0.0, 5.0, 0.0, 0.0, 3.0, 3.0, 3.0]])
    >>> [(s.x, round(s.share, 2)) for s in densest_spots(line, 2.0, 2)]  # more around 5 than at the single peak
    [(5, 0.64), (1, 0.36)]
    """
    from scipy.ndimage import gaussian_filter

    total = float(values.sum(dtype=np.float64))
    left, spots = values.copy(), list[Spot]()
    ys, xs = np.mgrid[: values.shape[0], : values.shape[1]]
    while len(spots) < count and math.isfinite(total) and left.any():
        smooth = gaussian_filter(left, radius / 2, mode="constant", truncate=3.0)
        y, x = (int(i) for i in np.unravel_index(int(smooth.argmax()), smooth.shape))
        inside = np.hypot(xs - x, ys - y) <= radius
        spots.append(Spot(x, y, float(left[inside].sum(dtype=np.float64)) / total, float(inside.mean())))
        left[inside] = 0
    return spots


def fixed_offset(offsets: Floats, tolerance: float, *, most: int = 1000) -> NDArray[np.intp]:
    """Which spot of each of N persons lies at the offset where most of the others have one.

    For each person that offset is looked for without its own spots, so that chance does not agree with itself.

    Args:
        offsets: (N, S, 2) of S spots a person from the joint; NaN: no spot.
        tolerance: in their unit; offsets that near are the same.
        most: offsets that are tried, evenly chosen where there are more.

    Returns:
        (N,) the index of that spot, the first of several; -1: none.

    >>> spots = [[[5.0, 0.0], [9.0, 9.0]], [[0.0, 7.0], [5.0, 1.0]], [[5.0, 0.5], [4.0, 7.0]]]
    >>> fixed_offset(np.array(spots), 1.0).tolist()
    [0, 1, 0]
    """
    count, spots = offsets.shape[:2]
    flat = offsets.reshape(-1, 2)
    known = np.flatnonzero(np.isfinite(flat).all(1))
    none = np.full(count, -1)
    if not len(known):
        return none
    tried = known[:: -(-len(known) // most)]
    within = np.linalg.norm(offsets[:, :, None] - flat[tried], axis=-1) <= tolerance  # (N, S, tried)
    reached = within.any(1)  # (N, tried)
    others = reached.sum(0) - reached
    others[tried[None] // spots == np.arange(count)[:, None]] = 0
    best, rows = others.argmax(1), np.arange(count)
    agree = reached[rows, best] & (others[rows, best] > 0)
    return np.where(agree, within[rows, :, best].argmax(1), -1)


def person_size(points: Floats, box: Sequence[float] | None, inverse_warp: Floats) -> float:
    """How large a person is, px of the input: the square root of the area of its box.

    Args:
        points: (K, 2) input px, NaN where unknown.
        box: x0, y0, x1, y1 of the original image; None: what the points span, the shorter side at least half the
            longer.
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
