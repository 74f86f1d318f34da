"""Shares of counts that come in groups (joints of persons), with intervals.  numpy and scipy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ShapeError
from .statistics import FEWEST_GROUPS, NOTHING, Array, Estimate, group_sums

# What is believed of how alike a group's joints are before looking, and by how many groups with both kinds of joints it
# is outweighed; chosen by simulation, docs/statistics.md.
ALIKE = 0.3  # intra-class correlation
BELIEF = 4


def share(hits: ArrayLike, totals: ArrayLike, groups: ArrayLike | None = None) -> Estimate:
    """Sum of hits over sum of totals, with its 95 % interval.

    The interval is Wilson's with Student's quantile of the number of groups, for as many independent joints as these
    are worth: their number over the design effect.  That is measured between groups, at least 1, and drawn towards what
    `ALIKE` would make it where few groups have hits (or misses); where none has, a group counts as one joint.

    Args:
        hits, totals: (N,) counts, 0 <= hits <= totals.
        groups: (N,) labels of the images; None: every entry by itself.

    Returns:
        `Estimate` with n = sum of totals, mean and interval in [0, 1], no std; fewer than `FEWEST_GROUPS` groups with a
        total: the interval is NaN.

    Raises:
        ShapeError: hits, totals and groups are not of one length.

    >>> rate = share([1, 0, 2, 1, 0], [2, 2, 4, 1, 1])
    >>> rate.n, rate.mean
    (10, 0.4)
    >>> none = share([0] * 12, [4] * 12)  # t^2 / (12 + t^2), t the quantile with 11 degrees of freedom
    >>> none.mean, none.low, round(none.high, 3)
    (0.0, 0.0, 0.288)
    """
    h, t = (np.asarray(v, dtype=np.float64).ravel() for v in (hits, totals))
    labels = np.arange(len(h)) if groups is None else np.asarray(groups).ravel()
    if not len(h) == len(t) == len(labels):
        raise ShapeError(
            f"there are {len(h)} hits, {len(t)} totals and {len(labels)} labels; expected one of each a group"
        )
    counted = t > 0
    h, t = group_sums(np.stack([h, t], 1)[counted], labels[counted]).T
    n, count = float(t.sum()), len(t)
    if n == 0:
        return NOTHING
    p = float(h.sum()) / n
    if count < FEWEST_GROUPS:
        return Estimate(int(n), p, math.nan, math.nan, math.nan)
    return Estimate(int(n), p, math.nan, *_wilson(p, n / _design_effect(h, t), count))


def _design_effect(h: Array, t: Array) -> float:
    """How many joints are worth one that is drawn by itself."""
    n, count, p = float(t.sum()), len(t), float(h.sum() / t.sum())
    largest = float((t**2).sum()) / n  # a group's joints all alike
    if not 0 < p < 1:
        return largest
    scatter = float(((h - p * t) ** 2).sum()) * count / (count - 1) / n**2
    measured = max(scatter / (p * (1 - p) / n), 1.0)
    mixed = min(int((h > 0).sum()), int((h < t).sum()))
    believed = 1 + ALIKE * (largest - 1)
    return max(measured, (mixed * measured + BELIEF * believed) / (mixed + BELIEF))


def _wilson(p: float, n: float, count: int) -> tuple[float, float]:
    from scipy.special import stdtrit

    z = float(stdtrit(count - 1, 0.975))
    middle, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = ((middle + side * half) / (1 + z**2 / n) for side in (-1, 1))
    return (0.0 if p == 0 else low), (1.0 if p == 1 else high)
