"""What this distribution gives to poseig_mm: the adapter of the hand model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from poseig_mm.markers import hookimpl

if TYPE_CHECKING:
    from poseig_mm.adapters.base import CoordinateAdapter

__all__ = ["poseig_register_adapters"]


@hookimpl
def poseig_register_adapters() -> Sequence[type[CoordinateAdapter]]:
    """The hand model's head."""
    from .hand_adapter import Hand3DAdapter

    return (Hand3DAdapter,)
