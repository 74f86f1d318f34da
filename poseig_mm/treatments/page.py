"""The page on a treatment: cause, cure and proof, before and after side by side; from stores alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..comparison import comparison_sections
from ..comparison.causes_section import HEADING as CAUSES
from ..comparison.side_by_side import HEADING as MAPS
from ..functional.inference import Comparison
from ..plotting.intervals import Panel, interval_panels
from ..report.blocks import Cards, GuardedSection, Heading, attempt
from ..report.build import build_report
from ..report.staging import staging_folder
from ..store import Store
from ..summary.measures import group_order, joint_order
from ..summary.sentences import format_estimate
from ..types import Picture, Section, Table
from .base import BEFORE, TREATED, Plan
from .outcome import Change, Outcome, outcome_of
from .verdict import WORDS, verdict

AFTER = "after"
MOST_SAID = 5  # joints of each kind that a sentence names


def build_treatment_page(
    out: Path,
    *,
    name: str,
    plan: Plan,
    arms: Mapping[str, Mapping[str, Any]],
    before: Store,
    after: Store,
    held_out: Mapping[str, Mapping[str, Store]],
    extra: Sequence[Section] = (),
) -> tuple[Path, str]:
    """Write the page; its path, and the verdict.

    Args:
        out: folder of index.html.
        name: of the treatment.
        plan: what was meant.
        arms: arm -> what was trained, in words and numbers.
        before, after: the two diagnoses.
        held_out: what the persons are called -> arm -> its run without maps; the config's own persons come first.
        extra: the treatment's own sections.
    """
    words = {BEFORE: BEFORE, TREATED: TREATED, **plan.controls}
    judged = plan.judged_on or next(iter(held_out))
    outcomes = {
        data: outcome_of({words[arm]: store for arm, store in runs.items()}, data, plan.joints)
        for data, runs in sorted(held_out.items(), key=lambda entry: entry[0] != judged)
    }
    changes = {data: outcome.changes() for data, outcome in outcomes.items()}
    said = verdict([(outcome, changes[data]) for data, outcome in outcomes.items()], judged)
    first = Heading("treatment", f"What {name} did", 5)
    sections = [first.section(f"{plan.what} {said}".strip(), (_cards(list(outcomes.values())),))]
    for i, (data, outcome) in enumerate(outcomes.items()):
        heading = Heading(f"treatment-{i}", f"Before, after, controls: {data}", 10 + i)
        sections.append(attempt(heading, partial(outcome_section, outcome, changes[data], heading)))
    compared = comparison_sections({BEFORE: before, AFTER: after}, staging_folder(out) / "assets" / "comparison")
    early = {CAUSES.name: first.order + 1, MAPS.name: first.order + 2}  # one wants to see them first
    sections += [replace(section, order=early.get(section.name, section.order)) for section in compared]
    config = Path(str(before.run.get("config") or "model")).stem
    about = [f"checkpoint {Path(str(before.run.get('checkpoint') or '')).name}"]
    title = f"{name} of {config}"
    return build_report(before, [*sections, training_section(arms, words), *extra], out, title=title, about=about), said


def _cards(outcomes: Sequence[Outcome]) -> Cards:
    """The error before and treated, beside the controls', a card a set of data."""
    rows = []
    for outcome in outcomes:
        before, treated, *controls = outcome.arms
        means = {arm: outcome.mean(arm, outcome.measures[0], outcome.meant_for).mean for arm in outcome.arms}
        of = f"EPE, {', '.join(outcome.meant_for)}" if outcome.meant_for else "EPE"
        note = "; ".join([of, *(f"{control}: {means[control]:.2f}" for control in controls)])
        rows.append((outcome.data, f"{means[before]:.2f} \u2192 {means[treated]:.2f} {outcome.unit}", note))
    return Cards("Mean error before and after the treatment, and of the controls.", ("", "", ""), tuple(rows))


def outcome_section(outcome: Outcome, changes: Sequence[Change], heading: Heading) -> GuardedSection:
    """Means of all arms, differences with tests, and the error's change joint by joint."""
    first, epe = outcome.joints[outcome.arms[0]], outcome.measures[0]
    meant = f", {', '.join(outcome.meant_for)}" if outcome.meant_for else ""
    asked = [(m, outcome.meant_for) for m in outcome.measures if meant and not m.of_person]
    asked += [(m, ()) for m in outcome.measures]
    means = Table(
        f"All arms on the same {first['sample_id'].n_unique()} persons and {len(first)} visible joints; the model's "
        "own decoding, no flip test [95 % interval, images resampled]. PCK: within 0.05 of the longer side of the box; "
        "AP of annotated boxes, in %; inversions: joints taken for their left-right partner, by OKS.",
        ("arm", *(f"{m.label}{meant if joints else ''}" for m, joints in asked)),
        tuple((arm, *(outcome.mean(arm, m, joints) for m, joints in asked)) for arm in outcome.arms),
        2,
    )
    lines = tuple(
        (c.arm, c.than, f"{c.measure.label}{meant if c.meant else ''}", c.difference, c.p, c.comparison.effect,
         WORDS[c.verdict])
        for c in changes
    )  # fmt: skip
    differences = Table(
        "Arm less the one it is compared with, on the same joints or persons [95 % interval, images resampled]; p: "
        "Wilcoxon's signed-rank test over images, corrected by Holm for all lines; effect: rank-biserial correlation.",
        ("arm", "compared with", "measure", "difference", "p (Holm)", "effect", "verdict"),
        lines,
        3,
    )
    joints = [joint for _, joint, _ in joint_order(first, group_order(first))]
    before, treated, *controls = outcome.arms

    def by_joint(arm: str, than: str) -> dict[str, Comparison]:
        return {joint: outcome.difference(arm, than, epe, [joint]) for joint in joints}

    to_before = {arm: by_joint(arm, before) for arm in (treated, *controls)}
    panels = [Panel("arm less before", {a: _estimates(c) for a, c in to_before.items()}, 0.0, epe.label)]
    if controls:
        values = {control: _estimates(by_joint(treated, control)) for control in controls}
        panels.append(Panel("treated less control", {treated: {}, **values}, 0.0, epe.label))
    picture = Picture(
        f"{heading.name}-joints",
        f"{epe.label} by joint [95 % interval, images resampled]; left of the dashed line is better.",
        interval_panels(panels, joints),
    )
    return heading.section(_better_and_worse(to_before[treated]), (means, picture, differences))


def _estimates(comparisons: Mapping[str, Comparison]) -> dict[str, Any]:
    return {joint: comparison.difference for joint, comparison in comparisons.items()}


def _better_and_worse(by_joint: Mapping[str, Comparison]) -> str:
    """Which joints' error fell, and which rose: those whose interval does not hold 0, the largest change first."""
    known = [(j, c.difference) for j, c in by_joint.items() if math.isfinite(c.difference.low)]
    fell = sorted(((e.mean, j, e) for j, e in known if e.high < 0), key=lambda x: x[0])
    rose = sorted(((-e.mean, j, e) for j, e in known if e.low > 0), key=lambda x: x[0])
    parts = []
    for word, found in (("Got better", fell), ("Got worse", rose)):
        if found:
            named = "; ".join(f"{j} {format_estimate(e, sign=True)}" for _, j, e in found[:MOST_SAID])
            more = f", and {len(found) - MOST_SAID} more" if len(found) > MOST_SAID else ""
            parts.append(f"{word}, joint by joint (intervals not corrected for being many): {named}{more}.")
    return " ".join(parts) or "No joint's error changed by more than its interval."


def training_section(arms: Mapping[str, Mapping[str, Any]], words: Mapping[str, str]) -> GuardedSection:
    """What was trained, on which data, for how long, arm by arm."""
    keys = list(dict.fromkeys(key for about in arms.values() for key in about))
    rows = tuple((key, *(_shown(about.get(key)) for about in arms.values())) for key in keys)
    table = Table("Each arm's training.", ("", *(words.get(arm, arm) for arm in arms)), rows, 4)
    return Heading("treatment-training", "What was trained", 40).section(
        "All arms were trained alike, but for what their names say.", (table,)
    )


def _shown(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str)) else str(value)
