"""Figures of the study of shortcuts: shares as bars, and mean maps with the joint in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...plotting.drawing import to_input_size
from ...plotting.figures import PALETTE, figure_style, new_figure
from ...store.reader import Store
from ...summary.measures import explained_columns
from .joint_shares import JointEvidence

# place -> colour and hatch: told apart in print and with any colour vision
STYLES = {
    "own": (PALETTE[0], ""), "limb": (PALETTE[5], ""), "parent": (PALETTE[1], "///"), "partner": (PALETTE[4], "\\\\\\"),
    "other": (PALETTE[3], ""), "person": (PALETTE[2], "..."), "background": ("#c9cdd4", ""),
}  # fmt: skip
WORDS = {"own": "joint itself", "limb": "its bone", "other": "other joints", "person": "rest of person"}
REACH = 5  # radii that a mean map shows to each side
CELLS = 61  # of a mean map's side, odd: the joint is in the middle of one
MOST_PERSONS = 300  # whose maps are averaged
COLUMNS = 6
Array = NDArray[np.float64]


def share_bars(joints: Sequence[JointEvidence]) -> Figure:
    """Stacked shares of each joint, and below them, thin and pale, those of a uniform map."""
    with figure_style():
        figure, (axis,) = new_figure(8.2, 1.2 + 0.34 * len(joints))
        for y, joint in enumerate(joints):
            for values, at, height, alpha in (
                ({p: e.mean for p, e in joint.shares.items()}, y - 0.08, 0.52, 1.0),
                (joint.areas, y + 0.28, 0.16, 0.75),
            ):
                left = 0.0
                for place, (color, hatch) in STYLES.items():
                    part = 100 * float(np.nan_to_num(values.get(place, 0.0)))
                    label = WORDS.get(place, place) if y == 0 and alpha == 1.0 else None
                    bar: dict[str, Any] = {"color": color, "hatch": hatch if alpha == 1.0 else "", "alpha": alpha}
                    axis.barh(at, part, left=left, height=height, label=label, edgecolor="white", linewidth=0.5, **bar)
                    left += part
            axis.text(101, y, joint.cause.code, va="center", fontsize=8, color="#555b66")
        axis.set_yticks(range(len(joints)), [j.name for j in joints])
        axis.set_ylim(len(joints) - 0.4, -0.6)
        axis.set_xlim(0, 100)
        axis.set_xlabel("share of the map's mass (%); thin: of a uniform map")
        axis.grid(axis="y", visible=False)
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        figure.legend(loc="outside upper center", ncols=len(STYLES), fontsize=8, handlelength=1.4, columnspacing=1.2)
    return figure


def mean_maps(store: Store, rows: pl.DataFrame, joints: Sequence[JointEvidence]) -> Figure | None:
    """One panel a joint; None where no maps were kept."""
    from matplotlib.patches import Circle

    means = _mean_maps(store, rows, {j.joint for j in joints})
    shown = [j for j in joints if j.joint in means]
    if not shown:
        return None
    high = max(float(np.nanmax(values)) for values, _ in means.values())
    columns = min(COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    with figure_style():
        figure, axes = new_figure(1.0 + 1.9 * columns, 0.3 + 2.25 * lines, lines, columns)
        for axis, joint in zip(axes, shown, strict=False):
            values, persons = means[joint.joint]
            image = axis.imshow(values, extent=(-REACH, REACH, REACH, -REACH), cmap="inferno", vmin=0, vmax=high)
            axis.add_patch(Circle((0, 0), 1, fill=False, ec="white", lw=1.0))
            axis.plot([0], [0], "+", color="white", ms=5, mew=1.0)
            axis.set_title(joint.name, fontsize=9)
            axis.set_xlabel(f"{joint.cause.code}, n = {persons}", fontsize=8)
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
        for axis in axes[len(shown) :]:
            axis.set_visible(False)
        bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=25, pad=0.02)
        bar.set_label("density, 1 = uniform map")
    return figure


def _mean_maps(store: Store, rows: pl.DataFrame, joints: set[int]) -> dict[int, tuple[Array, int]]:
    """joint -> mean density (CELLS, CELLS) around it over a uniform map's, inside the input; of how many maps."""
    table = store.joints()
    x, y = explained_columns(store, table)
    places = table.select("sample_id", "joint", pl.col(x).alias("x"), pl.col(y).alias("y"))
    sizes = store.samples().select("sample_id", "height", "width")
    wanted = rows.filter(pl.col("joint").is_in(sorted(joints)) & pl.col("share_own").is_finite())
    wanted = wanted.join(places, on=["sample_id", "joint"]).join(sizes, on="sample_id").sort("sample_id", "joint")
    totals = {k: np.zeros((CELLS, CELLS)) for k in joints}
    seen, persons = {k: np.zeros((CELLS, CELLS)) for k in joints}, dict.fromkeys(joints, 0)
    for (sample_id,), person in list(wanted.group_by("sample_id", maintain_order=True))[:MOST_PERSONS]:
        maps = store.map(str(sample_id))
        for row in person.to_dicts() if maps is not None else ():
            assert maps is not None
            values = to_input_size(maps[row["joint"]].astype(np.float64), (int(row["height"]), int(row["width"])))
            if np.isfinite(values).all():
                density, inside = _around(values / values.mean(), row["x"], row["y"], row["radius"])
                totals[row["joint"]] += density
                seen[row["joint"]] += inside
                persons[row["joint"]] += 1
    return {k: (np.where(seen[k] > 0, totals[k] / seen[k].clip(1), np.nan), n) for k, n in persons.items() if n}


def _around(values: Array, x: float, y: float, radius: float) -> tuple[Array, NDArray[np.bool_]]:
    """Values (CELLS, CELLS) up to REACH radii from a point, 0 outside the input; and where that is inside."""
    from scipy.ndimage import map_coordinates, uniform_filter

    step = radius * np.linspace(-REACH, REACH, CELLS)
    ys, xs = np.meshgrid(y + step, x + step, indexing="ij")
    inside = (ys >= 0) & (ys <= values.shape[0] - 1) & (xs >= 0) & (xs <= values.shape[1] - 1)
    side = max(1, round(radius * 2 * REACH / CELLS))  # means of about a cell, so that no pixel falls between
    cells = map_coordinates(uniform_filter(values, side, mode="nearest"), (ys, xs), order=1, mode="nearest")
    return np.where(inside, cells, 0.0), inside
