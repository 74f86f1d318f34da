"""Figures of the study of dependency: the matrix of effects, and the strongest of them on the skeleton."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...plotting.charts import joint_by_joint
from ...plotting.figures import MUTED, PALETTE, figure_style, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...functional.statistics import Estimate


Array = NDArray[np.float64]
Pair = tuple[int, int]  # joint A, whose evidence is erased; joint B


def effect_matrix(effects: Mapping[Pair, Estimate], names: Sequence[str], unit: str) -> Figure:
    """Mean effect of A (row) on B (column); a dot where the interval leaves out 0, hatched where nothing is known."""
    count = len(names)
    matrix = np.full((count, count), np.nan)
    for pair, effect in effects.items():
        matrix[pair] = effect.mean
    off_diagonal = np.abs(matrix[~np.eye(count, dtype=bool) & np.isfinite(matrix)])
    reach = max(float(np.quantile(off_diagonal, 0.99)) if off_diagonal.size else 0.0, 1e-6)
    side = min(2.6 + 0.3 * count, 13.0)
    with figure_style():
        figure, (axis,) = new_figure(side + 0.8, side)
        joint_by_joint(axis, names, "erasing the evidence of this joint (A) …", "… changes the error of this joint (B)")
        image = axis.imshow(np.ma.masked_invalid(matrix), cmap="RdBu_r", vmin=-reach, vmax=reach, zorder=1)
        sure = np.array([pair for pair, effect in effects.items() if excludes_zero(effect)]).reshape(-1, 2)
        axis.scatter(sure[:, 1], sure[:, 0], s=9, color="k", zorder=2)
        bar = figure.colorbar(image, ax=axis, shrink=0.6, aspect=30, pad=0.02, extend="both")
        bar.set_label(f"EPE beyond the control ({unit}); 0: no effect")
        bar.outline.set_visible(False)
    return figure


def excludes_zero(effect: Estimate) -> bool:
    """Whether an interval lies on one side of 0; False where there is none."""
    return effect.low > 0 or effect.high < 0


def effect_graph(
    pairs: Mapping[Pair, Estimate], places: Array, bones: Sequence[Pair], names: Sequence[str], unit: str
) -> Figure:
    """Arrows from A to B on the mean pose, thicker for larger effects.

    Args:
        pairs: those to draw.
        places: (K, 2) x to the right, y downwards; NaN: not drawn.
        bones: pairs of joints, grey.
        names: of the joints.
        unit: of the effects.
    """
    from matplotlib.patches import FancyArrowPatch

    shown = np.isfinite(places).all(1)
    largest = max((abs(e.mean) for e in pairs.values()), default=1.0)
    with figure_style():
        figure, (axis,) = new_figure(7.2, 7.6)
        for a, b in bones:
            axis.plot(*places[[a, b]].T, color="#d5d9e0", lw=5, solid_capstyle="round", zorder=1)
        axis.scatter(places[shown, 0], places[shown, 1], s=26, color=MUTED, zorder=2)
        named = sorted({joint for pair in pairs for joint in pair} or set(range(len(names))))
        for joint in (j for j in named if shown[j]):
            axis.annotate(names[joint], places[joint], xytext=(6, 3), textcoords="offset points", fontsize=8, zorder=4)
        for (a, b), effect in pairs.items():
            if not (shown[a] and shown[b]):
                continue
            look: dict[str, Any] = {"color": PALETTE[4] if effect.mean > 0 else PALETTE[0], "alpha": 0.8, "zorder": 3}
            width = 0.8 + 3.2 * abs(effect.mean) / largest
            curve = "arc3,rad=0.18"  # A -> B and B -> A do not cover one another
            axis.add_patch(FancyArrowPatch(
                tuple(places[a]), tuple(places[b]), connectionstyle=curve, arrowstyle="-|>", mutation_scale=11,
                lw=width, shrinkA=4, shrinkB=4, **look,
            ))  # fmt: skip
        axis.set_aspect("equal")
        axis.margins(0.14, 0.06)
        axis.invert_yaxis()
        axis.set_axis_off()
        axis.set_title(f"evidence of A → joint B; thickest: {largest:.1f} {unit}")
    return figure
