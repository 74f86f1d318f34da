"""The one bootstrap: means, and whatever else is made of sums, with intervals over groups.  numpy only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError, ShapeError

N_RESAMPLES = 2000
_CHUNK = 131_072  # drawn labels held at once (1 MiB): what fits a cache is ten times faster than what does not
_FEW = 4  # columns up to which picking what was drawn is faster than counting how often
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean, or another number, of `n` finite values with its interval; NaN where there is none."""

    n: int
    mean: float
    std: float  # of the single values, n - 1 in the denominator; NaN where the number is of no single values (a ratio)
    low: float
    high: float


def bootstrap_mean(
    values: ArrayLike,
    *,
    n_resamples: int = N_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> Estimate:
    """Mean of the finite values, with a percentile bootstrap interval.

    Args:
        values: (N,) any unit; NaN and infinite ones are left out.
        n_resamples, level, seed: as in `bootstrap_of`.
        groups: (N,) labels; whole groups (persons, with all their joints) are resampled, and the mean stays that of the
            single values.  None: every value is its own group.

    Returns:
        `Estimate`; n = 0: all NaN; fewer than 2 groups: the interval is NaN.

    Raises:
        ShapeError: groups of another length.
        ConfigError: no resamples, or a level that is not between 0 and 1.

    >>> bootstrap_mean([1.0, 3.0, float('nan')]).mean
    2.0
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    known = x[np.isfinite(x)]
    mean = float(known.mean()) if len(known) else math.nan
    columns = np.stack([x - mean, np.ones_like(x)]).T  # centred: no loss of digits
    estimate = bootstrap_of(
        lambda sums: mean + sums[:, 0] / sums[:, 1], columns, groups, n_resamples=n_resamples, level=level, seed=seed
    )
    return replace(estimate, n=len(known), mean=mean, std=float(known.std(ddof=1)) if len(known) > 1 else math.nan)


def bootstrap_of(
    statistic: Callable[[Array], Array],
    columns: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    n_resamples: int = N_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Any statistic of sums, with a percentile bootstrap interval over groups.

    Args:
        statistic: from sums of columns (R, C) to values (R,), e.g. a ratio of two means.
        columns: (N, C); rows with a value that is not finite are left out.
        groups: (N,) labels of what is resampled (persons); None: every row by itself.
        n_resamples: bootstrap samples.
        level: of the interval.
        seed: makes the interval repeatable.

    Returns:
        `Estimate`: n rows, the statistic of all rows, no std, and the interval (NaN with fewer than two groups, or
        where less than half of the resamples have a value).

    Raises:
        ShapeError: columns that are no table, or groups of another length.
        ConfigError: no resamples, or a level that is not between 0 and 1.

    >>> bootstrap_of(lambda s: s[:, 0] / s[:, 1], [[2.0, 1.0], [4.0, 2.0], [6.0, 3.0]]).mean
    2.0
    """
    if n_resamples < 1 or not 0 < level < 1:
        raise ConfigError(f"n_resamples is {n_resamples} and level {level}; expected at least 1, and between 0 and 1")
    x = np.asarray(columns, dtype=np.float64)
    if x.ndim != 2:
        raise ShapeError(f"columns have shape {x.shape}; expected (N, C)")
    labels = np.arange(len(x)) if groups is None else np.asarray(groups).ravel()
    if len(labels) != len(x):
        raise ShapeError(f"groups have {len(labels)} entries for {len(x)} rows; expected one label a row")
    keep = np.isfinite(x).all(1)
    if not keep.all():
        x, labels = x[keep], labels[keep]
    if not len(x):
        return Estimate(0, math.nan, math.nan, math.nan, math.nan)
    _, inverse = np.unique(labels, return_inverse=True)
    sums = np.stack([np.bincount(inverse, weights=column) for column in x.T], 1).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(sums.sum(0, keepdims=True))[0])
        drawn = statistic(resampled_sums(sums, n_resamples, seed)) if len(sums) > 1 else np.empty(0)
    drawn = drawn[np.isfinite(drawn)]
    low, high = _interval(drawn, level) if len(drawn) >= n_resamples / 2 else (math.nan, math.nan)
    return Estimate(len(x), value, math.nan, low, high)


def resampled_sums(sums: Array, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Array:
    """Sums (n_resamples, C) over as many groups as there are, drawn with replacement from (G, C); chunks draw the same.

    >>> resampled_sums(np.ones((5, 1)), 3).tolist()
    [[5.0], [5.0], [5.0]]
    """
    rng, n, parts = np.random.default_rng(seed), len(sums), []
    columns = [np.ascontiguousarray(column) for column in sums.T]
    step = max(1, _CHUNK // n)
    for start in range(0, n_resamples, step):
        drawn = rng.integers(0, n, (min(step, n_resamples - start), n))
        if len(columns) <= _FEW:
            parts.append(np.stack([column.take(drawn).sum(1) for column in columns], 1))
        else:
            drawn += n * np.arange(len(drawn))[:, None]
            times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
            parts.append(times.astype(np.float64) @ sums)
    return np.concatenate(parts)


def _interval(drawn: Array, level: float) -> tuple[float, float]:
    """The percentiles of what was drawn that leave as much out below as above."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
