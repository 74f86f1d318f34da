"""The one bootstrap: means, and whatever else is made of sums, with intervals over groups.  numpy and scipy.

An interval has two ends, each the wider one of two: that of the studentised bootstrap, which sees the skewness of the
data, and that of Student's t.  How often it holds the truth: docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ConfigError, ShapeError

N_RESAMPLES = 2000
FEWEST_GROUPS = 4  # below which there is no interval: of three, every ninth resample is one group alone
LEAST_ERROR = 0.2  # a resample's standard error is taken as this share of the data's at least
_CHUNK = 262_144  # how often each group was drawn, so many counts at once
_KEPT = 16_777_216  # counts up to which the draws are kept for the next interval of as many groups
Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]


@dataclass(frozen=True)
class Estimate:
    """A mean, or another number, of `n` finite values with its interval; NaN where there is none."""

    n: int
    mean: float
    std: float  # of the single values, n - 1 in the denominator; NaN where the number is of no single values (a ratio)
    low: float
    high: float


NOTHING = Estimate(0, math.nan, math.nan, math.nan, math.nan)


def bootstrap_mean(
    values: ArrayLike,
    *,
    n_resamples: int = N_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> Estimate:
    """Mean of the finite values, with its interval.

    Args:
        values: (N,) any unit; NaN and infinite ones are left out.
        n_resamples, level, seed: as in `bootstrap_of`.
        groups: (N,) labels; whole groups (images, with all their persons and joints) are resampled, and the mean stays
            that of the single values.  None: every value is its own group.

    Returns:
        `Estimate`; n = 0: all NaN; fewer than `FEWEST_GROUPS` groups: the interval is NaN.

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


def bootstrap_ratio(above: ArrayLike, below: ArrayLike, groups: ArrayLike | None = None, *, seed: int = 0) -> Estimate:
    """Sum of `above` over sum of `below`, with its 95 % interval over groups.

    Args:
        above, below: (N,) not negative; pairs with a value that is not finite are left out.
        groups, seed: as in `bootstrap_of`.

    Returns:
        `Estimate` of n pairs in [0, inf], no std.  The interval is that of a / (a + b), which is finite wherever the
        two are not both 0 and treats them alike; its end is infinite where b might as well be 0.

    Raises:
        ShapeError: above, below and groups are not of one length.

    >>> bootstrap_ratio([1.0, 9.0], [2.0, 2.0]).mean
    2.5
    """
    a, b = np.asarray(above, dtype=np.float64).ravel(), np.asarray(below, dtype=np.float64).ravel()
    if a.shape != b.shape:
        raise ShapeError(f"there are {len(a)} values above and {len(b)} below; expected pairs")
    keep = np.isfinite(a) & np.isfinite(b)
    columns = np.stack([np.where(keep, a, math.nan), b], 1)
    share = bootstrap_of(lambda s: s[:, 0] / (s[:, 0] + s[:, 1]), columns, groups, seed=seed, bounds=(0.0, 1.0))
    labels = np.arange(len(a)) if groups is None else np.asarray(groups).ravel()
    over, under = group_sums(columns[keep], labels[keep]).sum(0).tolist()
    mean = over / under if under else math.inf if over else math.nan
    low, high = (math.inf if p >= 1 else p / (1 - p) for p in (share.low, share.high))
    return Estimate(share.n, mean, math.nan, low, high)


def bootstrap_of(
    statistic: Statistic,
    columns: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    n_resamples: int = N_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Any smooth statistic of sums, with its interval over groups.

    Args:
        statistic: from sums of columns (R, C) to values (R,), e.g. a ratio of two means.
        columns: (N, C); rows with a value that is not finite are left out.
        groups: (N,) labels of what is resampled (images); None: every row by itself.
        n_resamples: bootstrap samples.
        level: of the interval.
        seed: makes the interval repeatable.
        bounds: what the statistic can be at all; the interval's ends stay inside.

    Returns:
        `Estimate`: n rows, the statistic of all rows, no std, and the interval (NaN with fewer than `FEWEST_GROUPS`
        groups, or where less than half of the resamples have a value).

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
        return NOTHING
    sums = group_sums(x, labels)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(sums.sum(0, keepdims=True))[0])
        low, high = math.nan, math.nan
        if len(sums) >= FEWEST_GROUPS:
            low, high = np.clip(_interval(statistic, sums, value, n_resamples, level, seed), *bounds)
    return Estimate(len(x), value, math.nan, float(low), float(high))


def group_sums(columns: Array, labels: NDArray[Any]) -> Array:
    """Sums (G, C) of the rows of columns (N, C) with the same label, sorted by it.

    >>> group_sums(np.array([[1.0], [2.0], [3.0]]), np.array(['b', 'a', 'b'])).tolist()
    [[2.0], [4.0]]
    """
    _, inverse = np.unique(labels, return_inverse=True)
    sums: Array = np.stack([np.bincount(inverse, weights=column) for column in columns.T], 1).astype(np.float64)
    return sums


def _interval(
    statistic: Statistic, sums: Array, value: float, n_resamples: int, level: float, seed: int
) -> tuple[float, float]:
    """The ends from the sums of each group (G, C)."""
    from scipy.special import stdtrit

    (count, width), total = sums.shape, sums.sum(0)
    centred = sums - total / count
    products = (centred[:, :, None] * centred[:, None, :]).reshape(count, -1)
    # for differences: small against the sums' scatter, but not against the digits that they have
    steps = np.maximum(1e-6 * np.sqrt((centred**2).sum(0)), 1e-8 * np.abs(total))

    def error(at: Array, second: Array, here: Array | None = None) -> Array:
        """Standard error by the delta method, at sums (R, C), with second moments (R, C * C).

        With the values `here` (R,) slopes are taken to one side, at half the cost; else to both, for more digits.
        """
        slopes = np.zeros_like(at)
        for column in np.flatnonzero(centred.any(0)):
            after, before = at.copy(), at.copy()
            after[:, column] += steps[column]
            before[:, column] -= 0 if here is not None else steps[column]
            difference = statistic(after) - (statistic(before) if here is None else here)
            slopes[:, column] = difference / (after[:, column] - before[:, column])
        scatter = ((slopes[:, None] @ second.reshape(-1, width, width))[:, 0] * slopes).sum(1)
        errors: Array = np.sqrt(np.maximum(scatter * count / (count - 1), 0))
        return errors

    own = float(error(total[None], products.sum(0)[None])[0])
    if own == 0:
        return value, value
    moments = np.concatenate([times @ np.hstack([centred, products]) for times in draws(count, n_resamples, seed)])
    off, second = moments[:, :width], moments[:, width:]
    second = second - (off[:, :, None] * off[:, None, :]).reshape(len(off), -1) / count
    drawn = total + off
    values = statistic(drawn)
    t = (values - value) / np.maximum(error(drawn, second, values), LEAST_ERROR * own)
    t = t[np.isfinite(t)]
    if not len(t) or len(t) < n_resamples / 2:
        return math.nan, math.nan
    student = float(stdtrit(count - 1, (1 + level) / 2))
    least, most = np.quantile(t, [(1 - level) / 2, (1 + level) / 2])
    return value - max(float(most), student) * own, value - min(float(least), -student) * own


def draws(count: int, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Iterator[Array]:
    """How often each of `count` groups is in each resample, drawn with replacement: (n_resamples, count) in chunks.

    >>> [times.sum(1).tolist() for times in draws(5, 3)]
    [[5.0, 5.0, 5.0]]
    """
    step = max(1, _CHUNK // count)
    if count * n_resamples > _KEPT:
        yield from (times.astype(np.float64) for times in _drawn(count, n_resamples, seed, step))
        return
    kept = _kept_draws(count, n_resamples, seed)
    for start in range(0, n_resamples, step):
        yield kept[start : start + step].astype(np.float64)


@lru_cache(maxsize=8)
def _kept_draws(count: int, n_resamples: int, seed: int) -> NDArray[np.uint8]:
    chunks = _drawn(count, n_resamples, seed, max(1, _CHUNK // count))
    return np.concatenate([times.astype(np.uint8) for times in chunks])  # no group is ever drawn 256 times


def _drawn(count: int, n_resamples: int, seed: int, step: int) -> Iterator[NDArray[Any]]:
    rng = np.random.default_rng(seed)
    for start in range(0, n_resamples, step):
        drawn = rng.integers(0, count, (min(step, n_resamples - start), count))
        drawn += count * np.arange(len(drawn))[:, None]
        yield np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
