"""The section on output spaces: how much the indices depend on what is explained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from ...functional.inference import FEWEST
from ...functional.statistics import Estimate
from ...plotting.charts import JointEstimates, dot_plot
from ...store.reader import Store
from ...summary.measures import Measure, estimate, finite, index_measures
from ...summary.sentences import format_estimate, plural
from ...types import Gallery, Picture, Section, Table
from ..choice import kept_gallery
from ..section_parts import reasons_by, study_rows
from .rows import PUBLISHED_FACTOR, Target

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
    indices = index_measures(store, rows)
    values = {t: {m.name: estimate(_of(rows, t), m.name) for m in indices} for t in targets}
    changes = {t: _changes(rows, t, default, indices) for t in targets if t != default}
    blocks: tuple[Table | Picture | Gallery, ...] = (
        _table(rows, values, indices),
        _change_table(changes, default, indices),
        Picture("output_space", _CAPTION, _chart(values, indices)),
        *kept_gallery(store, name, f"{_GALLERY} Below each map {', '.join(m.title for m in indices)}."),
        *reasons_by(rows, ("space", "function"), "Why numbers are missing.", ("space", "function", "reason", "rows")),
    )
    return Section(name, TITLE, _lead(rows, changes, default, indices), blocks, ORDER)


_CAPTION = (
    "Mean and 95 % interval (images resampled) under each target; dashed: no preference. The scales do not start at 0."
)
_GALLERY = (
    "A row a joint (ringed), a column a target: exp_l2 with its factor per heatmap px, minus the distance, minus its "
    "square; the heatmap at the joint, minus its squared error."
)


def _targets(rows: pl.DataFrame) -> list[Target]:
    """In the order of the rows, each once (NaN is unlike itself, titles are not)."""
    targets = (Target(*row) for row in rows.select("space", "function", pl.col("factor").fill_null(math.nan)).rows())
    return list({target.title: target for target in targets}.values())


def _of(rows: pl.DataFrame, target: Target) -> pl.DataFrame:
    factor = pl.col("factor").is_nan() if math.isnan(target.factor) else pl.col("factor") == target.factor
    return rows.filter((pl.col("space") == target.space) & (pl.col("function") == target.function) & factor)


def _changes(rows: pl.DataFrame, target: Target, default: Target, indices: Sequence[Measure]) -> dict[str, Estimate]:
    """Mean absolute difference of each index to the default's, over joints that have both."""
    pairs = _of(rows, target).join(_of(rows, default), on=KEYS, suffix="_default")
    moved = pairs.with_columns((pl.col(m.name) - pl.col(f"{m.name}_default")).abs() for m in indices)
    return {m.name: estimate(moved, m.name) for m in indices}


def _table(rows: pl.DataFrame, values: Mapping[Target, Estimates], indices: Sequence[Measure]) -> Table:
    lines = tuple(
        (t.title, _joints(e), *e.values(),
         _median(_of(rows, t), "residual_rel"), _median(_of(rows, t), "map_error"))
        for t, e in values.items()
    )  # fmt: skip
    columns = ("target", "n", *(m.label for m in indices), "residual", "map error")
    caption = (
        "Indices by target, a likelihood of the coordinates (with its factor per heatmap px) or a scalar of the "
        "heatmap: mean [95 % interval], images resampled; n joints with a map. Residual (relative, of completeness) "
        "and map error are medians."
    )
    return Table(caption, columns, lines)


def _median(rows: pl.DataFrame, column: str) -> float:
    """Of the finite values: a target that hardly changes along the path has a relative residual without bound."""
    known = finite(rows[column])
    return float(np.median(known)) if known.size else math.nan


def _joints(values: Estimates) -> int:
    return max((value.n for value in values.values()), default=0)


def _change_table(changes: Mapping[Target, Estimates], default: Target, indices: Sequence[Measure]) -> Table:
    rows = tuple((t.title, _joints(e), *e.values()) for t, e in changes.items())
    caption = f"Mean absolute difference to {default.title}, joint by joint [95 % interval]."
    return Table(caption, ("target", "n", *(f"|Δ{m.title}|" for m in indices)), rows)


def _chart(values: Mapping[Target, Estimates], indices: Sequence[Measure]) -> Figure:
    return dot_plot([JointEstimates(t.title, t.space, dict(e)) for t, e in values.items()], {}, indices)


def _lead(rows: pl.DataFrame, changes: Mapping[Target, Estimates], default: Target, indices: Sequence[Measure]) -> str:
    """How much the choice changes the indices, in each space."""
    persons = rows["sample_id"].n_unique()
    kinds = {
        "another factor": [t for t in changes if t.function == "exp_l2"],
        "another function of the coordinates": [t for t in changes if t.function in ("neg_l2", "neg_squared_l2")],
        "the heatmap": [t for t in changes if t.space == "heatmap"],
    }
    largest = {words: _largest(targets, changes, indices) for words, targets in kinds.items()}
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


def _largest(targets: Sequence[Target], changes: Mapping[Target, Estimates], indices: Sequence[Measure]) -> str:
    """The largest mean absolute difference of each index among some targets."""
    known = {m.title: [changes[t][m.name] for t in targets if math.isfinite(changes[t][m.name].mean)] for m in indices}
    largest = {title: max(values, key=lambda e: e.mean) for title, values in known.items() if values}
    return ", ".join(f"{title} {format_estimate(value)}" for title, value in largest.items())
