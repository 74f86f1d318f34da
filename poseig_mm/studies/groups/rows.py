"""Means, variances and paired differences of the groups, from the table of joints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ...summary.estimates import comparison_columns, estimate_columns, person_means, visible_joints, with_p_holm
from ...summary.measures import estimate, group_order, image_count, images_of
from ..section_parts import parts_of

if TYPE_CHECKING:
    from ...functional.inference import Comparison
    from ...functional.statistics import Estimate


Row = dict[str, Any]


def group_table(joints: pl.DataFrame, names: Sequence[str]) -> list[Row]:
    """Long rows of every measure.

    Args:
        joints: the store's `joints`, or rows of it.
        names: columns of it to look at.

    Returns:
        Rows of one `kind` each:
        'mean': of `group` ('all': of all visible joints, with or without a group); `value_std` squared is the
        variance over joints;
        'variance_over_groups': see there; `group` is 'all';
        'difference': `other` minus `group`, persons' means paired; Holm's correction is over all rows of this kind.
    """
    visible = visible_joints(joints)
    groups = group_order(visible)
    means, variances, differences, comparisons = [], [], [], []
    for name in names:
        for group, rows in parts_of(visible, "group", [*groups, "all"]):
            value, known = estimate(rows, name), person_means(rows, name)
            reason = "" if value.n else "no values"
            means.append(_row("mean", name, group, "", value, known.height, image_count(known), reason))
        spread, persons = variance_over_groups(visible, name)
        reason = "" if math.isfinite(spread.mean) else "fewer than two groups with values"
        images = image_count(visible.filter(pl.col(name).is_finite() & (pl.col("group") != "")))
        variances.append(_row("variance_over_groups", name, "all", "", spread, persons, images, reason))
        for first, second in combinations(groups, 2):
            comparison, persons = group_difference(visible, name, first, second)
            head = {"kind": "difference", "measure": name, "group": first, "other": second}
            differences.append(head | comparison_columns("value", comparison, persons))
            comparisons.append(comparison)
    return [*means, *variances, *with_p_holm(differences, comparisons)]


def variance_over_groups(visible: pl.DataFrame, measure: str) -> tuple[Estimate, int]:
    """Population variance of the groups' means, with an interval over images, and how many persons there are.

    The groups are all there are, so the denominator is their number (**choice**; supplement C.2 doesn't say).  Means of
    few joints scatter by themselves: with no difference at all this is above 0, and so is its interval.
    """
    from ...functional.statistics import bootstrap_of

    rows = visible.filter(pl.col(measure).is_finite() & (pl.col("group") != ""))
    groups = group_order(rows)
    value, group = rows[measure].to_numpy(), rows["group"].to_numpy()
    inside = np.stack([group == g for g in groups], 1).astype(np.float64) if groups else np.zeros((len(rows), 0))
    count = len(groups)

    def variance(sums: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if count < 2:
            return np.full(len(sums), math.nan)
        of_means: np.ndarray[Any, Any] = (sums[:, :count] / sums[:, count:]).var(axis=1)
        return of_means

    columns = np.concatenate([inside * value[:, None], inside], 1)
    return bootstrap_of(variance, columns, images_of(rows), bounds=(0.0, math.inf)), rows["sample_id"].n_unique()


def group_difference(visible: pl.DataFrame, measure: str, first: str, second: str) -> tuple[Comparison, int]:
    """Mean of `second` minus mean of `first` in each person that has both, and how many have."""
    from ...functional.inference import paired_difference

    a, b = (person_means(visible.filter(pl.col("group") == g), measure) for g in (first, second))
    both = a.join(b, on="sample_id", suffix="_second").sort("sample_id")
    return paired_difference(both["value"].to_numpy(), both["value_second"].to_numpy(), images_of(both)), both.height


def _row(
    kind: str, measure: str, group: str, other: str, value: Estimate, persons: int, images: int, reason: str
) -> Row:
    """A row without a test."""
    return {
        **{"kind": kind, "measure": measure, "group": group, "other": other},
        **estimate_columns("value", value),
        **{"persons": persons, "images": images, "p": math.nan, "p_holm": math.nan, "effect": math.nan},
        **{"reason": reason},
    }
