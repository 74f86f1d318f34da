"""From a heatmap config to a refined one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poseig_mm.errors import ConfigError

from .skeleton import skeleton_of_config

__all__ = ["REFINED_TYPE", "refined_config"]

REFINED_TYPE = (
    "poseig_gcn_refinement.estimator.RefinedPoseEstimator"  # MMEngine imports it: no custom_imports are needed
)


def refined_config(cfg: Any, checkpoint: str | Path | None, refiner: Mapping[str, Any] | None = None) -> Any:
    """A copy of a top-down heatmap config whose model is refined; the skeleton is that of its data sets.

    Args:
        cfg: an mmengine `Config`.
        checkpoint: the frozen model's weights.
        refiner: settings of the block; None: its defaults.

    Raises:
        ConfigError: the model is refined already, or has no head.
    """
    found = copy.deepcopy(cfg)
    if str(found.model.get("type", "")).rpartition(".")[2] == "RefinedPoseEstimator":
        raise ConfigError("the config's model is a RefinedPoseEstimator already; give the frozen model's config")
    if "head" not in found.model:
        raise ConfigError(
            f"the config's model, a {found.model.get('type')}, has no head; give the config of a top-down heatmap "
            "model (of a distiller: its student's)"
        )
    found.model.update(
        type=REFINED_TYPE,
        refiner={"type": "GCNRefiner", **(refiner or {})},
        skeleton=found.model.get("skeleton") or skeleton_of_config(found),
        frozen_checkpoint=None if checkpoint is None else str(checkpoint),
    )
    return found
