"""The first thing on the page: what stands out, with the pictures that show it, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ..summary.conclusions import effect_in_words, verdict
from ..summary.measures import measures
from ..types import Conclusion, PersonPicture, Picture
from .blocks import Conclusions, GuardedSection, Heading, attempt, failure_of
from .person import pictures_of
from .person_pictures import Notes, save
from .staging import assets_folder

if TYPE_CHECKING:
    from ..store import Store


HEADING = Heading("conclusions", "Conclusions", 0)
COLUMNS = ("conclusion", "effect", "sure", "try")


def conclusions_section(store: Store, conclusions: Sequence[Conclusion]) -> GuardedSection:
    """The verdict, and each conclusion in the order given; one whose picture cannot be drawn stands without it.

    Pictures go to `assets/conclusions` of the report that is being built.
    """
    return attempt(HEADING, lambda: _section(store, conclusions))


def _section(store: Store, conclusions: Sequence[Conclusion]) -> GuardedSection:
    lead, notes = verdict(store, conclusions), Notes()
    if not conclusions:
        return HEADING.section(lead)
    folder = assets_folder(store.path, "conclusions")
    rows = tuple((c.sentence, effect_in_words(c), c.sure, c.try_) for c in conclusions)
    pictures = tuple(_pictures(store, c, folder, f"{i:02d}", notes) for i, c in enumerate(conclusions))
    block = Conclusions("What stands out, the costliest first.", COLUMNS, rows, pictures=pictures)
    return HEADING.section(lead, (block,), notes.failures)


def _pictures(store: Store, conclusion: Conclusion, folder: Path, stem: str, notes: Notes) -> tuple[Picture, ...]:
    """As the page can show them."""
    shown = []
    for i, given in enumerate(conclusion.pictures):
        name = f"{stem}-{i}"
        try:
            if isinstance(given, PersonPicture):
                shown.append(
                    Picture(name, given.caption or given.sample_id, _drawn(store, given, folder / name, notes))
                )
            elif isinstance(given, Picture):
                shown.append(replace(given, name=name))
            else:
                shown.append(Picture(name, conclusion.sentence, Path(given)))
        except Exception as error:
            sample_id = given.sample_id if isinstance(given, PersonPicture) else ""
            notes.failures.append(failure_of(error, f"conclusion {conclusion.name}", sample_id))
    return tuple(shown)


def _drawn(store: Store, given: PersonPicture, stem: Path, notes: Notes) -> Path:
    joints = store.joints()
    (row,) = store.samples().filter(pl.col("sample_id") == given.sample_id).head(1).to_dicts()
    image = pictures_of(store, row, joints, measures(store, joints), notes).single(given.joint)
    path = stem.with_suffix(".jpg")
    save(image, path)
    return path
