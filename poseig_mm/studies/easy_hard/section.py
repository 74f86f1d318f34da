"""The easy-and-hard study's part of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...plotting.intervals import Panel, interval_panels
from ...summary.estimates import estimate_of
from ...summary.measures import Measure, measures, unit_of
from ...summary.sentences import format_estimate, plural
from ...types import Picture, Section, Table
from ..published_indices import DI_HARD_MINUS_EASY, FI_HARD_MINUS_EASY, published_model

if TYPE_CHECKING:
    from ...store.reader import Store
    from .study import EasyHard

__all__ = ["easy_hard_section", "split_in_words"]

Found = Mapping[tuple[str, str], Mapping[str, Any]]  # (measure, group) -> row


def easy_hard_section(study: EasyHard, store: Store) -> Section | None:
    """Table D with its tests, hard minus easy by group, and both means as a figure; None without rows."""
    if study.name not in store.studies:
        return None
    joints = store.joints()
    rows = {(r["measure"], r["group"]): r for r in store.study(study.name).to_dicts()}
    found = [m for m in measures(store, joints) if (m.name, "all") in rows]
    groups = list(dict.fromkeys(group for _, group in rows))
    unit = unit_of(joints)
    split = split_in_words(study, unit)
    if not any(math.isfinite(rows[m.name, "all"]["difference"]) for m in found):
        counts = rows[found[0].name, "all"]
        lead = (
            f"{split}: {plural(counts['persons_easy'], 'easy person')} and "
            f"{plural(counts['persons_hard'], 'hard person')}, "
            "so there is no difference to show."
        )
        return Section(study.name, "Easy and hard persons", lead, (), 320)
    panels = [
        Panel(m.label, {k: {g: estimate_of(rows[m.name, g], k) for g in groups} for k in ("easy", "hard")}, m.neutral)
        for m in found
    ]
    caption = (
        "Means on easy and on hard persons with 95 % intervals (persons resampled); dashed, where near: no preference."
    )
    blocks = (
        Picture("easy-and-hard", caption, interval_panels(panels, groups)),
        _table(found, groups, rows, published_model(store.run)),
    )
    return Section(study.name, "Easy and hard persons", f"{split}. {_finding(found, rows)}", blocks, 320)


def split_in_words(study: EasyHard, unit: str) -> str:
    """Who is easy and who is hard.

    >>> from poseig_mm.studies.easy_hard.study import EasyHard
    >>> split_in_words(EasyHard(), 'px')
    'Persons ranked by their mean error: the lowest 33 % are easy, the highest 33 % hard'
    """
    if study.easy_below is not None:
        return f"Persons with a mean error up to {study.easy_below:g} {unit} are easy, from {study.hard_above:g} {unit} hard"
    return (
        f"Persons ranked by their mean error: the lowest {100 * study.easy_share:.0f} % are easy, the highest "
        f"{100 * study.hard_share:.0f} % hard"
    )


def _table(found: Sequence[Measure], groups: Sequence[str], rows: Found, model: str | None) -> Table:
    published = {
        name: values[model]
        for name, values in (("di", DI_HARD_MINUS_EASY), ("fi", FI_HARD_MINUS_EASY))
        if model is not None and model in values
    }
    columns = ["measure", "group", "easy", "hard", "difference", "p", "p (Holm)", "effect", "persons"]
    lines = []
    for m in found:
        for group in groups:
            r = rows[m.name, group]
            line = [m.label, group, *(estimate_of(r, k) for k in ("easy", "hard", "difference"))]
            line += [r["p"], r["p_holm"], r["effect"], f"{r['persons_easy']} + {r['persons_hard']}"]
            if published:
                line.append(published.get(m.name) if group == "all" else None)
            lines.append(tuple(line))
    if published:
        columns.append(f"published for {model}, another training")
    caption = (
        "Hard minus easy (Table D; EPE: supplement C.3): means over visible joints with 95 % intervals, persons "
        "resampled (who is easy stays as it is); Mann-Whitney U over the persons' means, p corrected by Holm for all "
        "lines, a dash with fewer than 8 persons a side; effect: Cliff's delta."
    )
    return Table(caption, tuple(columns), tuple(lines))


def _finding(found: Sequence[Measure], rows: Found) -> str:
    parts = []
    for m in found:
        e = estimate_of(rows[m.name, "all"], "difference")
        if math.isfinite(e.mean) and m.name != "epe":
            parts.append(f"{m.title} {format_estimate(e, sign=True)}")
    counts = rows[found[0].name, "all"]
    text = f"Hard minus easy: {', '.join(parts) or 'no index has values'}"
    text += f" ({counts['persons_easy']} easy and {counts['persons_hard']} hard persons)."
    if min(counts["persons_easy"], counts["persons_hard"]) < 8:
        text += " With fewer than 8 persons a side nothing is tested, and the intervals say little."
    return text
