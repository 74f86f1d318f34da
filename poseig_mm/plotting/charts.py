"""The figures of the built-in sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from .figures import (
    PALETTE,
    SEQUENTIAL,
    draw_estimate,
    draw_reference,
    figure_style,
    group_styles,
    new_figure,
    say_no_values,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

    from ..functional.statistics import Estimate
    from ..summary.measures import Measure


Array = NDArray[np.float64]


@dataclass(frozen=True)
class JointEstimates:
    """One row of the dot plot."""

    name: str
    group: str
    values: Mapping[str, Estimate]  # measure -> estimate


def dot_plot(
    rows: Sequence[JointEstimates], group_means: Mapping[str, Mapping[str, Estimate]], measures: Sequence[Measure]
) -> Figure:
    """Means and intervals, one panel a measure and one line a joint; a group's mean is the line behind its joints."""
    styles = group_styles([r.group for r in rows])
    with figure_style():
        figure, axes = new_figure(2.0 + 2.0 * len(measures), 1.2 + 0.23 * len(rows), 1, len(measures), sharey=True)
        positions = _positions([r.group for r in rows])
        for axis, measure in zip(axes, measures, strict=True):
            for row, y in zip(rows, positions, strict=True):
                draw_estimate(axis, row.values[measure.name], y, *styles[row.group])
            for group, means in group_means.items():
                ys = [y for row, y in zip(rows, positions, strict=True) if row.group == group]
                mean = means[measure.name].mean
                if ys and np.isfinite(mean):
                    axis.plot([mean, mean], [min(ys) - 0.4, max(ys) + 0.4], color=styles[group][0], lw=1.4, alpha=0.55)
            draw_reference(axis, measure.neutral)
            if not any(np.isfinite(r.values[measure.name].mean) for r in rows):
                say_no_values(axis)
            axis.set_title(measure.label)
            axis.grid(axis="y", visible=False)
            axis.margins(x=0.08)
            axis.tick_params(axis="y", length=0)
            axis.spines["left"].set_visible(False)
        axes[0].set_yticks(positions, [r.name for r in rows])
        axes[0].set_ylim(max(positions) + 0.7, -0.7)
        _group_legend(figure, {g: s for g, s in styles.items() if any(r.group == g for r in rows)})
    return figure


def _positions(groups: Sequence[str]) -> list[float]:
    """A line a joint, and half a line between groups."""
    y, positions = 0.0, []
    for i, group in enumerate(groups):
        y += 0.0 if i == 0 else (1.0 if group == groups[i - 1] else 1.6)
        positions.append(y)
    return positions


def _group_legend(figure: Figure, styles: Mapping[str, tuple[str, str]]) -> None:
    from matplotlib.lines import Line2D

    if any(styles):
        handles = [
            Line2D([], [], color=color, marker=marker, ls="-", lw=1.6, mec="white", label=group or "no group")
            for group, (color, marker) in styles.items()
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), fontsize=9)


def joint_by_joint(axis: Any, names: Sequence[str], row: str, column: str) -> None:
    """Axes of a matrix of joints by joints: named, and hatched where no image is drawn over them.

    Args:
        axis: an empty one.
        names: (K,) of the joints.
        row, column: what a row and a column stand for.
    """
    from matplotlib.patches import Rectangle

    count = len(names)
    axis.add_patch(Rectangle((-0.5, -0.5), count, count, fc="#f2f3f5", ec="#c9cdd4", lw=0, hatch="////", zorder=0))
    size = 9 if count <= 40 else 6
    axis.set_xticks(range(count), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=size)
    axis.set_yticks(range(count), names, fontsize=size)
    axis.set_xlabel(column)
    axis.set_ylabel(row)
    axis.grid(False)
    axis.tick_params(length=0)


def relation_matrix(matrix: Array, names: Sequence[str], measure: Measure) -> Figure:
    """Mean index(row's map -> column's joint), (K, K); NaN cells are hatched.

    The scale is logarithmic where 1 says 'no preference': such an index is a ratio.
    """
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm, Normalize

    count, known = len(names), matrix[np.isfinite(matrix)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    ratio = measure.neutral == 1
    norm = LogNorm(vmin=0.1, vmax=max(high, 2.0), clip=True) if ratio else Normalize(vmin=low, vmax=high)
    side = min(2.6 + 0.3 * count, 13.0)
    with figure_style():
        figure, (axis,) = new_figure(side + 0.6, side)
        joint_by_joint(axis, names, "map of this joint …", "… looks at the surroundings of this joint")
        shown = np.ma.masked_invalid(np.maximum(matrix, 0.1) if ratio else matrix)  # NaN stays NaN
        image = axis.imshow(shown, norm=norm, cmap=SEQUENTIAL, zorder=1)
        for spine in axis.spines.values():
            spine.set_visible(False)
        if count <= 24:
            colors = colormaps[SEQUENTIAL]
            for (i, j), value in np.ndenumerate(matrix):
                if np.isfinite(value):
                    dark = sum(colors(norm(value))[:3]) < 1.35
                    axis.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=6.5, color="w" if dark else "k")
        bar = figure.colorbar(image, ax=axis, shrink=0.6, aspect=30, pad=0.02)
        if ratio:
            ticks = [t for t in (0.1, 0.3, 1, 3, 10, 30, 100) if t <= max(high, 2.0)]
            bar.set_ticks(ticks, labels=[f"{t:g}" for t in ticks])
            bar.minorticks_off()
        preference = "" if measure.neutral is None else f", {measure.neutral:g} = no preference"
        bar.set_label(measure.label + preference)
        bar.outline.set_visible(False)
    return figure


def group_distributions(values: Mapping[str, Mapping[str, Array]], measures: Sequence[Measure]) -> Figure:
    """Distribution of each measure over each group's joints: box (quartiles), violin where n >= 8, and the joints."""
    groups = list(values)
    styles, rng = group_styles(groups), np.random.default_rng(0)
    with figure_style():
        figure, axes = new_figure(1.0 + 2.2 * len(measures), 3.3, 1, len(measures))
        for axis, measure in zip(axes, measures, strict=True):
            for x, group in enumerate(groups):
                data, (color, _) = values[group][measure.name], styles[group]
                if data.size >= 8 and np.ptp(data) > 0:
                    parts = axis.violinplot(data, [x], widths=0.85, showextrema=False)
                    bodies: list[PolyCollection] = cast(Any, parts["bodies"])  # the stubs have it as a single one
                    for body in bodies:
                        body.set(facecolor=color, alpha=0.22, edgecolor="none")
                if data.size:
                    some = data if data.size <= 400 else rng.choice(data, 400, replace=False)
                    jitter = x + rng.uniform(-0.13, 0.13, some.size)
                    axis.plot(jitter, some, ".", color=color, ms=3, alpha=0.55, mew=0, zorder=2)
                    axis.boxplot(
                        data, positions=[x], widths=0.34, showfliers=False, showcaps=False, zorder=3,
                        boxprops={"color": "#222", "lw": 1.0}, whiskerprops={"color": "#222", "lw": 1.0},
                        medianprops={"color": "#222", "lw": 2.0},
                    )  # fmt: skip
            draw_reference(axis, measure.neutral, across=True)
            if not any(values[g][measure.name].size for g in groups):
                say_no_values(axis)
            labels = [f"{group or 'no group'}\nn = {values[group][measure.name].size}" for group in groups]
            axis.set_xticks(range(len(groups)), labels)
            axis.set_xlim(-0.6, len(groups) - 0.4)
            axis.set_title(measure.label)
            axis.grid(axis="x", visible=False)
    return figure


def trust_plot(residuals: Array, map_errors: Array, threshold: float, tolerance: float | None) -> Figure:
    """Cumulative distributions of the relative completeness residual and of the map error estimate over joints."""
    with figure_style():
        figure, axes = new_figure(9.0, 2.9, 1, 2)
        axes[0].set_xscale("log")
        _cumulative(axes[0], np.maximum(residuals, 1e-4), threshold, "flagged above", PALETTE[0])
        _cumulative(axes[1], map_errors, tolerance, "asked for", PALETTE[4])
        axes[0].set_title("completeness residual, relative")
        axes[1].set_title("map error estimate")
    return figure


def _cumulative(axis: Axes, values: Array, line: float | None, word: str, color: str) -> None:
    """Share of `values` at or below x, their median, and a limit where there is one."""
    axis.set_ylim(0, 102)
    axis.set_ylabel("joints at or below (%)")
    if not values.size:
        say_no_values(axis)
        return
    ordered = np.sort(values)
    share = 100 * np.arange(1, ordered.size + 1) / ordered.size
    right = max(float(ordered[-1]), line or 0.0, 1e-3) * 1.3
    left = float(ordered[0]) / 1.5 if axis.get_xscale() == "log" else 0.0
    axis.step(np.r_[left, ordered, right], np.r_[0.0, share, 100.0], where="post", color=color, lw=2)
    axis.set_xlim(left, right)
    note: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8.5, "va": "center"}
    note["bbox"] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
    if line is not None:
        axis.axvline(line, color="#444", lw=0.9, ls=(0, (4, 3)))
        axis.annotate(f"{word} {line:g}", (line, 5), xytext=(-4, 0), ha="right", color="#444", **note)
    median = float(np.median(ordered))
    axis.plot([median], [50], "o", color=color, ms=6, mec="white", zorder=4)
    axis.annotate(f"median {median:.3g}", (median, 50), xytext=(-8, 4), ha="right", **note)
