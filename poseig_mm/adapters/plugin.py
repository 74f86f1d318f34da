"""The built-in adapters, as a plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..plugin.markers import hookimpl

if TYPE_CHECKING:
    from .base import CoordinateAdapter


@hookimpl
def poseig_register_adapters() -> Sequence[type[CoordinateAdapter]]:
    """One adapter a family of MMPose heads."""
    from .heatmap import HeatmapAdapter
    from .integral import IntegralAdapter
    from .regression import RegressionAdapter
    from .simcc import SimCCAdapter

    return (HeatmapAdapter, SimCCAdapter, RegressionAdapter, IntegralAdapter)
