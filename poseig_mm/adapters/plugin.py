"""The built-in adapters, as a plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..markers import hookimpl

if TYPE_CHECKING:
    from .base import CoordinateAdapter


@hookimpl
def poseig_register_adapters() -> Sequence[type[CoordinateAdapter]]:
    """One adapter a family of MMPose heads."""
    from .associative_embedding import AssociativeEmbeddingAdapter
    from .cid import CIDAdapter
    from .dekr import DEKRAdapter
    from .edpose import EDPoseAdapter
    from .heatmap import HeatmapAdapter
    from .integral import IntegralAdapter
    from .internet import InternetAdapter
    from .lifting import LiftingAdapter
    from .regression import RegressionAdapter
    from .rtmo import RTMOAdapter
    from .simcc import SimCCAdapter
    from .yolox_pose import YOLOXPoseAdapter

    top_down = (HeatmapAdapter, SimCCAdapter, RegressionAdapter, IntegralAdapter, InternetAdapter)
    whole_image = (AssociativeEmbeddingAdapter, DEKRAdapter, CIDAdapter, RTMOAdapter, YOLOXPoseAdapter, EDPoseAdapter)
    return (*top_down, *whole_image, LiftingAdapter)
