"""Correlations and comparisons with bootstrap intervals; images are resampled, not joints.  numpy and scipy.

A test on fewer than `FEWEST` groups is not made: its p-value is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ShapeError
from ..types import Missing
from .statistics import NOTHING, Estimate, bootstrap_mean, bootstrap_of, group_sums

FEWEST = 8  # groups (images, or persons) below which nothing is tested
LEVEL = 0.05  # of significance
STRAIGHT = 1 - 1e-12  # a correlation from which on the pairs lie on a line
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A difference with its interval and a p-value; NaN where it cannot be had."""

    difference: Estimate  # n: values, or pairs
    p: float  # two-sided
    effect: float  # in [-1, 1]: rank-biserial, or Cliff's delta
    least_p: float = math.nan  # what p would be were all of the same sign, or apart: as many groups never give less
    groups: int = 0  # groups that were compared, of both sides together


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
    the two does not vary, or with fewer than three pairs.  The interval is that of Fisher's z.

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
        return replace(NOTHING, n=len(a))
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

    def fisher_z(s: Array) -> Array:
        z: Array = np.arctanh(np.clip(pearson(s), -STRAIGHT, STRAIGHT))
        return z

    r = float(pearson(group_sums(columns, labels).sum(0, keepdims=True))[0])
    z = bootstrap_of(fisher_z, columns, labels, seed=seed)
    if abs(r) >= STRAIGHT and math.isfinite(z.low):
        return replace(z, mean=r, low=r, high=r)
    return replace(z, mean=r, low=math.tanh(z.low), high=math.tanh(z.high))


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
    means = _means(d, labels)
    tested, nonzero = len(means) >= FEWEST, means[means != 0]
    if not len(nonzero):
        return Comparison(difference, 1.0 if tested else math.nan, 0.0, _least_signed_rank(len(means)), len(means))
    ranks = rankdata(np.abs(nonzero))
    effect = float((ranks * np.sign(nonzero)).sum() / ranks.sum())
    p = float(wilcoxon(means).pvalue) if tested else math.nan
    return Comparison(difference, p, effect, _least_signed_rank(len(means)), len(means))


def _least_signed_rank(count: int) -> float:
    """p of Wilcoxon's signed-rank test where all groups differ the same way; NaN where they are not tested."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(np.arange(1.0, count + 1)).pvalue) if count >= FEWEST else math.nan


def compare_marked(values: ArrayLike, marked: ArrayLike, strata: ArrayLike, groups: ArrayLike) -> Comparison:
    """Marked values against the others of their stratum, where a group's values are no independent ones.

    `effect` is Cliff's delta, averaged over strata with a weight of n m / (n + m), n marked and m other values.  A
    group's part in that is its marked values' ranks in their strata less the marked share of all its ranks; Wilcoxon's
    signed-rank test is over these parts, and is not made where fewer than `FEWEST` groups have marked values.

    Args:
        values: (N,) those that are not finite are left out, and so are strata where all or none are marked.
        marked: (N,) bool.
        strata: (N,) labels of what is comparable (ordered pairs of joints).
        groups: (N,) labels of what is independent (images).

    Returns:
        `Comparison`, `difference` the mean of the marked values less the means of their strata's others, with its
        interval over the groups with marked values.

    Raises:
        ShapeError: values, marked, strata and groups are not of one length.

    >>> compare_marked([1.0, 2.0, 3.0, 4.0], [False, False, True, True], [0] * 4, [0, 1, 2, 3]).effect
    1.0
    """
    from scipy.stats import rankdata, wilcoxon

    x, mark = np.asarray(values, dtype=np.float64).ravel(), np.asarray(marked, dtype=bool).ravel()
    stratum, labels = _labels(x, mark, strata), _labels(x, mark, groups)
    keep, part, less, weight = np.zeros(len(x), dtype=bool), np.zeros(len(x)), np.zeros(len(x)), 0.0
    for name in np.unique(stratum):
        those = np.flatnonzero((stratum == name) & np.isfinite(x))
        own, share = mark[those], mark[those].mean() if len(those) else 0.0
        if 0 < share < 1:
            keep[those], weight = True, weight + own.sum() * (1 - share)
            part[those] = (own - share) * ((2 * rankdata(x[those]) - 1) / len(those) - 1)
            less[those] = x[those] - x[those][~own].mean()
    if not keep.any():
        return Comparison(NOTHING, math.nan, math.nan)
    difference = bootstrap_mean(less[keep & mark], groups=labels[keep & mark])
    parts = group_sums(part[keep, None], labels[keep])[:, 0]
    images, effect = len(np.unique(labels[keep & mark])), float(parts.sum() / weight)
    if images < FEWEST:
        return Comparison(difference, math.nan, effect, math.nan, images)
    p = float(wilcoxon(parts).pvalue) if parts.any() else 1.0
    return Comparison(difference, p, effect, _least_signed_rank(len(parts)), images)


def compare_groups(
    first: ArrayLike,
    second: ArrayLike,
    first_groups: ArrayLike | None = None,
    second_groups: ArrayLike | None = None,
    *,
    seed: int = 0,
) -> Comparison:
    """Mean of second minus mean of first, two sets of persons: Mann-Whitney U and Cliff's delta.

    Args:
        first, second: (N,) and (M,) values; those that are not finite are left out.
        first_groups, second_groups: labels of the images, which may be in both; None: every value by itself.  Images
            are resampled for the interval, and each side's means of an image are what is tested.
        seed: of the interval.

    With fewer than `FEWEST` images on a side there is no p-value, with one on a side no interval.

    >>> compare_groups([0.0] * 8, [1.0] * 8).effect
    1.0
    """
    from scipy.stats import mannwhitneyu

    sides, alone = [], 0
    for values, groups in ((first, first_groups), (second, second_groups)):
        x = np.asarray(values, dtype=np.float64).ravel()
        labels = np.asarray([f"{i + alone}" for i in range(len(x))] if groups is None else groups).ravel()
        keep, alone = np.isfinite(x), len(x)
        sides.append((x[keep], _labels(x, x, labels)[keep]))
    (a, of_a), (b, of_b) = sides
    n, nan = len(a) + len(b), math.nan
    if not len(a) or not len(b):
        return Comparison(replace(NOTHING, n=n), nan, nan)
    of_second = np.repeat([0.0, 1.0], [len(a), len(b)])
    x, shift = np.concatenate([a, b]), float(a.mean())
    columns = np.stack([of_second * (x - shift), of_second, (1 - of_second) * (x - shift), 1 - of_second], 1)
    difference = bootstrap_of(
        lambda s: s[:, 0] / s[:, 1] - s[:, 2] / s[:, 3], columns, np.concatenate([of_a, of_b]), seed=seed
    )
    a_means, b_means = _means(a, of_a), _means(b, of_b)
    sizes = len(a_means), len(b_means)
    if min(sizes) < 2:
        difference = replace(difference, low=nan, high=nan)
    difference = replace(difference, mean=float(b.mean() - a.mean()))
    u = mannwhitneyu(b_means, a_means)
    p, least = nan, nan
    if min(sizes) >= FEWEST:
        apart = np.arange(float(sum(sizes)))
        p, least = float(u.pvalue), float(mannwhitneyu(apart[sizes[0] :], apart[: sizes[0]]).pvalue)
    return Comparison(difference, p, float(2 * u.statistic / (sizes[0] * sizes[1]) - 1), least, sum(sizes))


def _means(values: Array, labels: NDArray[Any]) -> Array:
    """The mean of each group."""
    _, inverse = np.unique(labels, return_inverse=True)
    means: Array = np.bincount(inverse, weights=values) / np.bincount(inverse)
    return means


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


def corrected_p(comparisons: Sequence[Comparison]) -> list[float]:
    """Holm's correction of the comparisons' p for being many, or why there is none.

    A test that could not be significant whatever the data were, at these numbers of groups and with so many other
    tests, is a `Missing` number, and so is one that was not made.

    >>> corrected_p([Comparison(NOTHING, 0.008, 1.0, 0.008, 8)] * 2)
    [0.016, 0.016]
    >>> corrected_p([Comparison(NOTHING, 0.008, 1.0, 0.008, 8)] * 20)[0].reason
    'cannot be significant with n = 8'
    """
    p, least = holm([c.p for c in comparisons]), holm([c.least_p for c in comparisons])
    return [_p_or_why(*each) for each in zip(comparisons, p, least, strict=True)]


def _p_or_why(comparison: Comparison, p: float, least: float) -> float:
    if not math.isfinite(comparison.p):
        return Missing(f"fewer than {FEWEST} images" if math.isfinite(comparison.difference.mean) else "no values")
    return Missing(f"cannot be significant with n = {comparison.groups}") if least > LEVEL else float(p)
