"""What this distribution gives to poseig_mm: the study of attention.

The model reaches MMPose by the config's `custom_imports`; its head is MMPose's `HeatmapHead`, whose built-in adapter
fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from poseig_mm.markers import hookimpl

if TYPE_CHECKING:
    from poseig_mm.studies.base import Study

__all__ = ["poseig_studies"]


@hookimpl
def poseig_studies() -> Sequence[Study]:
    """`attention`, for models with a `TransPoseEncoder`."""
    from .study import Attention

    return (Attention(),)
