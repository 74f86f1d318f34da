"""R_E of a run as tables and a figure, from the rows of the study `perturbation`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from ...functional.inference import FEWEST
from ...functional.statistics import Estimate
from ...plotting.charts import JointEstimates, dot_plot
from ...store.reader import Store
from ...summary.measures import Measure, group_order
from ...summary.reasons import missing_table
from ...summary.sentences import plural
from ...types import Gallery, Picture, Section, Table
from ..published_indices import simple_baseline_on_coco
from ..section_parts import parts_of, ratio_of_means, study_rows
from .rows import MASKS

ORDER = 300
TITLE = "Perturbation: do the maps mark what matters?"
MOST_LINES = 40  # of the figure
# Table A of the paper, by joint type in this order; shown beside a run of such a model on such data, never as its
# result
_JOINTS = ("nose", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_PUBLISHED = {
    "mean": (1.68, 1.62, 1.68, 1.57, 1.68, 1.76, 1.70),
    "shuffle": (2.66, 5.17, 3.75, 2.01, 2.18, 2.04, 2.11),
    "uniform": (2.54, 3.38, 2.66, 2.93, 2.74, 3.04, 2.95),
    "normal": (3.36, 3.52, 3.52, 4.13, 4.11, 4.32, 4.77),
}
Types = dict[str, dict[str, Estimate]]


def error_ratio(rows: pl.DataFrame) -> Estimate:
    """R_E: mean |E_attr - E_orig| over mean |E_rand - E_orig|, with its 95 % interval over images (seed 0).

    n is the number of joints; 1 says that the map's places matter no more than any others.  Infinite, or its upper end
    is, where no permuted map moved a joint of these persons, or might have moved none; NaN where nothing moved any.
    """
    return ratio_of_means(rows, "change_attr", "change_random")


def perturbation_section(store: Store, name: str) -> Section | None:
    """None where the study has no rows."""
    if not len(rows := study_rows(store, name)):
        return None
    masks = [m for m in MASKS if m in rows["mask"]]
    rows = rows.with_columns(pl.col("joint_name").str.strip_prefix("left_").str.strip_prefix("right_").alias("type"))
    known = rows.filter(pl.col("change_attr").is_finite() & pl.col("change_random").is_finite())
    missing = missing_table(rows, "joints times masks")
    if not len(known):
        return Section(name, TITLE, "No joint could be perturbed by its map, so there is no R_E.", missing, ORDER)
    order = known.select("type", "group", "joint").group_by("type", "group").min().sort("joint")
    groups = group_order(known)
    rank = {group: i for i, group in enumerate(groups)}
    types = sorted(order.select("type", "group").rows(), key=lambda t: rank.get(t[1], len(rank)))
    ratios = {t: {m: error_ratio(known.filter(type=t, group=g, mask=m)) for m in masks} for t, g in types}
    blocks: tuple[Table | Picture | Gallery, ...] = (
        Table(
            "R_E per joint, left and right together: mean change of the error by the map over that by its permuted "
            f"pixels [95 % interval, images resampled]. Blended with: {'; '.join(f'{m}, {MASKS[m]}' for m in masks)}.",
            ("joint", "group", "joints", *masks),
            tuple((t, g, ratios[t][masks[0]].n, *(ratios[t][m] for m in masks)) for t, g in types),
        ),
        Picture("perturbation", _caption(types), _figure(types[:MOST_LINES], ratios, masks)),
        _groups(known, masks, [*groups, "all"]),
        *_published(store, masks),
        *missing,
    )
    lead = _lead(ratios, masks, known["sample_id"].n_unique(), len(known) // len(masks))
    return Section(name, TITLE, lead, blocks, ORDER)


def _lead(ratios: Types, masks: Sequence[str], persons: int, joints: int) -> str:
    """How many joint types have an interval above 1, by mask; and how little that says where persons are few."""
    first = (
        "Where R_E is above 1, blending out what a joint's map marks changes its error more than blending out as much "
        f"elsewhere ({plural(persons, 'person')}, {plural(joints, 'joint')}). "
    )
    known = {m: [t[m] for t in ratios.values() if np.isfinite(t[m].low)] for m in masks}
    if not any(known.values()):
        return first + "With so few persons there are no intervals, so nothing can be said of it."
    above = {m: sum(e.low > 1 for e in estimates) for m, estimates in known.items()}
    below = sum(e.high < 1 for estimates in known.values() for e in estimates)
    counts = [f"{above[m]} of {len(known[m])} with mask '{m}'" for m in masks]
    text = first + f"Of the joint types, the interval lies above 1 for {', '.join(counts)}"
    text += f"; below 1 in {plural(below, 'case')}." if below else "; below 1 nowhere."
    if persons < FEWEST:
        text += f" With only {plural(persons, 'person')} the intervals are wide."
    return text


def _caption(types: Sequence[tuple[str, str]]) -> str:
    text = (
        "R_E and its 95 % interval on a logarithmic scale; dashed, 1: no more than permuted pixels do. What lies "
        "beyond the axis is drawn at its edge."
    )
    left = len(types) - MOST_LINES
    return text + (f" The first {MOST_LINES} joints; {left} more are in the table." if left > 0 else "")


def _figure(types: Sequence[tuple[str, str]], ratios: Types, masks: Sequence[str]) -> Figure:
    """One panel a mask, one line a joint type, ratios on a logarithmic scale common to all panels."""
    means = [e.mean for t, _ in types for e in ratios[t].values() if np.isfinite(e.mean) and e.mean > 0]
    low, high = max(min([*means, 0.8]) / 3, 0.05), min(max([*means, 1.2]) * 3, 200.0)

    def shown(e: Estimate) -> Estimate:
        """Inside the axis, NaN where there is none."""
        mean, left, right = (float(np.clip(v, low, high)) for v in (e.mean, e.low, e.high))
        return replace(e, mean=mean, low=left, high=right)

    lines = [JointEstimates(t, g, {m: shown(e) for m, e in ratios[t].items()}) for t, g in types]
    figure = dot_plot(lines, {}, [Measure(m, m, neutral=1.0) for m in masks])
    ticks = [t for t in (0.1, 0.3, 1, 3, 10, 30, 100) if low <= t <= high]
    for axis in figure.axes:
        axis.set_xscale("log")
        axis.set_xlim(low / 1.25, high * 1.25)
        axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axis.minorticks_off()
        axis.set_xlabel("R_E")
    return figure


def _groups(known: pl.DataFrame, masks: Sequence[str], groups: Sequence[str]) -> Table:
    """Changes and ratios by group and mask, and for all joints."""
    lines = []
    for group, rows in parts_of(known, "group", groups):
        for mask, part in parts_of(rows, "mask", masks):
            ratios = part.filter(pl.col("ratio").is_finite())["ratio"]
            lines.append((
                group, mask, len(part), part["change_attr"].mean(), part["change_random"].mean(), error_ratio(part),
                ratios.median(), 100 * (1 - len(ratios) / len(part)) if len(part) else None,
            ))  # fmt: skip
    unit = known["unit"][0]
    return Table(
        "Per group: mean change of the error by the map and by its permuted pixels, their ratio R_E [95 % interval, "
        "images resampled], and the median of single joints' ratios, which are undefined where no permuted map moved "
        "the joint.",
        ("group", "mask", "joints", f"map ({unit})", f"permuted ({unit})", "R_E", "median", "undefined (%)"),
        tuple(lines),
    )


def _published(store: Store, masks: Sequence[str]) -> tuple[Table, ...]:
    """Table A of the paper, where this run is of such a model on such data."""
    if not simple_baseline_on_coco(store.run):
        return ()
    lines = tuple((joint, *(_PUBLISHED[m][i] for m in masks)) for i, joint in enumerate(_JOINTS))
    text = (
        "For comparison, NOT of this run: R_E as published for Simple Baseline with ResNet-50 on COCO (He et al. 2023, "
        "Table A). The paper gives no intervals, and does not say whether its ratios are of means or means of ratios."
    )
    return (Table(text, ("joint", *(f"{m} (published)" for m in masks)), lines),)
