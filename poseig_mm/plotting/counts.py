"""Figures of counts: a matrix, and stacked shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .figures import SEQUENTIAL, figure_style, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MOST_WRITTEN = 40  # rows or columns up to which counts are written into the cells


def count_matrix(
    counts: NDArray[np.int_], rows: Sequence[str], columns: Sequence[str], *, ylabel: str, xlabel: str
) -> Figure:
    """Counts (R, C) as shades from light (few) to dark (many); 0 is white, and empty."""
    from matplotlib import colormaps

    colors = colormaps[SEQUENTIAL].reversed()
    high, written = max(int(counts.max(initial=1)), 1), max(counts.shape) <= MOST_WRITTEN
    width, height = 2.4 + 0.34 * len(columns), 1.9 + 0.34 * len(rows)
    with figure_style():
        figure, (axis,) = new_figure(min(max(width, 5.0), 13.0), min(height, 13.0))
        shown = np.ma.masked_equal(counts, 0)
        axis.imshow(shown, cmap=colors, vmin=0, vmax=high * 1.15, aspect="equal")
        size = 9 if written else 6
        axis.set_xticks(range(len(columns)), columns, rotation=60, ha="right", rotation_mode="anchor", fontsize=size)
        axis.set_yticks(range(len(rows)), rows, fontsize=size)
        axis.set_xlabel(xlabel)
        axis.set_ylabel(ylabel)
        axis.tick_params(length=0)
        axis.grid(False)
        axis.set_xticks(np.arange(-0.5, len(columns)), minor=True)
        axis.set_yticks(np.arange(-0.5, len(rows)), minor=True)
        axis.grid(True, which="minor", color="#e4e7ec", lw=0.7)
        axis.tick_params(which="minor", length=0)
        if written:
            for (i, j), n in np.ndenumerate(counts):
                if n:
                    dark = sum(colors(n / (high * 1.15))[:3]) < 1.35
                    axis.text(j, i, str(n), ha="center", va="center", fontsize=8.5, color="w" if dark else "k")
    return figure


def stacked_shares(
    counts: Mapping[str, Sequence[int]], kinds: Sequence[str], styles: Mapping[str, tuple[str, str]], *, xlabel: str
) -> Figure:
    """One bar a name, its counts of each kind as shares of 100 %, n at its end.

    Args:
        counts: name -> how many of each of `kinds`.
        kinds: from left to right.
        styles: kind -> (colour, hatch).
        xlabel: of what the shares are.
    """
    with figure_style():
        figure, (axis,) = new_figure(7.6, 1.3 + 0.25 * len(counts))
        for y, values in enumerate(counts.values()):
            total, left = sum(values), 0.0
            axis.text(101, y, f"n = {total}", va="center", fontsize=8, color="#555b66")
            for kind, n in zip(kinds, values, strict=True):
                part = 100 * n / total if total else 0.0
                color, hatch = styles[kind]
                bar: dict[str, Any] = {"color": color, "hatch": hatch, "edgecolor": "white", "linewidth": 0.6}
                axis.barh(y, part, left=left, height=0.76, label=kind if y == 0 else None, **bar)
                left += part
        axis.set_yticks(range(len(counts)), list(counts))
        axis.set_ylim(len(counts) - 0.4, -0.6)
        axis.set_xlim(0, 100)
        axis.set_xlabel(xlabel)
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        figure.legend(loc="outside upper center", ncols=len(kinds), fontsize=9)
    return figure
