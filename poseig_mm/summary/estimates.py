"""Estimates and comparisons as columns of a row, and back; the rows that count for them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from ..types import Missing

if TYPE_CHECKING:
    from ..functional.inference import Comparison
    from ..functional.statistics import Estimate


Row = dict[str, Any]


def visible_joints(joints: pl.DataFrame) -> pl.DataFrame:
    """The rows of the store's `joints` that can have numbers."""
    return joints.filter(pl.col("visible"))


def person_means(joints: pl.DataFrame, measure: str) -> pl.DataFrame:
    """`sample_id` and the mean of the measure's finite values, `value`, of each person that has one, sorted.

    With `image_id`, where the rows have it.
    """
    finite, image = joints.filter(pl.col(measure).is_finite()), [c for c in ("image_id",) if c in joints.columns]
    means = finite.group_by("sample_id").agg(pl.col(measure).mean().alias("value"), pl.col(image).first())
    return means.sort("sample_id")


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
    """A comparison as columns, its difference by `name`; `p_holm` and `reason` are filled in by `with_p_holm`.

    `images` is how many are compared: images, or persons where each has its own.
    """
    return estimate_columns(name, comparison.difference) | {
        "persons": persons,
        "images": comparison.groups,
        "p": comparison.p,
        "p_holm": math.nan,
        "effect": comparison.effect,
        "reason": "",
    }


def with_p_holm(rows: Sequence[Row], comparisons: Sequence[Comparison]) -> list[Row]:
    """The same rows with Holm's correction over all their comparisons, or the reason why there is no p."""
    from ..functional.inference import corrected_p

    return [
        row | {"p_holm": float(p), "reason": p.reason if isinstance(p, Missing) else ""}
        for row, p in zip(rows, corrected_p(comparisons), strict=True)
    ]


def p_holm_of(row: Mapping[str, Any]) -> float:
    """The corrected p of a row, with its reason where there is none.

    >>> p_holm_of({'p_holm': 0.04, 'reason': ''}), p_holm_of({'p_holm': math.nan, 'reason': 'no values'}).reason
    (0.04, 'no values')
    """
    p = float(row["p_holm"])
    return Missing(row["reason"]) if math.isnan(p) and row["reason"] else p
