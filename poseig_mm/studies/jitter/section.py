"""The part of the report on jitter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from ...functional.inference import correlation
from ...store.reader import Store
from ...summary.measures import Measure, index_measures
from ...summary.sentences import plural
from ...types import Picture, Section, Table
from ..section_parts import study_rows
from .jitter_figures import jump_figure, over_time_figure
from .rows import JitterSettings, jitter_table, joint_summary, jumps_of

ORDER = 290
TITLE = "Jitter: which joints tremble or jump?"
MOST_LINES, MOST_JOINTS = 30, 5  # jumps in the table, joints in the figure
_FORMULA = "Jitter: |p(t) - (p(t - 1) + p(t + 1)) / 2|, px of the picture, of frames that were taken"
Rows = Sequence[Mapping[str, Any]]


def jitter_section(store: Store, name: str, settings: JitterSettings) -> Section | None:
    """Jitter by joint, jumps, and both against the indices; None without rows."""
    rows = study_rows(store, name)
    if not len(rows):
        return None
    joints = store.joints()
    shown = index_measures(store, joints)
    numbers = joints.select("sample_id", "joint", *(m.name for m in shown))
    table = jitter_table(rows, settings).join(numbers, on=["sample_id", "joint"], maintain_order="left", how="left")
    summary, jumps = joint_summary(table), jumps_of(table)
    blocks: list[Table | Picture] = [_jumps_table(table, jumps, shown), _joints_table(table, summary, shown)]
    worst = [row["joint_name"] for row in summary if math.isfinite(row["mean"])][:MOST_JOINTS]
    if worst:
        caption = (
            f"{_FORMULA}, and the indices of the {len(worst)} joints of most jitter; dots: jumps. A line ends where "
            "the video is cut or the person is lost."
        )
        blocks.append(Picture("jitter", caption, over_time_figure(table, worst, shown)))
    if settings.pictures and (figure := jump_figure(store, table, _shown_jumps(jumps, settings.pictures))) is not None:
        caption = (
            "Maps at the longest jumps, each frame's longest first: in the frame before, at the jump, and in the frame "
            "after. Cross: the prediction; disc: the centre of mass of the map."
        )
        blocks.append(Picture("jumps", caption, figure))
    return Section(name, TITLE, _lead(table, summary, jumps, settings), tuple(blocks), ORDER)


def _jumps_table(table: pl.DataFrame, jumps: Rows, shown: Sequence[Measure]) -> Table:
    """A line a jump."""
    several = table["video"].n_unique() > 1
    before = {(r["video"], r["track"], r["joint"], r["frame"]): r for r in table.to_dicts()}
    frames: dict[Any, int] = {}
    last: dict[Any, int] = {}
    for key in sorted(before, key=lambda k: (*map(str, k[:3]), k[3])):
        frames[key] = last.get(key[:3], -1)
        last[key[:3]] = key[3]
    lines = []
    for row in jumps[:MOST_LINES]:
        key = (row["video"], row["track"], row["joint"], row["frame"])
        earlier = before.get((*key[:3], frames[key]), {})
        changes = [v for m in shown for v in (earlier.get(m.name, math.nan), row[m.name])]
        where = (row["video"], row["frame"], row["track"]) if several else (row["frame"], row["track"])
        lines.append((*where, row["joint_name"], row["step"], row["moved"], row["near_before"], row["near"], *changes))
    caption = (
        "Jumps, the longest first: how far the prediction and its evidence (the map's centre of mass) moved since the "
        "frame before, px of the picture; the share of the map near the joint, and its indices, before and at the jump."
    )
    if len(jumps) > MOST_LINES:
        caption += f" Shown are {MOST_LINES} of {len(jumps)}."
    head = ("video", "frame", "person") if several else ("frame", "person")
    columns = (*head, "joint", "step", "evidence moved", "near before", "near")
    return Table(caption, (*columns, *(f"{m.title}{w}" for m in shown for w in (" before", ""))), tuple(lines))


def _joints_table(table: pl.DataFrame, summary: Rows, shown: Sequence[Measure]) -> Table:
    """A line a joint."""
    lines = []
    for row in summary:
        part = table.filter((pl.col("joint_name") == row["joint_name"]) & pl.col("jitter").is_finite())
        rank = [correlation(part["jitter"], part[m.name], part["frame"], method="spearman").mean for m in shown]
        frame = row["frame"] if row["frame"] >= 0 else None
        lines.append(
            (row["joint_name"], row["n"], row["mean"], row["median"], row["largest"], frame, row["jumps"], *rank)
        )
    caption = (
        f"{_FORMULA}; and its rank correlation with the joint's indices over time (frames that follow one another are "
        "alike, so it has no p)."
    )
    columns = ("joint", "frames", "mean", "median", "largest", "at frame", "jumps")
    return Table(caption, (*columns, *(f"with {m.title}" for m in shown)), tuple(lines))


def _lead(table: pl.DataFrame, summary: Rows, jumps: Rows, settings: JitterSettings) -> str:
    frames, tracks = table.select("video", "frame").unique().height, table.select("video", "track").unique().height
    known = [row for row in summary if math.isfinite(row["mean"])]
    head = f"{plural(frames, 'frame')}, {plural(tracks, 'person')} followed (a cut begins new ones)."
    if not known:
        return f"{head} No joint is there in three frames one after the other, so there is nothing to measure."
    others = sorted(row["mean"] for row in known)
    most = known[0]
    text = (
        f"{head} {most['joint_name']} jitters most: {most['mean']:.1f} px a frame on average (the middle one of all "
        f"joints {others[len(others) // 2]:.1f} px)."
    )
    longer = f"longer than its joint's median step by more than {settings.jump:g} of the person's size"
    if not jumps:
        return f"{text} No joint jumps: no step is {longer}."
    by_frame: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in jumps:
        by_frame.setdefault((row["video"], row["frame"]), []).append(row)
    first = "; ".join(map(_jumps_at, list(by_frame.values())[:3]))
    more = f"; and at {plural(len(by_frame) - 3, 'other frame')}" if len(by_frame) > 3 else ""
    text += f" {plural(len(jumps), 'jump')} (a step {longer}): {first}{more}."
    row = jumps[0]
    if not math.isfinite(row["moved"]):
        return text
    return (
        f"{text} At the first of these the evidence moved {row['moved']:.0f} px, and the share of it near the joint "
        f"went from {100 * row['near_before']:.0f} % to {100 * row['near']:.0f} %."
    )


def _jumps_at(jumps: Rows) -> str:
    """Those of one frame, the longest first, in words."""
    most = jumps[0]
    others = f" and {plural(len(jumps) - 1, 'other joint')}" if len(jumps) > 1 else ""
    return f"{most['joint_name']} at frame {most['frame']} ({most['step']:.0f} px){others}"


def _shown_jumps(jumps: Rows, most: int) -> Rows:
    """The longest of each frame, then the second longest of each, and so on."""
    seen: dict[tuple[str, int], int] = {}
    ranked = []
    for row in jumps:
        key = (row["video"], row["frame"])
        seen[key] = seen.get(key, 0) + 1
        ranked.append((seen[key], row))
    return [row for _, row in sorted(ranked, key=lambda pair: pair[0])][:most]
