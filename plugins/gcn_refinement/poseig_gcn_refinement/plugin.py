"""What this distribution gives to poseig_mm: a treatment, and a section in the reports of refined models.

The model itself reaches MMPose by the full name of its class in the config, and the built-in adapter of heatmap heads
fits it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from poseig_mm.markers import hookimpl
from poseig_mm.types import Section, Table

from .treatment import GCNRefinement

if TYPE_CHECKING:
    from mmengine.config import Config

    from poseig_mm.store.reader import Store
    from poseig_mm.treatments.base import Treatment

__all__ = ["poseig_report_sections", "poseig_treatments"]


@hookimpl
def poseig_treatments() -> Sequence[Treatment]:
    """The block, trained behind the model that was diagnosed."""
    return (GCNRefinement(),)


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
