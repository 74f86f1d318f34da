"""What this distribution gives to poseig_mm: the adapter of hand meshes.

The models reach MMPose by the config's `custom_imports`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from poseig_mm.markers import hookimpl

if TYPE_CHECKING:
    from poseig_mm.adapters.base import CoordinateAdapter

__all__ = ["poseig_register_adapters"]


@hookimpl
def poseig_register_adapters() -> Sequence[type[CoordinateAdapter]]:
    """`hand_mesh`, for models with a `HandMeshHead`."""
    from .adapter import HandMeshAdapter

    return (HandMeshAdapter,)
