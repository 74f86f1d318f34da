"""Each run against the first one, joint by joint: differences with intervals over images, and tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from ..functional.inference import FEWEST, paired_difference
from ..functional.statistics import FEWEST_GROUPS
from ..plotting.intervals import Panel, interval_panels
from ..report.blocks import GuardedSection, Heading
from ..summary.estimates import comparison_columns, estimate_of, p_holm_of, person_means, with_p_holm
from ..summary.measures import group_order, image_count, images_of
from ..summary.sentences import format_estimate, format_p, plural
from ..types import Picture, Table
from .runs import Runs

HEADING = Heading("comparison-differences", "Differences between runs", 52)
Row = dict[str, Any]


def difference_rows(runs: Runs) -> list[Row]:
    """A row a run (but the first), measure and group ('all' first): run minus first run, pairs of the same joint.

    Wilcoxon's signed-rank test is over images' mean differences; Holm's correction over all rows.
    """
    rows, comparisons = [], []
    for name in runs.names[1:]:
        for measure in runs.measures:
            for group in ("all", *group_order(runs.first)):
                first, other = (_rows(runs.joints[run], group) for run in (runs.names[0], name))
                comparison = paired_difference(
                    first[measure.name].to_numpy(), other[measure.name].to_numpy(), images_of(first)
                )
                persons = person_means(first, measure.name).height
                head = {"run": name, "measure": measure.name, "group": group}
                rows.append(head | comparison_columns("difference", comparison, persons))
                comparisons.append(comparison)
    return with_p_holm(rows, comparisons)


def _rows(joints: pl.DataFrame, group: str) -> pl.DataFrame:
    return joints if group == "all" else joints.filter(pl.col("group") == group)


def differences_section(runs: Runs) -> GuardedSection:
    """The differences as table and figure."""
    rows = difference_rows(runs)
    titles = {m.name: m.label for m in runs.measures}
    lines = tuple(
        (row["run"], titles[row["measure"]], row["group"], estimate_of(row, "difference"), row["p"], p_holm_of(row),
         row["effect"], row["difference_n"], row["persons"])
        for row in rows
    )  # fmt: skip
    caption = (
        f"Run minus {runs.names[0]}, pairs of the same joint [95 % interval, images resampled]; Wilcoxon's "
        "signed-rank test over images' mean differences, p corrected by Holm for all lines; effect: "
        "rank-biserial correlation."
    )
    columns = ("run", "measure", "group", "difference", "p", "p (Holm)", "effect", "joints", "persons")
    groups = list(dict.fromkeys(row["group"] for row in rows))
    panels = [
        Panel(
            m.label,
            {
                name: {r["group"]: estimate_of(r, "difference") for r in _of(rows, name, m.name)}
                for name in runs.names[1:]
            },
            0.0,
        )
        for m in runs.measures
    ]
    text = f"Differences from {runs.names[0]} with 95 % intervals (images resampled); dashed: no difference."
    if image_count(runs.first) < FEWEST_GROUPS:
        text = f"Differences from {runs.names[0]}; dashed: no difference. So few images have no interval."
    blocks = (Picture("differences", text, interval_panels(panels, groups)), Table(caption, columns, lines, 3))
    return HEADING.section(_lead(runs, rows), blocks)


def _of(rows: Sequence[Row], run: str, measure: str) -> list[Row]:
    return [row for row in rows if row["run"] == run and row["measure"] == measure]


def _lead(runs: Runs, rows: Sequence[Row]) -> str:
    columns = [m.name for m in runs.measures]
    numbers = [runs.joints[name].select(columns).to_numpy() for name in runs.names]
    if all(np.array_equal(numbers[0], other, equal_nan=True) for other in numbers[1:]):
        return f"Nothing differs: every number is that of {runs.names[0]}."
    parts = []
    for name in runs.names[1:]:
        parts_of_run = []
        for m in runs.measures:
            row = _of(rows, name, m.name)[0]
            e = estimate_of(row, "difference")
            if math.isfinite(e.mean):
                p = f", {format_p(p_holm_of(row))}" if math.isfinite(row["p"]) else ""
                parts_of_run.append(f"{m.label} {format_estimate(e, sign=True)}{p}")
        parts.append(f"{name} minus {runs.names[0]}: {'; '.join(parts_of_run)}.")
    if (images := image_count(runs.first)) < FEWEST:
        no_interval = ", and there is no interval: this is what these runs gave here, no more."
        parts.append(
            f"With {plural(images, 'image')} nothing is tested{no_interval if images < FEWEST_GROUPS else '.'}"
        )
    else:
        parts.append("p is corrected for all the tests made here.")
    return " ".join(parts)
