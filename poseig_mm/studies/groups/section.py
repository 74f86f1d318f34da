"""The group study's part of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ...plotting.intervals import Panel, interval_panels
from ...store.reader import Store
from ...summary.estimates import estimate_of, p_holm_of
from ...summary.measures import Measure, measures
from ...summary.sentences import format_estimate, plural
from ...types import Picture, Section, Table
from ..published_indices import FI_BY_GROUP, VARIANCE_OVER_GROUPS, published_model
from ..section_parts import mean_pose, study_rows
from .skeleton_figure import skeleton_figure

if TYPE_CHECKING:
    from ...functional.statistics import Estimate


ORDER = 310
TITLE = "Joint groups"
Means = Mapping[tuple[str, str], Mapping[str, Any]]  # (measure, group) -> row
Rows = Sequence[Mapping[str, Any]]


def groups_section(store: Store, name: str) -> Section | None:
    """Tables C and C.2, the differences between groups, and the means as a figure; None without rows."""
    rows = study_rows(store, name).to_dicts()
    if not rows:
        return None
    shown = [m for m in measures(store, store.joints()) if any(r["measure"] == m.name for r in rows)]
    means = {(r["measure"], r["group"]): r for r in rows if r["kind"] == "mean"}
    groups = list(dict.fromkeys(group for _, group in means if group != "all"))
    differences = [r for r in rows if r["kind"] == "difference"]
    variances = {r["measure"]: r for r in rows if r["kind"] == "variance_over_groups"}
    model = published_model(store.run)
    blocks: list[Table | Picture] = [_means_table(shown, groups, means, model), *_skeleton(store)]
    if len(groups) > 1:
        blocks.append(_figure(shown, groups, means, variances))
        blocks.append(_variance_table(shown, means, variances, model))
        blocks.append(differences_table(shown, differences))
    return Section(name, TITLE, _lead(shown, groups, means, differences), tuple(blocks), ORDER)


def differences_table(shown: Sequence[Measure], rows: Rows) -> Table:
    """Pairs of groups, a line each."""
    titles = {m.name: m.label for m in shown}
    lines = tuple(
        (titles[r["measure"]], f"{r['other']} minus {r['group']}", estimate_of(r, "value"), r["p"], p_holm_of(r),
         r["effect"], r["persons"])
        for r in rows if r["measure"] in titles
    )  # fmt: skip
    caption = (
        "Differences between groups: means of the same person, paired; Wilcoxon's signed-rank test over images, p "
        "corrected by Holm for all lines of this table; effect: rank-biserial."
    )
    columns = ("measure", "groups", "difference", "p", "p (Holm)", "effect", "persons")
    return Table(caption, columns, lines, 3)


def _means_table(shown: Sequence[Measure], groups: Sequence[str], means: Means, model: str | None) -> Table:
    columns = ["measure", "group", "joints", "persons", "mean", "variance"]
    published = FI_BY_GROUP.get(model or "", {})
    if published:
        columns.append(f"FI published for {model}, another training")
    lines = []
    for m in shown:
        for group in (*groups, "all"):
            row = means[m.name, group]
            line = [m.label, group, row["value_n"], row["persons"], estimate_of(row, "value"), row["value_std"] ** 2]
            if published:
                line.append(published.get(group) if m.name == "fi" else None)
            lines.append(tuple(line))
    caption = "Mean over visible joints [95 % interval, images resampled] and variance over joints (Table C)."
    return Table(caption, tuple(columns), tuple(lines), 3)


def _variance_table(shown: Sequence[Measure], means: Means, variances: Mapping[str, Any], model: str | None) -> Table:
    published = VARIANCE_OVER_GROUPS.get(model or "", {})
    columns = ["measure", "mean over all joints", "variance over the groups' means", "persons"]
    lines = []
    for m in shown:
        mean, variance = (estimate_of(row, "value") for row in (means[m.name, "all"], variances[m.name]))
        line = (m.label, mean, variance, variances[m.name]["persons"])
        lines.append((*line, published.get(m.name)) if published else line)
    if published:
        columns.append(f"variance published for {model}, another training")
    caption = (
        "Variance over the groups' means (supplement C.2) [95 % interval, images resampled]: divided by the number of "
        "groups. It holds the chance scatter of the means too, so it is above 0 even where groups do not differ."
    )
    return Table(caption, tuple(columns), tuple(lines), 4)


def _skeleton(store: Store) -> tuple[Picture, ...]:
    """Fig. D, on the mean pose; nothing where no two joints have a place."""
    groups = store.groups
    if groups is None:
        return ()
    places = mean_pose(store, len(groups.keypoint_names))
    left = int(np.isnan(places).any(1).sum())
    if len(places) - left < 2:
        return ()
    caption = (
        "The joint groups (colours) and the kinematic chain (arrows, from a joint's parent to it) of this data set, on "
        "the mean pose (supplement, Fig. D)."
    )
    if groups.derived:
        caption += " They were derived from the skeleton; they are not laid down by hand."
    if left:
        caption += f" Left out: {plural(left, 'joint')} that no person of the mean pose shows."
    return (Picture("skeleton", caption, skeleton_figure(groups, places)),)


def _figure(shown: Sequence[Measure], groups: Sequence[str], means: Means, variances: Mapping[str, Any]) -> Picture:
    panels = []
    for m in shown:
        values = {g: estimate_of(means[m.name, g], "value") for g in groups}
        spread = f"variance over groups\n{format_estimate(estimate_of(variances[m.name], 'value'), 2, small=True)}"
        panels.append(Panel(m.label, {"": values}, m.neutral, spread))
    caption = (
        "Means of the groups from the root outwards, with 95 % intervals (images resampled); dashed, where near: no "
        "preference."
    )
    return Picture("group-means", caption, interval_panels(panels, groups))


def _lead(shown: Sequence[Measure], groups: Sequence[str], means: Means, differences: Rows) -> str:
    from ...functional.inference import FEWEST

    persons = max((row["persons"] for row in means.values()), default=0)
    head = f"{plural(persons, 'person')}, groups {', '.join(groups) or 'none'}."
    if len(groups) < 2:
        return f"{head} With fewer than two groups there is nothing to compare."
    parts = [_ordering(m, groups, [estimate_of(means[m.name, g], "value") for g in groups]) for m in shown]
    tested = [r for r in differences if math.isfinite(r["p_holm"])]
    untested = sorted({r["reason"] for r in differences if r["reason"].startswith("cannot")})
    if not tested and untested:
        tail = f"A difference between two groups {untested[0]} and so many tests."
    elif not tested:
        tail = (
            f"Fewer than {FEWEST} images have two groups, so no difference is tested: these are this run's means, no "
            "more."
        )
    else:
        clear = [r for r in tested if r["p_holm"] < 0.05]
        tail = f"{len(clear)} of {len(tested)} differences between two groups have a corrected p below 0.05."
    return f"{head} {'; '.join(filter(None, parts))}. {tail}"


def _ordering(measure: Measure, groups: Sequence[str], values: Sequence[Estimate]) -> str:
    """Whether the means rise or fall from the root outwards."""
    means = [v.mean for v in values]
    if not all(map(math.isfinite, means)):
        return f"{measure.title} is missing in a group"
    steps = [b - a for a, b in pairwise(means)]
    ends = f"from {groups[0]} ({means[0]:.2f}) to {groups[-1]} ({means[-1]:.2f})"
    if all(s > 0 for s in steps):
        return f"{measure.title} rises {ends}"
    if all(s < 0 for s in steps):
        return f"{measure.title} falls {ends}"
    low, high = means.index(min(means)), means.index(max(means))
    ends = f"least in {groups[low]} ({means[low]:.2f}), most in {groups[high]} ({means[high]:.2f})"
    return f"{measure.title} is not ordered: {ends}"
