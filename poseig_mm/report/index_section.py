"""Indices (without maps: errors) per joint and group, their distributions, and where else each joint's map looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ..plotting.charts import JointEstimates, dot_plot, group_distributions, relation_matrix
from ..summary.measures import (
    Measure,
    estimate,
    finite,
    group_order,
    has_intervals,
    has_maps,
    index_measures,
    joint_order,
    measures,
    with_values,
)
from ..summary.reasons import lacking, reasons_table
from ..summary.sentences import plural
from ..types import Gallery, Picture, Table
from .blocks import GuardedSection, Heading
from .tables import NOTHING

if TYPE_CHECKING:
    from ..functional.statistics import Estimate
    from ..store import Store


HEADING = Heading("indices", "Indices", 100)
ERRORS = Heading("errors", "Errors by group and joint", 100)  # of a run without maps
FEW = "Means over visible joints; of so few images there are no intervals, and groups are not compared."
MOST_JOINTS = 40  # lines of the dot plot
Estimates = dict[str, "Estimate"]


def indices_section(store: Store) -> GuardedSection:
    """The indices, as tables and figures; of a run without maps the errors alone."""
    joints, heading = store.joints(), HEADING if has_maps(store) else ERRORS
    visible = joints.filter(pl.col("visible"))
    none = "No joint was diagnosed, so there are no indices."
    if not len(visible):
        return heading.section(none)
    shown, resampled = with_values(measures(store, joints), visible), has_intervals(visible)
    if not shown:
        return heading.section(none)
    groups = group_order(visible)
    order = joint_order(visible, groups)
    by_joint = {j: _estimates(visible.filter(pl.col("joint") == j), shown) for j, _, _ in order}
    by_group = {g: _estimates(visible.filter(pl.col("group") == g), shown) for g in groups}
    by_group["all"] = _estimates(visible, shown)
    drawn = _joints_shown(order, by_joint)
    rows = [JointEstimates(name, group, by_joint[j]) for j, name, group in drawn]
    means, titles = {g: e for g, e in by_group.items() if g != "all"}, [m.label for m in shown]
    left = len(order) - len(drawn)
    what, intervals = (
        ("Mean and 95 % interval", "mean [95 % interval], images resampled")
        if resampled
        else ("Mean", "means (so few images have no intervals)")
    )
    caption = f"{what} per joint; the line behind a group's joints is the group's mean, dashed: no preference."
    if left:
        caption += f" The {len(drawn)} joints of largest error; {left} more are in the table."
    of_groups = _rows([((g,), e) for g, e in by_group.items()], shown)
    of_joints = _rows([((name, group), by_joint[j]) for j, name, group in order], shown)
    spread = group_distributions(_values(visible, shown, groups), shown)
    blocks: list[Table | Picture | Gallery] = [
        Table(f"Per group: {intervals}.", ("group", "joints", *titles), of_groups),
        Picture("joints", caption, dot_plot(rows, means, shown)),
        Table(f"Per joint: {intervals}.", ("joint", "group", "n", *titles), of_joints),
        Picture("groups", "Distribution over visible joints: box = quartiles and median, dots = joints.", spread),
    ]
    relations = store.relations()
    for i, measure in enumerate(index_measures(store, relations, "relation")):
        matrix = relation_means(relations, measure.name, order)
        if len(order) > 1 and np.isfinite(matrix).any():
            text = f"{measure.label}: {measure.meaning or 'of a map (row) to a joint (column)'}."
            figure = relation_matrix(matrix, [name for _, name, _ in order], measure)
            blocks.append(Picture(f"relations-{measure.name}" if i else "relations", text, figure))
    caption = f"Why a number is missing (shown as {NOTHING}), of {plural(len(joints), 'joint')}."
    blocks += reasons_table(lacking(joints, maps=has_maps(store)), caption, "joints", of=len(joints))
    return heading.section(_lead(by_group, shown) if resampled else FEW, blocks)


def relation_means(
    relations: pl.DataFrame, index: str, order: list[tuple[int, str, str]]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean index(row -> column), (K, K), in the order given; NaN where no sample has a value."""
    means = relations.filter(pl.col(index).is_finite()).group_by("joint", "other").agg(pl.col(index).mean())
    place = {joint: i for i, (joint, _, _) in enumerate(order)}
    matrix = np.full((len(order), len(order)), np.nan)
    for joint, other, value in means.rows():
        if joint in place and other in place:
            matrix[place[joint], place[other]] = value
    return matrix


def _estimates(rows: pl.DataFrame, shown: tuple[Measure, ...]) -> Estimates:
    return {m.name: estimate(rows, m.name) for m in shown}


def _first(estimates: Estimates) -> Estimate:
    """Of the first measure: EPE, where anything is annotated."""
    return next(iter(estimates.values()))


def _joints_shown(order: list[tuple[int, str, str]], by_joint: dict[int, Estimates]) -> list[tuple[int, str, str]]:
    """All joints, or those of largest error (without one, of largest first index) where there are too many to read."""
    if len(order) <= MOST_JOINTS:
        return order
    worst = sorted(order, key=lambda row: -np.nan_to_num(_first(by_joint[row[0]]).mean, nan=-1.0))[:MOST_JOINTS]
    return [row for row in order if row in worst]


def _rows(named: list[tuple[tuple[str, ...], Estimates]], shown: tuple[Measure, ...]) -> tuple[tuple[Any, ...], ...]:
    return tuple((*names, _count(e), *(e[m.name] for m in shown)) for names, e in named)


def _count(estimates: Estimates) -> int:
    """Joints that have a number."""
    return max((e.n for e in estimates.values()), default=0)


def _values(visible: pl.DataFrame, shown: tuple[Measure, ...], groups: list[str]) -> dict[str, dict[str, Any]]:
    """Finite values of each measure in each group; everything is one group where there are none."""
    if not groups:
        return {"": {m.name: finite(visible[m.name]) for m in shown}}
    return {g: {m.name: finite(visible.filter(pl.col("group") == g)[m.name]) for m in shown} for g in groups}


def _lead(by_group: dict[str, Estimates], shown: tuple[Measure, ...]) -> str:
    """What the table says: the group of largest error, and how the maps of the groups differ."""
    named = {g: e for g, e in by_group.items() if g != "all" and np.isfinite(_first(e).mean)}
    if len(named) < 2:
        return "Means over visible joints with 95 % intervals; images, not joints, are resampled."
    parts = []
    for measure in shown:
        means = {g: e[measure.name].mean for g, e in named.items() if np.isfinite(e[measure.name].mean)}
        if len(means) > 1:
            low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
            parts.append(f"{measure.title} from {means[low]:.2f} ({low}) to {means[high]:.2f} ({high})")
    text = "; ".join(parts)
    return f"Between the joint groups, the means go: {text}. The intervals say whether that is more than chance."
