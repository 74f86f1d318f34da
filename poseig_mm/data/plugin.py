"""The built-in data sets, as a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..plugin.markers import hookimpl

if TYPE_CHECKING:
    from .datasets import DatasetInfo

__all__: list[str] = []


@hookimpl
def poseig_datasets() -> Mapping[str, DatasetInfo]:
    """COCO, MPII and the 21-joint hands; joint groups by the joints' names."""
    from .datasets import BUILTIN_DATASETS

    return BUILTIN_DATASETS
