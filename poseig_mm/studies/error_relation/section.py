"""The part of the report on indices against the error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from ...plotting.trend import error_trends
from ...summary.estimates import estimate_of, visible_joints
from ...summary.measures import Measure, measures, unit_of
from ...summary.sentences import format_estimate, plural
from ...types import Picture, Section, Table

if TYPE_CHECKING:
    from ...store.reader import Store

__all__ = ["error_relation_section"]

FEW = 8  # persons
Rows = Sequence[Mapping[str, Any]]


def error_relation_section(name: str, store: Store) -> Section | None:
    """Correlations as tables, and the indices over the error as a figure; None without rows."""
    if name not in store.studies:
        return None
    joints, rows = store.joints(), store.study(name).to_dicts()
    found = [m for m in measures(store, joints) if any(r["measure"] == m.name for r in rows)]
    above = [r for r in rows if r["level"] != "joint"]
    blocks: list[Table | Picture] = [
        _table("Index against EPE over all joints, over persons and by group", found, above)
    ]
    known = visible_joints(joints).filter(pl.col("epe").is_finite())
    if len(known):
        caption = (
            "Each index over the error: dots are joints, marks are means over joints of like error with 95 % intervals "
            "(persons resampled); dashed: no preference."
        )
        blocks.append(Picture("index-over-error", caption, error_trends(known, found, unit_of(joints))))
    of_joints = [r for r in rows if r["level"] == "joint"]
    blocks.append(_table("Index against EPE, joint by joint", found, of_joints))
    return Section(name, "Attribution against error", _lead(found, rows), tuple(blocks), 330)


def _table(caption: str, found: Sequence[Measure], rows: Rows) -> Table:
    """A line a measure and level, or joint."""
    titles = {m.name: m.title for m in found}
    lines = tuple(
        (titles[r["measure"]], r["of"], r["n"], r["persons"], estimate_of(r, "pearson"), estimate_of(r, "spearman"))
        for r in rows
        if r["measure"] in titles
    )
    text = f"{caption}: correlations with 95 % intervals over persons; a dash where one of the two does not vary."
    return Table(text, ("index", "of", "n", "persons", "Pearson", "Spearman"), lines)


def _lead(found: Sequence[Measure], rows: Rows) -> str:
    by = {(r["measure"], r["level"]): r for r in rows if r["level"] in ("all", "person")}
    parts = []
    for m in found:
        e = estimate_of(by[m.name, "all"], "spearman")
        if not math.isfinite(e.mean):
            parts.append(f"{m.title}: {by[m.name, 'all']['reason']}")
            continue
        sure = math.isfinite(e.low) and (e.low > 0 or e.high < 0)
        word = ("rises" if e.mean > 0 else "falls") if sure else "neither clearly rises nor falls"
        parts.append(f"{m.title} {word} with the error (Spearman {format_estimate(e)})")
    persons = max((r["persons"] for r in rows), default=0)
    text = f"Over all joints of {plural(persons, 'person')}: {'; '.join(parts)}."
    return text if persons >= FEW else f"{text} With fewer than {FEW} persons the intervals say little."
