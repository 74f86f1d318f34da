"""What the sections of several studies have alike: rows part by part, a mean pose, shares in per cent, reasons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..store.reader import Store
from ..summary.measures import explained_columns, images_of
from ..types import Table

if TYPE_CHECKING:
    from ..functional.inference import Comparison
    from ..functional.statistics import Estimate


K = TypeVar("K")


def study_rows(store: Store, name: str) -> pl.DataFrame:
    """The table of a study with the `image_id` of its persons, empty where the run has none."""
    rows = store.study(name) if name in store.studies else pl.DataFrame()
    if "sample_id" not in rows.columns or "image_id" in rows.columns:
        return rows
    return rows.join(store.samples().select("sample_id", "image_id"), on="sample_id", how="left", maintain_order="left")


def parts_of(rows: pl.DataFrame, column: str, values: Sequence[str]) -> list[tuple[str, pl.DataFrame]]:
    """Each value with the rows that have it in a column; 'all' with all rows.

    >>> table = pl.DataFrame({'group': ['leaf', 'trunk', 'leaf']})
    >>> [(name, len(part)) for name, part in parts_of(table, 'group', ['leaf', 'all'])]
    [('leaf', 2), ('all', 3)]
    """
    return [(v, rows if v == "all" else rows.filter(pl.col(column) == v)) for v in values]


def percent(share: Estimate) -> Estimate:
    """A share as per cent."""
    return replace(share, **{name: 100 * getattr(share, name) for name in ("mean", "std", "low", "high")})


def mean_pose(store: Store, count: int) -> NDArray[np.float64]:
    """Mean place (K, 2) of every joint in the box of its person's visible joints, of persons with most of them visible;
    NaN where there is none.
    """
    joints = store.joints()
    visible = joints["visible"].to_numpy().reshape(-1, count)
    points = joints.select(explained_columns(store, joints)).to_numpy().astype(np.float64).reshape(-1, count, 2)
    seen = visible & np.isfinite(points).all(2)
    whole = seen.sum(1) >= max(2, 0.8 * seen.sum(1).max(initial=0))
    points = np.where(seen[..., None], points, np.nan)[whole]
    if not len(points):
        return np.full((count, 2), np.nan)
    low, high = np.nanmin(points, 1, keepdims=True), np.nanmax(points, 1, keepdims=True)
    placed = (points - low) / np.maximum((high - low).max(2, keepdims=True), 1e-9)
    n = np.isfinite(placed).sum(0)
    mean: NDArray[np.float64] = np.where(n > 0, np.nansum(placed, 0) / np.maximum(n, 1), np.nan)
    return mean


def ratio_of_means(rows: pl.DataFrame, above: str, below: str) -> Estimate:
    """Mean of a column over the mean of another, none negative, in rows that have both; images resampled."""
    from ..functional.statistics import bootstrap_ratio

    columns = rows.select(pl.col(above, below).fill_null(math.nan)).to_numpy()
    return bootstrap_ratio(columns[:, 0], columns[:, 1], images_of(rows))


def with_holm(comparisons: Mapping[K, Comparison]) -> dict[K, tuple[Comparison, float]]:
    """Each comparison with its p-value after Holm's correction for all of them; `Missing` where there is none."""
    from ..functional.inference import corrected_p

    corrected = corrected_p(list(comparisons.values()))
    return {key: (c, p) for (key, c), p in zip(comparisons.items(), corrected, strict=True)}


def reasons_by(rows: pl.DataFrame, by: Sequence[str], caption: str, columns: Sequence[str]) -> tuple[Table, ...]:
    """How many rows lack a number for which reason, by some of their columns; no table where none does.

    Args:
        rows: of a study, with a column `reason`.
        by: columns that stand before the reason.
        caption, columns: of the table; its last column counts rows.
    """
    counts = rows.filter(pl.col("reason") != "").group_by(*by, "reason").len().sort(*by, "reason").rows()
    return (Table(caption, tuple(columns), tuple(counts)),) if counts else ()
