"""The easy-and-hard study's part of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...plotting.intervals import Panel, interval_panels
from ...store.reader import Store
from ...summary.estimates import estimate_of, p_holm_of
from ...summary.measures import Measure, measures, unit_of
from ...summary.sentences import format_estimate, plural
from ...types import Missing, Picture, Section, Table
from ..published_indices import HARD_MINUS_EASY, published_model
from ..section_parts import study_rows
from .rows import DEFINES, EasyHardSettings, split_in_words

ORDER = 320
TITLE = "Easy and hard persons"
Rows = Mapping[tuple[str, str], Mapping[str, Any]]  # (measure, group) -> row


def easy_hard_section(store: Store, name: str, settings: EasyHardSettings) -> Section | None:
    """Table D with its tests, hard minus easy by group, and both means as a figure; None without rows."""
    rows = {(r["measure"], r["group"]): r for r in study_rows(store, name).to_dicts()}
    if not rows:
        return None
    joints = store.joints()
    shown = [m for m in measures(store, joints) if (m.name, "all") in rows]
    groups = list(dict.fromkeys(group for _, group in rows))
    split = split_in_words(settings, unit_of(joints))
    if not any(math.isfinite(rows[m.name, "all"]["difference"]) for m in shown):
        counts = rows[shown[0].name, "all"]
        lead = (
            f"{split}: {plural(counts['persons_easy'], 'easy person')} and "
            f"{plural(counts['persons_hard'], 'hard person')}, so there is no difference to show."
        )
        return Section(name, TITLE, lead, (), ORDER)
    panels = [
        Panel(m.label, {k: {g: estimate_of(rows[m.name, g], k) for g in groups} for k in ("easy", "hard")}, m.neutral)
        for m in shown
    ]
    caption = (
        "Means on easy and on hard persons with 95 % intervals (images resampled); dashed, where near: no preference."
    )
    blocks = (
        Picture("easy-and-hard", caption, interval_panels(panels, groups)),
        _table(shown, groups, rows, published_model(store.run)),
    )
    return Section(name, TITLE, f"{split}. {_difference(shown, rows)}", blocks, ORDER)


def _table(shown: Sequence[Measure], groups: Sequence[str], rows: Rows, model: str | None) -> Table:
    published = HARD_MINUS_EASY.get(model or "", {})
    columns = ["measure", "group", "easy", "hard", "difference", "p", "p (Holm)", "effect", "persons"]
    lines = []
    for m in shown:
        for group in groups:
            r = rows[m.name, group]
            line = [m.label, group, *(estimate_of(r, k) for k in ("easy", "hard", "difference"))]
            tested = m.name != "epe"  # EPE makes the groups
            line += [r["p"], p_holm_of(r), r["effect"]] if tested else [None, Missing(DEFINES), None]
            line.append(f"{r['persons_easy']} + {r['persons_hard']}")
            if published:
                line.append(published.get(m.name) if group == "all" else None)
            lines.append(tuple(line))
    if published:
        columns.append(f"published for {model}, another training")
    caption = (
        "Hard minus easy (Table D; EPE: supplement C.3): means over visible joints with 95 % intervals, persons "
        "resampled (who is easy stays as it is); Mann-Whitney U over the persons' means, p corrected by Holm for all "
        "lines but those of EPE, which says who is easy and who is hard; effect: Cliff's delta."
    )
    return Table(caption, tuple(columns), tuple(lines))


def _difference(shown: Sequence[Measure], rows: Rows) -> str:
    from ...functional.inference import FEWEST

    parts = []
    for m in shown:
        e = estimate_of(rows[m.name, "all"], "difference")
        if math.isfinite(e.mean) and m.name != "epe":
            parts.append(f"{m.title} {format_estimate(e, sign=True)}")
    counts = rows[shown[0].name, "all"]
    text = f"Hard minus easy: {', '.join(parts) or 'no index has values'}"
    text += f" ({counts['persons_easy']} easy and {counts['persons_hard']} hard persons)."
    if min(counts["persons_easy"], counts["persons_hard"]) < FEWEST:
        text += " With fewer than 8 persons a side nothing is tested."
    return text
