"""Jitter and indices over time, and maps before and after a jump."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ...plotting.drawing import overlay, to_input_size
from ...plotting.figures import PALETTE, draw_reference, figure_style, new_figure
from ...store.reader import Store
from ...summary.measures import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def over_time_figure(table: pl.DataFrame, joints: Sequence[str], shown: Sequence[Measure]) -> Figure:
    """A panel for the jitter and one for each index, the frames across, a line a joint.

    Args:
        table: of `jitter_table`, with the indices.
        joints: names.
        shown: the indices.
    """
    panels = [Measure("jitter", "Jitter", "px"), *(m for m in shown if table[m.name].is_finite().any())]
    with figure_style():
        figure, axes = new_figure(9.0, 1.7 * len(panels) + 0.5, len(panels))
        for axis, measure in zip(axes, panels, strict=True):
            for color, joint in zip(PALETTE, joints, strict=False):
                part = table.filter(pl.col("joint_name") == joint)
                _lines(axis, part, measure.name, color, joint if measure is panels[0] else "")
            axis.set_ylabel(measure.label)
            axis.set_xlim(int(table["frame"].min()) - 0.5, int(table["frame"].max()) + 0.5)  # type: ignore[arg-type]
            draw_reference(axis, measure.neutral, across=True)
        axes[0].set_ylim(bottom=0)
        axes[-1].set_xlabel("frame")
        axes[0].legend(ncols=len(joints), fontsize=7.5, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


def _lines(axis: Axes, part: pl.DataFrame, column: str, color: str, label: str) -> None:
    """A line for each person; dots where the joint jumps."""
    for number, (_, track) in enumerate(part.group_by("video", "track", maintain_order=True)):
        name = label if number == 0 else ""
        axis.plot(track["frame"], track[column], color=color, lw=1.2, label=name or "_", marker=".", ms=2.5)
        jumps = track.filter("jump")
        axis.plot(jumps["frame"], jumps[column], color=color, ls="none", marker="o", ms=5)


def jump_figure(store: Store, table: pl.DataFrame, jumps: Sequence[Mapping[str, Any]]) -> Figure | None:
    """A row a jump: the joint's map in the frame before, at it, and in the frame after; None where no map was kept."""
    rows = [cells for jump in jumps if any(cells := _frames_around(store, table, jump))]
    if not rows:
        return None
    with figure_style():
        figure, axes = new_figure(6.6, 2.9 * len(rows), len(rows), 3)
        for axis in axes:
            axis.axis("off")
        for i, cells in enumerate(rows):
            for axis, cell in zip(axes[3 * i : 3 * i + 3], cells, strict=True):
                if cell is not None:
                    _draw(axis, *cell)
    return figure


Cell = tuple[str, Any, Any, Any, Any]  # title, image, map, prediction, centre of mass


def _frames_around(store: Store, table: pl.DataFrame, jump: Mapping[str, Any]) -> list[Cell | None]:
    """The frames of the same person before, at and after a jump, where they have a map."""
    same = (pl.col(key) == jump[key] for key in ("video", "track", "joint"))
    rows = table.filter(*same).sort("frame").to_dicts()
    at = next(i for i, row in enumerate(rows) if row["frame"] == jump["frame"])
    return [_cell(store, rows[i]) if 0 <= i < len(rows) else None for i in (at - 1, at, at + 1)]


def _cell(store: Store, row: Mapping[str, Any]) -> Cell | None:
    display, maps = store.display(row["sample_id"]), store.map(row["sample_id"])
    if display is None or maps is None:
        return None
    values = to_input_size(maps[row["joint"]].astype(np.float64), (display.shape[0], display.shape[1]))
    sample = store.samples().filter(pl.col("sample_id") == row["sample_id"]).to_dicts()[0]
    warp = np.array([[sample[f"warp_{i}{j}"] for j in range(3)] for i in range(2)])
    forward = np.linalg.inv(warp[:, :2])
    place, middle = (
        forward @ (np.array([row[x], row[y]]) - warp[:, 2]) for x, y in (("x", "y"), ("evidence_x", "evidence_y"))
    )
    near = "" if not math.isfinite(row["near"]) else f", {100 * row['near']:.0f} % near"
    return f"{row['joint_name']}, frame {row['frame']}{near}", display, values, place, middle


def _draw(axis: Axes, title: str, image: Any, values: Any, place: Any, middle: Any) -> None:
    axis.imshow(overlay(image, values) if np.isfinite(values).all() else image)
    axis.plot(*place, marker="x", color="white", ms=8, mew=2, ls="none")
    axis.plot(*middle, marker="o", color="#56B4E9", ms=6, mec="white", ls="none")
    axis.set_xlim(-0.5, image.shape[1] - 0.5)
    axis.set_ylim(image.shape[0] - 0.5, -0.5)
    axis.set_title(title, fontsize=7.5)
