"""Means or differences with intervals: a panel a measure, a line a group, a mark a series (run, or kind)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .figures import (
    MARKERS,
    PALETTE,
    draw_estimate,
    draw_reference,
    figure_style,
    new_figure,
    rows_of_panels,
    say_no_values,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..functional.statistics import Estimate


FAR = 1.0  # spans of what is drawn, beyond which a reference is left out
SPREAD = 0.62  # of a line's height, over which the series are spread


@dataclass(frozen=True)
class Panel:
    """What one panel shows."""

    title: str
    values: Mapping[str, Mapping[str, Estimate]]  # series -> line -> estimate; a line that is not there is left empty
    reference: float | None = None  # a dashed line: no preference; left out where it is far away, unless it is 0
    label: str = ""  # of the x axis


def interval_panels(panels: Sequence[Panel], lines: Sequence[str]) -> Figure:
    """The figure, as high as it has lines.

    Args:
        panels: all with the same series.
        lines: from top to bottom.
    """
    from matplotlib.lines import Line2D

    series = list(dict.fromkeys(name for panel in panels for name in panel.values))
    rows, columns = rows_of_panels(len(panels))
    step = 0.26 + 0.14 * len(series)  # inches a line
    legend = len(series) > 1
    width = 1.5 + 2.1 * columns
    with figure_style():
        figure, axes = new_figure(width, rows * (0.75 + step * len(lines)) + 0.3 * legend, rows, columns, sharey=True)
        for axis, panel in zip(axes, panels, strict=False):
            _draw(axis, panel, series, lines)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        for row in range(rows):
            axes[row * columns].set_yticks(range(len(lines)), list(lines))
            axes[row * columns].set_ylim(len(lines) - 0.45, -0.55)
        if legend:
            handles = [
                Line2D([], [], color=_color(i), marker=_marker(i), lw=1.6, mec="white", label=name)
                for i, name in enumerate(series)
            ]
            longest = max(map(len, series))
            ncols = max(1, min(len(series), int(width * 14 / (longest + 6))))
            figure.legend(handles=handles, loc="outside upper right", ncols=ncols, fontsize=9)
    return figure


def _draw(axis: Axes, panel: Panel, series: Sequence[str], lines: Sequence[str]) -> None:
    anything = False
    for i, name in enumerate(series):
        shift = (i - (len(series) - 1) / 2) * SPREAD / max(len(series), 2)
        for y, line in enumerate(lines):
            if (value := panel.values.get(name, {}).get(line)) is not None:
                anything |= draw_estimate(axis, value, y + shift, _color(i), _marker(i), 1.7)
    _limits(axis, panel)
    if not anything:
        say_no_values(axis)
    for y in range(1, len(lines)):
        axis.axhline(y - 0.5, color="#e4e7ec", lw=0.7, zorder=0)
    axis.set_title(panel.title)
    axis.set_xlabel(panel.label)
    axis.grid(axis="y", visible=False)
    axis.locator_params(axis="x", nbins=5)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)


def _limits(axis: Axes, panel: Panel) -> None:
    """Around what is drawn, with the reference where it is 0 (no difference) or so near that it squeezes nothing."""
    drawn = [v for e in (e for line in panel.values.values() for e in line.values()) for v in (e.mean, e.low, e.high)]
    known = [v for v in drawn if np.isfinite(v)]
    if not known:
        return
    low, high, line = min(known), max(known), panel.reference
    near = line is not None and min(abs(line - low), abs(line - high)) <= FAR * (high - low)
    if line is not None and (near or line == 0):
        low, high = min(low, line), max(high, line)
        draw_reference(axis, line)
    margin = 0.1 * (high - low) or 0.5 * abs(high) or 0.5
    axis.set_xlim(low - margin, high + margin)


def _color(i: int) -> str:
    return PALETTE[i % len(PALETTE)]


def _marker(i: int) -> str:
    return MARKERS[i % len(MARKERS)]
