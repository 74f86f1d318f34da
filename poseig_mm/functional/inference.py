"""Correlations and comparisons with bootstrap intervals; persons are resampled, not joints.  numpy and scipy.

A test on fewer than `FEWEST` values is not made: its p-value is NaN, and `n` says why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ShapeError
from .statistics import Estimate, bootstrap_mean, bootstrap_of, resampled_sums

FEWEST = 8  # values (or persons) below which nothing is tested
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A difference with its interval and a p-value; NaN where it cannot be had."""

    difference: Estimate  # n: values, or pairs
    p: float  # two-sided
    effect: float  # in [-1, 1]: rank-biserial, or Cliff's delta


def correlation(
    x: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    method: Literal["pearson", "spearman"] = "pearson",
    seed: int = 0,
) -> Estimate:
    """Pearson's or Spearman's correlation of the pairs with two finite values, with its interval over groups.

    Spearman's is Pearson's of the ranks in the whole sample; the ranks stay those in the resamples.  NaN where one of
    the two does not vary, or with fewer than three pairs.

    Raises:
        ShapeError: x, y and groups are not of one length.

    >>> [round(correlation([1, 2, 3.0], [1, 4, 9.0], method=m).mean, 3) for m in ('pearson', 'spearman')]
    [0.99, 1.0]
    """
    from scipy.stats import rankdata

    a, b = np.asarray(x, dtype=np.float64).ravel(), np.asarray(y, dtype=np.float64).ravel()
    labels = _labels(a, b, groups)
    keep = np.isfinite(a) & np.isfinite(b)
    a, b, labels = a[keep], b[keep], labels[keep]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return Estimate(len(a), math.nan, math.nan, math.nan, math.nan)
    if method == "spearman":
        a, b = rankdata(a), rankdata(b)
    a, b = a - a.mean(), b - b.mean()
    a, b = a / a.std(), b / b.std()
    columns = np.stack([np.ones_like(a), a, b, a * a, b * b, a * b], 1)

    def pearson(s: Array) -> Array:
        n, sa, sb, saa, sbb, sab = s.T
        va, vb = saa - sa * sa / n, sbb - sb * sb / n
        same = (va <= 1e-12 * saa) | (vb <= 1e-12 * sbb)  # a resample of one pair: what is left is rounding
        result: Array = np.where(same, np.nan, (sab - sa * sb / n) / np.sqrt(np.abs(va * vb)))
        return np.clip(result, -1.0, 1.0)

    return bootstrap_of(pearson, columns, labels, seed=seed)


def _labels(first: Array, second: Array, groups: ArrayLike | None) -> NDArray[Any]:
    """One label a pair: `groups`, or each pair's own."""
    labels = np.arange(len(first)) if groups is None else np.asarray(groups).ravel()
    if not len(first) == len(second) == len(labels):
        raise ShapeError(
            f"{len(first)} and {len(second)} values, {len(labels)} labels; expected pairs, and a label for each"
        )
    return labels


def paired_difference(first: ArrayLike, second: ArrayLike, groups: ArrayLike | None = None) -> Comparison:
    """Mean of second - first over finite pairs; Wilcoxon's signed-rank test on the groups' mean differences.

    `effect` is the matched rank-biserial correlation: +1 where every difference is positive.

    Raises:
        ShapeError: first, second and groups are not of one length.

    >>> paired_difference([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]).difference.mean
    1.0
    """
    from scipy.stats import rankdata, wilcoxon

    a, b = np.asarray(first, dtype=np.float64).ravel(), np.asarray(second, dtype=np.float64).ravel()
    labels = _labels(a, b, groups)
    keep = np.isfinite(a) & np.isfinite(b)
    d, labels = b[keep] - a[keep], labels[keep]
    difference = bootstrap_mean(d, groups=labels)
    if not len(d):
        return Comparison(difference, math.nan, math.nan)
    _, inverse = np.unique(labels, return_inverse=True)
    means = np.bincount(inverse, weights=d) / np.bincount(inverse)
    nonzero = means[means != 0]
    if not len(nonzero):
        return Comparison(difference, 1.0 if len(means) >= FEWEST else math.nan, 0.0)
    ranks = rankdata(np.abs(nonzero))
    effect = float((ranks * np.sign(nonzero)).sum() / ranks.sum())
    p = float(wilcoxon(means).pvalue) if len(means) >= FEWEST else math.nan
    return Comparison(difference, p, effect)


def compare_groups(first: ArrayLike, second: ArrayLike, *, seed: int = 0) -> Comparison:
    """Mean of second minus mean of first, two independent groups: Mann-Whitney U and Cliff's delta.

    The interval resamples each group by itself.  With fewer than `FEWEST` values in a group there is no p-value.

    >>> compare_groups([0.0] * 8, [1.0] * 8).effect
    1.0
    """
    from scipy.stats import mannwhitneyu

    a, b = (np.asarray(v, dtype=np.float64).ravel() for v in (first, second))
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    n, nan = len(a) + len(b), math.nan
    if not len(a) or not len(b):
        return Comparison(Estimate(n, nan, nan, nan, nan), nan, nan)
    low, high = nan, nan
    if min(len(a), len(b)) > 1:
        means = [resampled_sums(v[:, None], seed=seed + i)[:, 0] / len(v) for i, v in enumerate((a, b))]
        low, high = (float(end) for end in np.quantile(means[1] - means[0], [0.025, 0.975]))
    u = mannwhitneyu(b, a)
    p = float(u.pvalue) if min(len(a), len(b)) >= FEWEST else nan
    difference = Estimate(n, float(b.mean() - a.mean()), nan, low, high)
    return Comparison(difference, p, float(2 * u.statistic / (len(a) * len(b)) - 1))


def holm(p: ArrayLike) -> Array:
    """Holm's correction of p-values for being many; NaN stays NaN and does not count.

    >>> holm([0.01, 0.04, float('nan')]).tolist()
    [0.02, 0.04, nan]
    """
    values = np.asarray(p, dtype=np.float64).ravel()
    out = np.full(len(values), math.nan)
    order = [i for i in np.argsort(values, kind="stable") if np.isfinite(values[i])]
    last = 0.0
    for rank, i in enumerate(order):
        last = max(last, min(1.0, float(values[i]) * (len(order) - rank)))
        out[i] = last
    return out
