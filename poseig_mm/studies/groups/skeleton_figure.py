"""Fig. D: the groups of the joints and their chain, drawn on a pose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...plotting.figures import figure_style, group_styles, new_figure
from ...types import JointGroups

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def skeleton_figure(groups: JointGroups, places: NDArray[np.float64]) -> Figure:
    """Joints in their group's colour and mark, bones grey, and an arrow from each joint's parent to it.

    Args:
        groups: of the K joints.
        places: (K, 2) x to the right, y downwards; a joint at NaN is not drawn.
    """
    from matplotlib.patches import FancyArrowPatch

    shown = np.isfinite(places).all(1)
    styles = group_styles(groups.group_of)
    with figure_style():
        figure, (axis,) = new_figure(6.4, 7.2)
        for a, b in groups.skeleton:
            axis.plot(*places[[a, b]].T, color="#d5d9e0", lw=5, solid_capstyle="round", zorder=1)
        for child, parent in enumerate(groups.parent_of):
            if parent >= 0 and shown[child] and shown[parent]:
                ends: Any = (tuple(places[parent]), tuple(places[child]))
                axis.add_patch(FancyArrowPatch(
                    *ends, arrowstyle="-|>", mutation_scale=12, lw=1.2, color="#666c78", shrinkA=4, shrinkB=5, zorder=2
                ))  # fmt: skip
        for group in dict.fromkeys(groups.group_of):
            mine = shown & (np.array(groups.group_of) == group)
            if mine.any():
                color, marker = styles[group]
                label = group or "no group"
                axis.scatter(places[mine, 0], places[mine, 1], s=52, color=color, marker=marker, label=label, zorder=3)
        for joint in np.flatnonzero(shown):
            name = groups.keypoint_names[joint]
            axis.annotate(name, places[joint], xytext=(7, 3), textcoords="offset points", fontsize=7, zorder=4)
        axis.set_aspect("equal")
        axis.margins(0.16, 0.06)
        axis.invert_yaxis()
        axis.set_axis_off()
        axis.legend(loc="best", fontsize=9)
    return figure
