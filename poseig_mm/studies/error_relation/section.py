"""The part of the report on indices against the error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ...plotting.trend import error_trends
from ...store.reader import Store
from ...summary.estimates import estimate_of, visible_joints
from ...summary.measures import Measure, has_intervals, measures, unit_of
from ...summary.sentences import format_estimate, plural
from ...types import Picture, Section, Table
from ..section_parts import study_rows

ORDER = 330
TITLE = "Attribution against error"
Rows = Sequence[Mapping[str, Any]]


def error_relation_section(store: Store, name: str) -> Section | None:
    """Correlations as tables, and the indices over the error as a figure; None without rows."""
    rows = study_rows(store, name).to_dicts()
    if not rows:
        return None
    joints = store.joints()
    if not has_intervals(joints.filter(pl.col("visible"))):
        return Section(name, TITLE, "Of so few images correlations have no intervals and say little.", (), ORDER)
    shown = [m for m in measures(store, joints) if any(r["measure"] == m.name for r in rows)]
    of_joints = [r for r in rows if r["level"] == "joint"]
    above = [r for r in rows if r["level"] != "joint"]
    known = visible_joints(joints).filter(pl.col("epe").is_finite())
    blocks: list[Table | Picture] = [
        _table("Index against EPE over all joints, over persons and by group", shown, above)
    ]
    if len(known):
        blocks.append(Picture("index-over-error", _CAPTION, error_trends(known, shown, unit_of(joints))))
    blocks.append(_table("Index against EPE, joint by joint", shown, of_joints))
    return Section(name, TITLE, _lead(shown, rows), tuple(blocks), ORDER)


_CAPTION = (
    "Each index over the error: dots are joints, marks are means over joints of like error with 95 % intervals "
    "(images resampled); dashed: no preference."
)


def _table(caption: str, shown: Sequence[Measure], rows: Rows) -> Table:
    """A line a measure and level, or joint."""
    titles = {m.name: m.title for m in shown}
    lines = tuple(
        (titles[r["measure"]], r["of"], r["n"], r["persons"], estimate_of(r, "pearson"), estimate_of(r, "spearman"))
        for r in rows
        if r["measure"] in titles
    )
    text = f"{caption}: correlations with 95 % intervals, images resampled; a dash where one of the two does not vary."
    return Table(text, ("index", "of", "n", "persons", "Pearson", "Spearman"), lines)


def _lead(shown: Sequence[Measure], rows: Rows) -> str:
    from ...functional.inference import FEWEST

    by = {(r["measure"], r["level"]): r for r in rows if r["level"] in ("all", "person")}
    parts = []
    for m in shown:
        e = estimate_of(by[m.name, "all"], "spearman")
        if not math.isfinite(e.mean):
            parts.append(f"{m.title}: {by[m.name, 'all']['reason']}")
            continue
        sure = math.isfinite(e.low) and (e.low > 0 or e.high < 0)
        word = ("rises" if e.mean > 0 else "falls") if sure else "neither clearly rises nor falls"
        parts.append(f"{m.title} {word} with the error (Spearman {format_estimate(e)})")
    persons = max((r["persons"] for r in rows), default=0)
    text = f"Over all joints of {plural(persons, 'person')}: {'; '.join(parts)}."
    return text if persons >= FEWEST else f"{text} With fewer than {FEWEST} persons the intervals say little."
