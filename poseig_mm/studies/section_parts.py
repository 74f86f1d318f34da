"""What the sections of several studies have alike: rows part by part, shares in per cent, counts of reasons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from ..store.reader import Store
from ..types import Table

if TYPE_CHECKING:
    from ..functional.inference import Comparison
    from ..functional.statistics import Estimate


K = TypeVar("K")


def study_rows(store: Store, name: str) -> pl.DataFrame:
    """The table of a study, empty where the run has none."""
    return store.study(name) if name in store.studies else pl.DataFrame()


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
    """Mean of a column over the mean of another, in rows that have both; persons are resampled."""
    from ..functional.statistics import bootstrap_of

    columns = rows.select(pl.col(above, below).fill_null(math.nan)).to_numpy()
    return bootstrap_of(lambda sums: sums[:, 0] / sums[:, 1], columns, rows["sample_id"].to_numpy())


def with_holm(comparisons: Mapping[K, Comparison]) -> dict[K, tuple[Comparison, float]]:
    """Each comparison with its p-value after Holm's correction for all of them."""
    from ..functional.inference import holm

    corrected = holm([c.p for c in comparisons.values()])
    return {key: (c, float(p)) for (key, c), p in zip(comparisons.items(), corrected, strict=True)}


def reasons_by(rows: pl.DataFrame, by: Sequence[str], caption: str, columns: Sequence[str]) -> tuple[Table, ...]:
    """How many rows lack a number for which reason, by some of their columns; no table where none does.

    Args:
        rows: of a study, with a column `reason`.
        by: columns that stand before the reason.
        caption, columns: of the table; its last column counts rows.
    """
    counts = rows.filter(pl.col("reason") != "").group_by(*by, "reason").len().sort(*by, "reason").rows()
    return (Table(caption, tuple(columns), tuple(counts)),) if counts else ()
