"""What this distribution gives to poseig_mm: the data sets' names, and the adapter of the hand model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from poseig_mm.data.datasets import DatasetInfo
from poseig_mm.plugin.markers import hookimpl

if TYPE_CHECKING:
    from poseig_mm.adapters.base import CoordinateAdapter

__all__ = ["poseig_datasets", "poseig_register_adapters"]


@hookimpl
def poseig_datasets() -> Mapping[str, DatasetInfo]:
    """COCO's joints, and FreiHAND's, whose groups are found by their names."""
    return {name: DatasetInfo(name) for name in ("synthetic_figures", "synthetic_hands")}


@hookimpl
def poseig_register_adapters() -> Sequence[type[CoordinateAdapter]]:
    """The hand model's head."""
    from .hand_adapter import Hand3DAdapter

    return (Hand3DAdapter,)
