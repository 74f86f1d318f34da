"""An index against the error: every joint, and the index's mean over joints of like error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ..summary.measures import Measure, estimate
from .figures import MUTED, PALETTE, draw_reference, figure_style, new_figure, rows_of_panels, say_no_values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


BIN, MOST_BINS = 12, 8  # joints that a bin has at least; bins
MOST_POINTS = 3000  # of a panel; the trend is of all
WIDE = 10.0  # largest error over smallest, from which on the axis is logarithmic


def error_trends(joints: pl.DataFrame, measures: Sequence[Measure], unit: str) -> Figure:
    """One panel a measure; dots are joints, marks are means over bins of equally many joints with 95 % intervals.

    Args:
        joints: rows of the store's `joints` with a finite `epe`, at least one.
        measures: columns of it.
        unit: of EPE.
    """
    rows, columns = rows_of_panels(len(measures))
    with figure_style():
        figure, axes = new_figure(0.8 + 2.7 * columns, 0.3 + 2.7 * rows, rows, columns)
        for axis, measure in zip(axes, measures, strict=False):
            _panel(axis, joints.filter(pl.col(measure.name).is_finite()), measure)
            axis.set_xlabel(f"EPE ({unit})")
        for axis in axes[len(measures) :]:
            axis.set_visible(False)
    return figure


def error_bins(joints: pl.DataFrame) -> list[pl.DataFrame]:
    """Joints in the order of their error, in bins of equal size (to one joint); none where there are fewer than two.

    >>> rows = pl.DataFrame({'sample_id': ['a'] * 25, 'epe': [float(i) for i in range(25)]})
    >>> [len(part) for part in error_bins(rows)], error_bins(rows.head(23))
    ([13, 12], [])
    """
    count = min(MOST_BINS, len(joints) // BIN)
    if count < 2:
        return []
    ordered = joints.sort("epe", "sample_id")
    return [ordered[part[0] : part[-1] + 1] for part in np.array_split(np.arange(len(ordered)), count)]


def _panel(axis: Axes, joints: pl.DataFrame, measure: Measure) -> None:
    axis.set_title(measure.label)
    if not len(joints):
        say_no_values(axis)
        axis.set_yticks([])
        return
    some = joints if len(joints) <= MOST_POINTS else joints.sample(MOST_POINTS, seed=0)
    error = some["epe"].to_numpy()
    positive = error[error > 0]
    if positive.size and positive.max() / positive.min() > WIDE:
        axis.set_xscale("log")
        error = np.maximum(error, positive.min())
        _plain_ticks(axis, float(positive.min()), float(positive.max()))
    axis.plot(
        error, some[measure.name].to_numpy(), ".", color=MUTED, ms=3.5, alpha=0.45, mew=0, rasterized=len(some) > 1000
    )
    draw_reference(axis, measure.neutral, across=True)
    bins = error_bins(joints)
    if not bins:
        return
    xs = [max(float(np.median(part["epe"].to_numpy())), float(error.min())) for part in bins]
    means = [estimate(part, measure.name) for part in bins]
    for x, e in zip(xs, means, strict=True):
        if np.isfinite(e.low):
            axis.plot([x, x], [e.low, e.high], color=PALETTE[0], lw=1.7, solid_capstyle="round", zorder=3)
    axis.plot(xs, [e.mean for e in means], "-o", color=PALETTE[0], lw=1.2, ms=5.5, mec="white", mew=0.6, zorder=4)


def _plain_ticks(axis: Axes, low: float, high: float) -> None:
    """Ticks such as 0.3, 1, 3, 10 in the place of powers."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    fine = high / low < 300
    ticks = [m * 10.0**e for e in range(-4, 5) for m in ((1, 3) if fine else (1,))]
    axis.xaxis.set_major_locator(FixedLocator([t for t in ticks if low / 1.5 <= t <= high * 1.5]))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_locator(NullLocator())
