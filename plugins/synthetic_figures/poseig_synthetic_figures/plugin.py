"""What this distribution gives to poseig_mm: the data sets' name and config."""

from __future__ import annotations

from collections.abc import Mapping

from poseig_mm.data.datasets import DatasetInfo
from poseig_mm.plugin.markers import hookimpl

__all__ = ["poseig_datasets"]


@hookimpl
def poseig_datasets() -> Mapping[str, DatasetInfo]:
    """COCO's joints, whose groups are found by their names."""
    return {"synthetic_figures": DatasetInfo("synthetic_figures")}
