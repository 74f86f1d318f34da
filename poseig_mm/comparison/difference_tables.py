"""The paper's tables for each run, side by side: groups (C, C.2), and hard against easy persons (D, C.3)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..functional.statistics import Estimate
from ..plotting.intervals import Panel, interval_panels
from ..report.blocks import GuardedSection, Heading
from ..studies.easy_hard.rows import EasyHardSettings, easy_and_hard, easy_hard_table, split_in_words
from ..studies.groups.rows import group_table
from ..summary.estimates import estimate_of
from ..summary.measures import Measure, group_order
from ..summary.sentences import format_estimate
from ..types import Picture, Table
from .runs import Runs

GROUPS = Heading("comparison-groups", "Joint groups, run by run", 54)
EASY_HARD = Heading("comparison-easy-hard", "Easy and hard persons, run by run", 56)
Values = Mapping[str, Mapping[tuple[str, str], Estimate]]  # run -> (measure, group) -> estimate


def groups_runs_section(runs: Runs) -> GuardedSection:
    """Means by group and their variance over the groups, a column a run."""
    names = [m.name for m in runs.measures]
    tables = {run: group_table(joints, names) for run, joints in runs.joints.items()}
    means = {run: _values([r for r in rows if r["kind"] == "mean"], "value") for run, rows in tables.items()}
    groups = [*group_order(runs.first), "all"]
    blocks = _figure_and_table(
        runs, means, groups, [m.neutral for m in runs.measures], "groups",
        "Means of the groups in each run with 95 % intervals (images resampled); dashed, where near: no preference.",
        "Means by group (Table C) [95 % interval, images resampled].",
    )  # fmt: skip
    if len(groups) > 2:
        variances = {
            run: _values([r for r in rows if r["kind"] == "variance_over_groups"], "value")
            for run, rows in tables.items()
        }
        spread = {m.label: {run: variances[run][m.name, "all"] for run in runs.names} for m in runs.measures}
        caption = (
            "Variance over the groups' means (supplement C.2) [95 % interval, images resampled]; it holds the chance "
            "scatter of the means too."
        )
        lines = tuple((label, *values.values()) for label, values in spread.items())
        figure = interval_panels([Panel(label, {"": values}) for label, values in spread.items()], runs.names)
        blocks += [
            Table(caption, ("measure", *runs.names), lines, 4),
            Picture("variance", "The same, with 95 % intervals (images resampled).", figure),
        ]
    lead = f"The same joints in every run, by {'group' if len(groups) > 1 else 'no group: the data set has none'}."
    if len(groups) > 2:
        parts = [_most_and_least(m, groups[:-1], runs, means) for m in runs.measures if m.name != "epe"]
        lead = f"{lead} {' '.join(filter(None, parts))}"
    return GROUPS.section(lead, blocks)


def _most_and_least(measure: Measure, groups: Sequence[str], runs: Runs, means: Values) -> str:
    """In which group each run's mean is largest."""
    runs_of: dict[str, list[str]] = {}
    for run in runs.names:
        values = {g: means[run][measure.name, g].mean for g in groups}
        known = {g: value for g, value in values.items() if math.isfinite(value)}
        if known:
            runs_of.setdefault(max(known, key=known.__getitem__), []).append(run)
    if len(runs_of) == 1:
        return f"{measure.title} is largest in {next(iter(runs_of))} in all of them."
    said = ", ".join(f"{group} in {' and '.join(names)}" for group, names in runs_of.items())
    return f"{measure.title} is largest in {said}." if said else ""


def easy_hard_runs_section(runs: Runs) -> GuardedSection:
    """Hard minus easy of each run, by its own errors."""
    names = [m.name for m in runs.measures]
    tables = {run: easy_hard_table(joints, names) for run, joints in runs.joints.items()}
    split = split_in_words(EasyHardSettings(), runs.unit)
    if runs.persons < 3:
        lead = f"{split}. With fewer than three persons there is no third to compare."
        return EASY_HARD.section(lead)
    groups = ["all", *group_order(runs.first)]
    differences = {run: _values(rows, "difference") for run, rows in tables.items()}
    blocks = _figure_and_table(
        runs, differences, groups, [0.0] * len(names), "hard-minus-easy",
        "Hard minus easy in each run with 95 % intervals (images resampled); dashed: no difference.",
        "Hard minus easy (Table D) [95 % interval, images resampled].",
    )  # fmt: skip
    errors = []
    for run, rows in tables.items():
        row = next(r for r in rows if (r["measure"], r["group"]) == ("epe", "all"))
        counts = (row["persons_easy"], row["persons_hard"])
        errors.append((run, *(estimate_of(row, column) for column in ("easy", "hard")), *counts))
    caption = f"Mean error on easy and hard persons (supplement C.3), {runs.unit} [95 % interval, images resampled]."
    blocks.append(Table(caption, ("run", "easy", "hard", "easy persons", "hard persons"), tuple(errors)))
    hard = {run: set(easy_and_hard(joints)[1]) for run, joints in runs.joints.items()}
    common = len(set.intersection(*hard.values()))
    number = len(hard[runs.names[0]])
    lead = f"{split}, in each run by its own errors ({common} of {number} hard persons are so in all runs)."
    parts = []
    for run, values in differences.items():
        known = [(m, values[m.name, "all"]) for m in runs.measures if m.name != "epe"]
        said = [f"{m.title} {format_estimate(e, sign=True)}" for m, e in known if math.isfinite(e.mean)]
        parts += [f"{run}: {', '.join(said)}"] if said else []
    lead += f" Hard minus easy: {'; '.join(parts)}." if parts else ""
    if runs.persons < 24:
        lead += " With fewer than 8 persons a third the intervals are wide."
    return EASY_HARD.section(lead, blocks)


def _values(rows: Sequence[Mapping[str, Any]], column: str) -> dict[tuple[str, str], Estimate]:
    """(measure, group) -> the estimate that the rows hold in some columns."""
    return {(r["measure"], r["group"]): estimate_of(r, column) for r in rows}


def _figure_and_table(
    runs: Runs,
    values: Values,
    groups: Sequence[str],
    references: Sequence[float | None],
    stem: str,
    text: str,
    caption: str,
) -> list[Table | Picture]:
    """A panel a measure with a series a run, and the same numbers with a column a run; one line a group."""
    panels = [
        Panel(m.label, {run: {g: values[run][m.name, g] for g in groups} for run in runs.names}, reference)
        for m, reference in zip(runs.measures, references, strict=True)
    ]
    lines = tuple((m.label, g, *(values[run][m.name, g] for run in runs.names)) for m in runs.measures for g in groups)
    table = Table(caption, ("measure", "group", *runs.names), lines, 3)
    return [Picture(stem, text, interval_panels(panels, groups)), table]
