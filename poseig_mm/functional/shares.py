"""Shares of counts that come in groups (joints of persons), with intervals.  numpy only."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ShapeError
from .statistics import Estimate, bootstrap_of

Z = 1.959963984540054  # 97.5 % quantile of the normal distribution


def share(hits: ArrayLike, totals: ArrayLike, *, seed: int = 0) -> Estimate:
    """Sum of hits over sum of totals, with its 95 % interval.

    Args:
        hits, totals: (N,) counts of each group, 0 <= hits <= totals.
        seed: of the bootstrap.

    Returns:
        `Estimate` with n = sum of totals, mean and interval in [0, 1], no std.  The interval is a bootstrap over
        groups; where all or nothing is a hit, resampling shows no spread, and it is Wilson's, as if each of the n were
        drawn by itself.

    Raises:
        ShapeError: hits and totals of different lengths.

    >>> rate = share([1, 0, 2], [2, 2, 4])
    >>> rate.n, rate.mean
    (8, 0.375)
    >>> none = share([0, 0], [4, 4])
    >>> none.mean, none.low, round(none.high, 3)  # z^2 / (n + z^2)
    (0.0, 0.0, 0.324)
    """
    h, t = (np.asarray(v, dtype=np.float64).ravel() for v in (hits, totals))
    if h.shape != t.shape:
        raise ShapeError(f"there are {len(h)} hits and {len(t)} totals; expected one of each a group")
    n, k = int(t.sum()), float(h.sum())
    if n == 0:
        return Estimate(0, math.nan, math.nan, math.nan, math.nan)
    if 0 < k < n:
        return replace(bootstrap_of(lambda s: s[:, 0] / s[:, 1], np.stack([h, t], 1), seed=seed), n=n)
    edge = Z**2 / (n + Z**2)
    return Estimate(n, k / n, math.nan, *((0.0, edge) if k == 0 else (1 - edge, 1.0)))
