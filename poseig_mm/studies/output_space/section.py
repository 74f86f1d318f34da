"""The section on output spaces: how much the indices depend on what is explained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ...functional.inference import FEWEST
from ...functional.statistics import Estimate
from ...plotting.charts import JointEstimates, dot_plot
from ...store.reader import Store
from ...summary.measures import Measure, estimate, finite
from ...summary.sentences import format_estimate, plural
from ...types import Gallery, Picture, Section, Table
from ..choice import kept_gallery
from ..section_parts import reasons_by, study_rows
from .rows import INDICES, PUBLISHED_FACTOR, Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["output_space_section"]

ORDER = 390
TITLE = "What is explained"
KEYS = ("sample_id", "joint")
Estimates = Mapping[str, Estimate]


def output_space_section(store: Store, name: str) -> Section | None:
    """None where no joint took part."""
    if not len(rows := study_rows(store, name)):
        return None
    targets = _targets(rows)
    default = next((t for t in targets if t.factor == PUBLISHED_FACTOR), targets[0])
    values = {t: {i: estimate(_of(rows, t), i) for i in INDICES} for t in targets}
    changes = {t: _changes(rows, t, default) for t in targets if t != default}
    blocks: tuple[Table | Picture | Gallery, ...] = (
        _table(rows, values),
        _change_table(changes, default),
        Picture("output_space", _CAPTION, _chart(values)),
        *kept_gallery(store, name, _GALLERY),
        *reasons_by(rows, ("space", "function"), "Why numbers are missing.", ("space", "function", "reason", "rows")),
    )
    return Section(name, TITLE, _lead(rows, changes, default), blocks, ORDER)


_CAPTION = (
    "Mean and 95 % interval (persons resampled) under each target; dashed: no preference. The scales do not start at 0."
)
_GALLERY = (
    "A row a joint (ringed), a column a target: exp_l2 with its factor per heatmap px, minus the distance, minus its "
    "square; the heatmap at the joint, minus its squared error. Below each map DI, FI, LI."
)


def _targets(rows: pl.DataFrame) -> list[Target]:
    """In the order of the rows, each once (NaN is unlike itself, titles are not)."""
    targets = (Target(*row) for row in rows.select("space", "function", pl.col("factor").fill_null(math.nan)).rows())
    return list({target.title: target for target in targets}.values())


def _of(rows: pl.DataFrame, target: Target) -> pl.DataFrame:
    factor = pl.col("factor").is_nan() if math.isnan(target.factor) else pl.col("factor") == target.factor
    return rows.filter((pl.col("space") == target.space) & (pl.col("function") == target.function) & factor)


def _changes(rows: pl.DataFrame, target: Target, default: Target) -> dict[str, Estimate]:
    """Mean absolute difference of each index to the default's, over joints that have both."""
    pairs = _of(rows, target).join(_of(rows, default), on=KEYS, suffix="_default")
    return {i: estimate(pairs.with_columns((pl.col(i) - pl.col(f"{i}_default")).abs().alias(i)), i) for i in INDICES}


def _table(rows: pl.DataFrame, values: Mapping[Target, Estimates]) -> Table:
    lines = tuple(
        (t.title, e["di"].n, *(e[i] for i in INDICES),
         _median(_of(rows, t), "residual_rel"), _median(_of(rows, t), "map_error"))
        for t, e in values.items()
    )  # fmt: skip
    columns = ("target", "n", "DI", "FI", "LI", "residual", "map error")
    caption = (
        "Indices by target, a likelihood of the coordinates (with its factor per heatmap px) or a scalar of the "
        "heatmap: mean [95 % interval], persons resampled; n joints with a map. Residual (relative, of completeness) "
        "and map error are medians."
    )
    return Table(caption, columns, lines)


def _median(rows: pl.DataFrame, column: str) -> float:
    """Of the finite values: a target that hardly changes along the path has a relative residual without bound."""
    known = finite(rows[column])
    return float(np.median(known)) if known.size else math.nan


def _change_table(changes: Mapping[Target, Estimates], default: Target) -> Table:
    rows = tuple((t.title, e["di"].n, *(e[i] for i in INDICES)) for t, e in changes.items())
    caption = f"Mean absolute difference to {default.title}, joint by joint [95 % interval]."
    return Table(caption, ("target", "n", "|ΔDI|", "|ΔFI|", "|ΔLI|"), rows)


def _chart(values: Mapping[Target, Estimates]) -> Figure:
    lines = [JointEstimates(t.title, t.space, {i: e[i] for i in INDICES}) for t, e in values.items()]
    return dot_plot(
        lines, {}, (Measure("di", "DI"), Measure("fi", "FI", neutral=1.0), Measure("li", "LI", neutral=1.0))
    )


def _lead(rows: pl.DataFrame, changes: Mapping[Target, Estimates], default: Target) -> str:
    """How much the choice changes the indices, in each space."""
    persons = rows["sample_id"].n_unique()
    kinds = {
        "another factor": [t for t in changes if t.function == "exp_l2"],
        "another function of the coordinates": [t for t in changes if t.function in ("neg_l2", "neg_squared_l2")],
        "the heatmap": [t for t in changes if t.space == "heatmap"],
    }
    largest = {words: _largest(targets, changes) for words, targets in kinds.items()}
    parts = [f"{words} by up to {numbers}" for words, numbers in largest.items() if numbers]
    joints = rows.select(KEYS).n_unique()
    text = (
        f"Explained otherwise than by {default.title}, the indices of a joint change on average with "
        f"{'; with '.join(parts)} ({plural(joints, 'joint')} of {plural(persons, 'person')})."
        if parts
        else "Only one target has maps, so that there is nothing to compare."
    )
    if persons < FEWEST:
        text += f" {plural(persons, 'person')} are too few to generalise from."
    return text


def _largest(targets: Sequence[Target], changes: Mapping[Target, Estimates]) -> str:
    """The largest mean absolute difference of each index among some targets."""
    known = {i: [changes[t][i] for t in targets if math.isfinite(changes[t][i].mean)] for i in INDICES}
    return ", ".join(
        f"{i.upper()} {format_estimate(max(values, key=lambda e: e.mean))}" for i, values in known.items() if values
    )
