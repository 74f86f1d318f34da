"""Indices against the error, one point a joint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .figures import draw_reference, figure_style, group_styles, new_figure, rows_of_panels, say_no_values

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

    from ..summary.measures import Measure


MOST_VECTORS = 2000  # points of a drawing; more become pixels, so that files stay small


def index_against_error(joints: pl.DataFrame, measures: Sequence[Measure], groups: Sequence[str], unit: str) -> Figure:
    """One panel a measure, EPE upwards, colour and mark by group.

    Args:
        joints: rows of the store's `joints` with a finite `epe`.
        measures: columns of it, in order.
        groups: in order; joints of none of them are grey.
        unit: of EPE.
    """
    from matplotlib.lines import Line2D

    names = [*groups, *([""] if "" in joints["group"] else [])]
    styles = group_styles(names)
    error, group = joints["epe"].to_numpy(), joints["group"].to_numpy()
    order = np.random.default_rng(0).permutation(len(error))  # so that no group lies on top of the others
    size, alpha = (16, 0.75) if len(error) < 500 else (7, 0.5) if len(error) < 5000 else (3, 0.3)
    rows, columns = rows_of_panels(len(measures))
    with figure_style():
        figure, axes = new_figure(0.6 + 2.4 * columns, 0.5 + 2.7 * rows, rows, columns)
        for axis, measure in zip(axes, measures, strict=False):
            values = joints[measure.name].to_numpy()
            known = np.isfinite(values[order])
            for part in np.array_split(order[known], 12):  # groups take turns
                for name, (color, marker) in styles.items():
                    mine = part[group[part] == name]
                    axis.scatter(
                        values[mine], error[mine], size, color, marker=marker, alpha=alpha, linewidths=0,
                        rasterized=len(error) > MOST_VECTORS,
                    )  # fmt: skip
            if not known.any():
                say_no_values(axis)
            draw_reference(axis, measure.neutral)
            highest = float(error.max())
            axis.set_yscale("symlog", linthresh=1, linscale=0.5)
            axis.set_ylim(0, 1.25 * highest)
            axis.set_yticks([tick for tick in (0, 1, 3, 10, 30, 100, 300, 1000, 3000) if tick <= 1.25 * highest])
            axis.yaxis.set_major_formatter("{x:g}")
            axis.set_xlabel(measure.label)
        for axis in axes[::columns]:
            axis.set_ylabel(f"EPE ({unit})")
        for axis in axes[len(measures) :]:
            axis.set_visible(False)
        if any(names):
            marks = [
                Line2D([], [], color=c, marker=m, ls="none", label=g or "no group") for g, (c, m) in styles.items()
                if g in names
            ]  # fmt: skip
            figure.legend(handles=marks, loc="outside upper right", ncols=len(marks), fontsize=9)
    return figure
