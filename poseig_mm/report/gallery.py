"""Persons to look at, the worst, the middle and the best: each joint's map and its density on input and original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl

from ..settings import ReportSettings
from ..summary.measures import is_annotated, measures, run_value
from ..summary.sentences import plural
from .blocks import Cover, GuardedSection, Heading, PersonGallery, failure_of
from .person import pictures_of
from .person_pictures import Notes, save
from .staging import assets_folder

if TYPE_CHECKING:
    from ..store import Store


HEADING = Heading("gallery", "Persons", 10)
LEGEND = (
    "Ring: annotated joint, cross: prediction, line between them: the error. Maps glow where a change of the pixel "
    "moves the joint's score; the density of a map is drawn with the areas that hold 50 % and 80 % of it."
)

TITLES = {"worst": "worst", "median": "typical", "best": "best"}
CLICK = "A click shows the map of each of a person's joints."
BY_RANK = (
    "A pixel's glow is its rank among the map's pixels (the share of those that are smaller), so that faint evidence "
    "shows as well as strong; how much stronger the strong one is does not."
)
SEQUENCE_LEGEND = (
    "Each picture is of the output joint that is ringed: the larger an input joint's share of its map, over all "
    "frames, the brighter the joint. Beside it, where there are several frames, the map: one row a frame, one column a "
    "joint."
)


def gallery_section(store: Store, limit: int = ReportSettings.gallery) -> GuardedSection:
    """Up to `limit` persons; pictures go to `assets/gallery` of the report that is being built.

    A person who cannot be drawn is left out and stands among the report's failures.
    """
    samples = store.samples()
    chosen = choose(samples, limit)
    if not chosen:
        return HEADING.section("There is no person to show.")
    joints, notes = store.joints(), Notes()
    shown = measures(store, joints)
    folder = assets_folder(store.path, "gallery")
    persons: list[PersonGallery] = []
    covers, pictures = {}, {}
    on_cover = _on_cover([kind for kind, _ in chosen])
    for i, (kind, row) in enumerate(chosen):
        try:
            person = pictures_of(store, row, joints, shown, notes)
            block, drawn = person.gallery(folder, f"{i:03d}", TITLES.get(kind, "") if len(chosen) > 1 else "person")
            if i in on_cover:
                path = folder / f"{i:03d}-cover.jpg"
                save(person.cover(), path)
                covers[block.key] = (path, block.caption)
        except Exception as error:
            notes.failures.append(failure_of(error, "report.gallery", str(row["sample_id"])))
        else:
            persons.append(block)
            pictures[str(row["sample_id"])] = drawn
    remarks = " ".join(f"{remark} ({plural(n, 'person')})." for remark, n in notes.remarks.items())
    legend = LEGEND if run_value(store, "model", "input") != "sequence" else SEQUENCE_LEGEND
    if legend == LEGEND and run_value(store, "settings", "report", "maps_shown") == "rank":
        legend += f" {BY_RANK}"
    cover = Cover("At a glance.", tuple(covers.values()), tuple(covers))
    lead = f"{_lead(len(persons), len(samples), is_annotated(store))} {CLICK} {legend} {remarks}".strip()
    blocks = [cover, *persons] if covers else persons
    return replace(HEADING.section(lead, blocks, notes.failures), pictures=pictures)


def _on_cover(kinds: Sequence[str]) -> set[int]:
    """The first of the worst, the middle of the median, the last of the best; the first three where none has an error.

    >>> sorted(_on_cover(['worst', 'worst', 'median', 'median', 'median', 'best', 'best'])), _on_cover(['worst'])
    ([0, 3, 6], {0})
    """
    if not any(kinds):
        return set(range(min(3, len(kinds))))
    places = {kind: [i for i, k in enumerate(kinds) if k == kind] for kind in ("worst", "median", "best")}
    chosen = {"worst": 0, "median": len(places["median"]) // 2, "best": -1}
    return {of[chosen[kind]] for kind, of in places.items() if of}


def choose(samples: pl.DataFrame, limit: int) -> list[tuple[str, dict[str, Any]]]:
    """('worst' | 'median' | 'best', row) of at most `limit` samples by MEPE, those with maps and joints first.

    Where none has an error: the first ones, with ''.
    """
    with_maps = samples.filter(pl.col("maps_file").is_not_null())
    known = with_maps if len(with_maps) else samples
    usable = known.filter(pl.col("mepe").is_finite())
    if not len(usable):  # nobody is annotated
        return [("", row) for row in known.sort("sample_id").to_dicts()[: max(limit, 0)]]
    rows = usable.sort("mepe", "sample_id", descending=[True, False]).to_dicts()
    if limit <= 0 or not rows:
        return []
    if len(rows) <= limit:
        return [(_kind(i, len(rows)), row) for i, row in enumerate(rows)]
    worst, best = -(-limit // 3), limit // 3
    middle = limit - worst - best
    start = min(max((len(rows) - middle) // 2, worst), len(rows) - best - middle)
    picked = [("worst", r) for r in rows[:worst]] + [("median", r) for r in rows[start : start + middle]]
    return picked + [("best", r) for r in rows[len(rows) - best :]]


def _kind(i: int, n: int) -> str:
    return "worst" if 3 * i < n else "median" if 3 * i < 2 * n else "best"


def _lead(shown: int, persons: int, annotated: bool) -> str:
    if shown == persons == 1:
        return "One person."
    if not annotated:
        return f"{plural(shown, 'person')} of {persons}, in the order of their names; there is no annotation to ring."
    if shown >= persons:
        return f"{plural(shown, 'person')}, from the largest error to the smallest."
    return f"{plural(shown, 'person')} of {persons}: the worst, the middle and the best by mean end-point error."
