"""What this distribution gives to poseig_mm: in the report of a refined model, what was refined and how.

The model itself reaches MMPose by the config's `custom_imports`, and the built-in adapter of heatmap heads fits it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from poseig_mm.markers import hookimpl
from poseig_mm.types import Section, Table

if TYPE_CHECKING:
    from mmengine.config import Config

    from poseig_mm.store.reader import Store

__all__ = ["poseig_report_sections"]


@hookimpl
def poseig_report_sections(store: Store, config: Config) -> Sequence[Section]:
    """Where the config's model is a `RefinedPoseEstimator`: the settings of its block."""
    model: Mapping[str, Any] = (config.get("model") if config is not None else None) or {}
    if str(model.get("type", "")).rpartition(".")[2] != "RefinedPoseEstimator":
        return ()
    refiner = {name: value for name, value in dict(model.get("refiner") or {}).items() if name != "edges"}
    skeleton = model.get("skeleton")
    about = {
        "frozen head": (model.get("head") or {}).get("type"),
        "frozen checkpoint": model.get("frozen_checkpoint"),
        "skeleton": skeleton if isinstance(skeleton, str) else "given in the config",
        **refiner,
    }
    rows = tuple((name, "" if value is None else str(value)) for name, value in about.items())
    lead = "The heatmaps are refined by a graph block behind a frozen model; maps are gradients through both."
    return (Section("gcn_refinement", "Refined model", lead, (Table("The block.", ("", "value"), rows),), order=955),)
