"""The paper's tables for each run, side by side: groups (C, C.2), and hard against easy persons (D, C.3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..plotting.intervals import Panel, interval_panels
from ..report.blocks import GuardedSection, Heading
from ..studies.easy_hard.section import split_in_words
from ..studies.easy_hard.study import EasyHard, easy_and_hard, easy_hard_table
from ..studies.groups.study import group_table
from ..summary.estimates import estimate_of
from ..summary.measures import Measure, group_order
from ..summary.sentences import format_estimate
from ..types import Picture, Table
from .runs import Runs

__all__ = ["EASY_HARD", "GROUPS", "easy_hard_runs_section", "groups_runs_section"]

GROUPS = Heading("comparison-groups", "Joint groups, run by run", 54)
EASY_HARD = Heading("comparison-easy-hard", "Easy and hard persons, run by run", 56)
Rows = Mapping[tuple[str, str], Mapping[str, Any]]  # (measure, group) -> row


def groups_runs_section(runs: Runs) -> GuardedSection:
    """Means by group and their variance over the groups, a column a run."""
    names = [m.name for m in runs.measures]
    tables = {run: group_table(joints, names) for run, joints in runs.joints.items()}
    means: dict[str, Rows] = {run: _by_group(rows, "mean") for run, rows in tables.items()}
    spread: dict[str, Rows] = {run: _by_group(rows, "variance_over_groups") for run, rows in tables.items()}
    groups = [*group_order(runs.first), "all"]
    lines = tuple(
        (m.label, g, *(estimate_of(means[run][m.name, g], "value") for run in runs.names))
        for m in runs.measures
        for g in groups
    )
    blocks: list[Table | Picture] = [
        Picture(
            "groups",
            "Means of the groups in each run with 95 % intervals (persons resampled); dashed, where near: no "
            "preference.",
            interval_panels([_panel(m, runs, means, groups, "value", m.neutral) for m in runs.measures], groups),
        ),
        Table(
            "Means by group (Table C) [95 % interval, persons resampled].", ("measure", "group", *runs.names), lines, 3
        ),
    ]
    if len(groups) > 2:
        lines = tuple(
            (m.label, *(estimate_of(spread[run][m.name, "all"], "value") for run in runs.names)) for m in runs.measures
        )
        caption = (
            "Variance over the groups' means (supplement C.2) [95 % interval, persons resampled]; it holds the chance "
            "scatter of the means too."
        )
        blocks.append(Table(caption, ("measure", *runs.names), lines, 4))
        panels = [
            Panel(m.label, {"": {run: estimate_of(spread[run][m.name, "all"], "value") for run in runs.names}})
            for m in runs.measures
        ]
        blocks.append(
            Picture(
                "variance", "The same, with 95 % intervals (persons resampled).", interval_panels(panels, runs.names)
            )
        )
    lead = f"The same joints in every run, by {'group' if len(groups) > 1 else 'no group: the data set has none'}."
    if len(groups) > 2:
        parts = [_most_and_least(m, groups[:-1], runs, means) for m in runs.measures if m.name != "epe"]
        lead = f"{lead} {' '.join(filter(None, parts))}"
    return GROUPS.section(lead, blocks)


def _most_and_least(measure: Measure, groups: Sequence[str], runs: Runs, means: Mapping[str, Rows]) -> str:
    """In which group each run's mean is largest."""
    runs_of: dict[str, list[str]] = {}
    for run in runs.names:
        known = {g: means[run][measure.name, g]["value"] for g in groups}
        known = {g: value for g, value in known.items() if math.isfinite(value)}
        if known:
            runs_of.setdefault(max(known, key=known.__getitem__), []).append(run)
    if len(runs_of) == 1:
        return f"{measure.title} is largest in {next(iter(runs_of))} in all of them."
    said = ", ".join(f"{group} in {' and '.join(names)}" for group, names in runs_of.items())
    return f"{measure.title} is largest in {said}." if said else ""


def easy_hard_runs_section(runs: Runs) -> GuardedSection:
    """Hard minus easy of each run, by its own errors."""
    names = [m.name for m in runs.measures]
    tables: dict[str, Rows] = {
        run: {(r["measure"], r["group"]): r for r in easy_hard_table(joints, names)}
        for run, joints in runs.joints.items()
    }
    split = split_in_words(EasyHard(), runs.unit)
    if runs.persons < 3:
        lead = f"{split}. With fewer than three persons there is no third to compare."
        return EASY_HARD.section(lead)
    groups = ["all", *group_order(runs.first)]
    lines = tuple(
        (m.label, g, *(estimate_of(tables[run][m.name, g], "difference") for run in runs.names))
        for m in runs.measures
        for g in groups
    )
    errors = tuple(
        (run, *(estimate_of(rows["epe", "all"], k) for k in ("easy", "hard")), rows["epe", "all"]["persons_easy"],
         rows["epe", "all"]["persons_hard"])
        for run, rows in tables.items()
    )  # fmt: skip
    blocks = (
        Picture(
            "hard-minus-easy",
            "Hard minus easy in each run with 95 % intervals (persons resampled); dashed: no difference.",
            interval_panels([_panel(m, runs, tables, groups, "difference", 0.0) for m in runs.measures], groups),
        ),
        Table(
            "Hard minus easy (Table D) [95 % interval, persons resampled].", ("measure", "group", *runs.names), lines, 3
        ),
        Table(
            f"Mean error on easy and hard persons (supplement C.3), {runs.unit} [95 % interval, persons resampled].",
            ("run", "easy", "hard", "easy persons", "hard persons"),
            errors,
        ),
    )
    hard = {run: set(easy_and_hard(joints)[1]) for run, joints in runs.joints.items()}
    common = len(set.intersection(*hard.values()))
    number = len(hard[runs.names[0]])
    lead = f"{split}, in each run by its own errors ({common} of {number} hard persons are so in all runs)."
    parts = []
    for run, rows in tables.items():
        said = [
            f"{m.title} {format_estimate(estimate_of(rows[m.name, 'all'], 'difference'), sign=True)}"
            for m in runs.measures
            if m.name != "epe" and math.isfinite(rows[m.name, "all"]["difference"])
        ]
        parts.append(f"{run}: {', '.join(said)}")
    lead += f" Hard minus easy: {'; '.join(parts)}."
    if runs.persons < 24:
        lead += " With fewer than 8 persons a third the intervals say little."
    return EASY_HARD.section(lead, blocks)


def _by_group(rows: Sequence[Mapping[str, Any]], kind: str) -> Rows:
    return {(r["measure"], r["group"]): r for r in rows if r["kind"] == kind}


def _panel(
    measure: Measure, runs: Runs, rows: Mapping[str, Rows], groups: Sequence[str], column: str, reference: float | None
) -> Panel:
    """A measure's panel: a series a run, a line a group."""
    values = {run: {g: estimate_of(rows[run][measure.name, g], column) for g in groups} for run in runs.names}
    return Panel(measure.label, values, reference)
