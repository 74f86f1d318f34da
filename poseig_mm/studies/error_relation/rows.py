"""Correlations of the indices with the error, from the table of joints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from ...summary.estimates import estimate_columns, visible_joints
from ...summary.measures import group_order, images_of, joint_order


def correlation_table(joints: pl.DataFrame, names: Sequence[str]) -> list[dict[str, Any]]:
    """Pearson's and Spearman's correlation of each index with EPE.

    Args:
        joints: the store's `joints`, or rows of it.
        names: the indices, columns of it.

    Returns:
        A row a measure and `level`: 'all' (all visible joints), 'person' (persons' means against their MEPE), 'group',
        'joint'; `of` names the group or joint.  Intervals over images; NaN where either does not vary or where there
        are fewer than three pairs, with a `reason`.
    """
    from ...functional.inference import correlation

    table = []
    for name in names:
        for level, of, rows in _levels(joints, name):
            x, y, images = rows[name].to_numpy(), rows["epe"].to_numpy(), images_of(rows)
            pearson = correlation(x, y, images)
            spearman = correlation(x, y, images, method="spearman")
            reason = "" if math.isfinite(spearman.mean) else "fewer than three pairs" if len(x) < 3 else "does not vary"
            table.append(
                {"measure": name, "level": level, "of": of, "n": len(x), "persons": rows["sample_id"].n_unique()}
                | estimate_columns("pearson", pearson)
                | estimate_columns("spearman", spearman)
                | {"reason": reason}
            )
    return table


def _levels(joints: pl.DataFrame, measure: str) -> Iterator[tuple[str, str, pl.DataFrame]]:
    """(level, name, rows with both numbers)."""
    visible = visible_joints(joints)
    rows = visible.filter(pl.col(measure).is_finite() & pl.col("epe").is_finite())
    yield "all", "all joints", rows
    image = [c for c in ("image_id",) if c in rows.columns]
    numbers = (pl.col(measure).mean(), pl.col("epe").mean())
    means = rows.group_by("sample_id").agg(*numbers, pl.col(image).first()).sort("sample_id")
    yield "person", "persons' means", means
    groups = group_order(visible)
    for group in groups:
        yield "group", group, rows.filter(pl.col("group") == group)
    for joint, name, _ in joint_order(visible, groups):
        yield "joint", name, rows.filter(pl.col("joint") == joint)
