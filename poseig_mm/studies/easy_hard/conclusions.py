"""In which index hard persons differ most from easy ones."""

from __future__ import annotations

import math

from ...store.reader import Store
from ...summary.conclusions import how_sure
from ...summary.estimates import estimate_of, p_holm_of
from ...summary.measures import measures
from ...types import Conclusion, PersonPicture
from ..section_parts import study_rows
from .rows import EasyHardSettings, easy_and_hard


def easy_hard_conclusions(store: Store, name: str, settings: EasyHardSettings) -> list[Conclusion]:
    """The index of largest effect over all groups, if there is one beyond noise; p is that of the study's table."""
    rows = {r["measure"]: r for r in study_rows(store, name).to_dicts() if r["group"] == "all"}
    joints = store.joints()
    known = []
    for m in measures(store, joints):
        if m.name == "epe" or m.name not in rows or not math.isfinite(rows[m.name]["effect"]):
            continue
        difference = estimate_of(rows[m.name], "difference")
        if sure := how_sure(difference, p_holm_of(rows[m.name])):
            known.append((abs(rows[m.name]["effect"]), m, difference, sure))
    if not known:
        return []
    _, m, difference, sure = max(known, key=lambda entry: entry[0])
    hard, side = easy_and_hard(joints, settings)[1], "higher" if difference.mean > 0 else "lower"
    return [
        Conclusion(
            name="index of errors",
            sentence=f"{m.title} tells hard persons from easy ones: it is {side} on those of large error.",
            effect=difference,
            unit=f"{m.label}, hard minus easy",
            sure=sure,
            pictures=tuple(PersonPicture(sample_id) for sample_id in hard[-1:]),
            try_=f"{m.title} of pictures without annotations says which to annotate or look at first",
        )
    ]
