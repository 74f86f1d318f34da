"""Each index against the error, one point a visible joint; hover names the sample, a click opens its maps."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import polars as pl

from ..plotting.figures import group_styles
from ..plotting.scatter import index_against_error
from ..seeding import stable_hash
from ..summary.measures import Measure, group_order, is_annotated, measures, unit_of
from ..summary.sentences import plural
from ..types import Picture
from .blocks import GuardedSection, Heading, LinkedScatter, SamplePictures, failure_of
from .person import pictures_of
from .person_pictures import Notes, save
from .rendering import plotly_script
from .staging import assets_folder

if TYPE_CHECKING:
    from ..store import Store


MOST_POINTS = 10_000  # above, browsers grow slow
MOST_SHEETS = 60  # samples drawn for this section, beside those of the gallery
MAP_ERROR = Measure("map_error", "Map error", "", "how far the map can be trusted: 0 converged, 1 not at all")
PLOTLY_SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross",
                  "X": "x", "*": "star"}  # fmt: skip
HEADING = Heading("scatter", "Index against error", 150)


def scatter_section(
    store: Store, drawn: Mapping[str, SamplePictures] = MappingProxyType({}), sheets: int = MOST_SHEETS
) -> GuardedSection:
    """The scatter, whose points open pictures of their samples.

    Args:
        store: the run.
        drawn: sample id -> pictures that there are already, the gallery's.
        sheets: how many further samples get a picture: the worst, the best and a seeded draw, a third each.
    """
    joints = store.joints()
    usable = joints.filter(pl.col("visible") & pl.col("epe").is_finite())
    if not is_annotated(store):
        return HEADING.section("Nobody annotated these persons, so no joint has an error.")
    if not len(usable):
        return HEADING.section("No joint has an error, so there is nothing to plot.")
    shown, plotted = thinned(usable, MOST_POINTS), (*measures(store, joints)[1:], MAP_ERROR)
    groups = group_order(usable)
    figure = index_against_error(shown, plotted, groups, unit_of(joints))
    lead = [f"Each point is a visible joint ({len(usable)} of {plural(usable['sample_id'].n_unique(), 'person')})."]
    if len(shown) < len(usable):
        lead.append(f"Shown are {len(shown)} of them, a seeded draw: more would make the page slow.")
    still = "One point a visible joint, colour and mark by group. EPE is linear up to 1, logarithmic above."
    try:
        plotly_script()
    except FileNotFoundError:
        lead.append("plotly is not installed (pip install plotly), so this is a picture: its points cannot be clicked.")
        return HEADING.section(" ".join(lead), [Picture("joints", still, figure)])
    notes = Notes()
    samples = store.samples()
    pictures = {**drawn, **_draw_sheets(store, samples, joints, chosen_sheets(samples, set(drawn), sheets), notes)}
    points = payload(store, shown, plotted, groups)
    lead.append(
        "Point at one to see which it is; click it to see its maps"
        f" ({len(pictures)} of {plural(len(samples), 'person')} were drawn)."
    )
    block = LinkedScatter("joints", still, figure, points, pictures)
    return HEADING.section(" ".join(lead), [block], notes.failures)


def thinned(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """At most `most` rows of `joints`, always the same of the same store, in whatever order they were written.

    >>> rows = pl.DataFrame({'sample_id': ['a', 'b', 'c'], 'joint': [0, 0, 0]})
    >>> thinned(rows, 2).rows() == thinned(rows.reverse(), 2).reverse().rows(), len(thinned(rows, 2))
    (True, 2)
    """
    if len(rows) <= most:
        return rows
    keys = [_draw(f"{sample}/{joint}") for sample, joint in rows.select("sample_id", "joint").rows()]
    chosen = sorted(range(len(rows)), key=keys.__getitem__)[:most]
    return rows[sorted(chosen)]


def _draw(text: str) -> tuple[int, str]:
    """A pseudo-random order that depends on nothing but the name."""
    return stable_hash(f"scatter:{text}"), text


def chosen_sheets(samples: pl.DataFrame, drawn: set[str], limit: int) -> list[str]:
    """Ids of at most `limit` samples without a picture: the worst and best by MEPE, and a draw of the others."""
    usable = samples.filter(pl.col("maps_file").is_not_null() & pl.col("mepe").is_finite())
    ids = [i for i in usable.sort("mepe", "sample_id", descending=[True, False])["sample_id"] if i not in drawn]
    if limit <= 0 or len(ids) <= limit:
        return ids if limit > 0 else []
    worst, best = ids[: -(-limit // 3)], ids[len(ids) - limit // 3 :] if limit >= 3 else []
    others = sorted(set(ids) - {*worst, *best}, key=_draw)
    return [*worst, *best, *others[: limit - len(worst) - len(best)]]


def payload(store: Store, rows: pl.DataFrame, plotted: Sequence[Measure], groups: Sequence[str]) -> dict[str, Any]:
    """What the page's script draws, as JSON has it: names once, then columns of numbers, null where there is none."""
    samples = rows["sample_id"].unique(maintain_order=True).to_list()
    place = {sample_id: i for i, sample_id in enumerate(samples)}
    names = dict(sorted(rows.select("joint", "joint_name").unique().rows()))
    known = [*groups, *([""] if "" in rows["group"] else [])]
    styles = group_styles(known)
    columns = {m.name: _numbers(rows[m.name]) for m in plotted if m.name in rows.columns}
    reasons = {m.name: _reasons(rows, m.name) for m in plotted}
    return {
        "unit": unit_of(rows),
        "samples": samples,
        "joints": names,
        "groups": [
            {"name": g, "color": styles[g][0], "symbol": PLOTLY_SYMBOLS[styles[g][1]]} for g in known
        ],
        "measures": [
            {"name": m.name, "label": m.label, "title": m.title, "meaning": m.meaning, "neutral": m.neutral,
             "missing": reasons[m.name]} for m in plotted if m.name in rows.columns
        ],
        "sample": [place[s] for s in rows["sample_id"]],
        "joint": rows["joint"].to_list(),
        "group": [known.index(g) for g in rows["group"]],
        "epe": _numbers(rows["epe"]),
        "values": columns,
        "kept": store.has_maps,
        "command": f"python -m poseig_mm.report.person {shlex.quote(str(store.path))}",
    }  # fmt: skip


def _reasons(rows: pl.DataFrame, column: str) -> str:
    """Codes of the rows that lack a number, the most frequent first."""
    if column not in rows.columns:
        return ""
    lacking = rows.filter(~pl.col(column).is_finite() | pl.col(column).is_null())
    counts = lacking["reason"].value_counts(sort=True)["reason"].to_list() if len(lacking) else []
    return ", ".join(filter(None, counts))


def _numbers(values: pl.Series) -> list[float | None]:
    """Five significant figures are more than a screen shows."""
    return [float(f"{v:.5g}") if v is not None and abs(v) < float("inf") else None for v in values]


def _draw_sheets(
    store: Store, samples: pl.DataFrame, joints: pl.DataFrame, ids: Sequence[str], notes: Notes
) -> dict[str, SamplePictures]:
    """A sheet each; a sample that cannot be drawn is left out and stands among the failures."""
    folder = assets_folder(store.path, "samples")
    rows: Mapping[str, Any] = {r["sample_id"]: r for r in samples.filter(pl.col("sample_id").is_in(ids)).to_dicts()}
    drawn = {}
    for i, sample_id in enumerate(ids):
        try:
            image, cells = pictures_of(store, rows[sample_id], joints, (), notes).sheet()
            path = folder / f"{i:03d}.jpg"
            save(image, path)
            drawn[sample_id] = SamplePictures(path, cells=cells)
        except Exception as error:
            notes.failures.append(failure_of(error, "report.scatter", sample_id))
    return drawn
