"""Estimates and comparisons as columns of a row, and back; the rows that count for them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from ..functional.inference import Comparison
    from ..functional.statistics import Estimate


TOO_FEW = "fewer than 8 persons, not tested"
Row = dict[str, Any]


def visible_joints(joints: pl.DataFrame) -> pl.DataFrame:
    """The rows of the store's `joints` that can have numbers."""
    return joints.filter(pl.col("visible"))


def person_means(joints: pl.DataFrame, measure: str) -> pl.DataFrame:
    """`sample_id` and the mean of the measure's finite values, `value`, of each person that has one, sorted."""
    finite = joints.filter(pl.col(measure).is_finite())
    return finite.group_by("sample_id").agg(pl.col(measure).mean().alias("value")).sort("sample_id")


def estimate_columns(name: str, value: Estimate) -> Row:
    """An estimate as five columns of a row; its mean has the plain name.

    >>> from poseig_mm.functional.statistics import Estimate
    >>> estimate_columns('mean', Estimate(2, 1.0, 0.5, 0.1, 1.9))
    {'mean': 1.0, 'mean_n': 2, 'mean_std': 0.5, 'mean_low': 0.1, 'mean_high': 1.9}
    """
    return {
        name: value.mean,
        f"{name}_n": value.n,
        f"{name}_std": value.std,
        f"{name}_low": value.low,
        f"{name}_high": value.high,
    }


def estimate_of(row: Mapping[str, Any], name: str) -> Estimate:
    """The estimate that `estimate_columns` took apart."""
    from ..functional.statistics import Estimate

    mean, n, std, low, high = (row[f"{name}{tail}"] for tail in ("", "_n", "_std", "_low", "_high"))
    return Estimate(int(n), float(mean), float(std), float(low), float(high))


def comparison_columns(name: str, comparison: Comparison, persons: int) -> Row:
    """A comparison as columns, its difference by `name`; `p_holm` is filled in by `corrected`."""
    return estimate_columns(name, comparison.difference) | {
        "persons": persons,
        "p": comparison.p,
        "p_holm": math.nan,
        "effect": comparison.effect,
        "reason": reason_of(comparison),
    }


def reason_of(comparison: Comparison) -> str:
    """Why there is no difference, or no test of it; '' where there is."""
    if not math.isfinite(comparison.difference.mean):
        return "no values"
    return "" if math.isfinite(comparison.p) else TOO_FEW


def corrected(rows: Sequence[Row]) -> list[Row]:
    """The same rows with Holm's correction over all their `p`.

    >>> [row['p_holm'] for row in corrected([{'p': 0.01}, {'p': 0.04}, {'p': float('nan')}])]
    [0.02, 0.04, nan]
    """
    from ..functional.inference import holm

    return [row | {"p_holm": float(p)} for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True)]
