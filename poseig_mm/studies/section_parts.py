"""What the sections of several studies have alike: rows part by part, shares in per cent, counts of reasons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from ..store.reader import Store
from ..summary.measures import images_of
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
