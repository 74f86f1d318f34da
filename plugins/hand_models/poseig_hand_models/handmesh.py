"""Official files of MobRecon and CMR (github.com/SeanChenxy/HandMesh) under the names of the MMPose models."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from .convert import REGRESSOR, place
from .mano_file import ManoData
from .mobrecon import mobrecon_name
from .regressor import ABSENT, joint_matrix

__all__ = ["cmr_weights", "mobrecon_weights"]

logger = logging.getLogger(__name__)


def mobrecon_weights(
    official: Mapping[str, Tensor], model: Any, mano: ManoData | None = None, note: Callable[[str], None] | None = None
) -> dict[str, Tensor]:
    """MobRecon's file, of either training code (`backbone.conv` or `backbone.reduce`).

    Args:
        official: weights by official name.
        model: MMPose's, with a `MobRecon`; not changed.
        mano: the regressor's source; None: the config's, where it gives one.
        note: see `place_weights`.

    Raises:
        CheckpointError: lists what does not fit, see `convert.place`.
    """
    projection = any(name.startswith("decoder3d.de_layer_conv.") for name in official)
    layer = "dsconv" if any(".spatial_layer." in name for name in official) else "spiral"
    advice = f"set convolution={layer!r} and projection={projection} of the backbone, which are this file's"
    placed = place(official, model, mobrecon_name, source="the file", advice=advice, note=note)
    return _with_regressor(placed, model, mano)


def cmr_weights(
    official: Mapping[str, Tensor], model: Any, mano: ManoData | None = None, note: Callable[[str], None] | None = None
) -> dict[str, Tensor]:
    """CMR's file.  Arguments and errors as of `mobrecon_weights`, with a `CMR`."""
    parts = {name.partition(".")[0] for name in official}
    variant = "sg" if "mask_head" in parts else "pg" if "uv_prior_head" in parts else "g"
    depth = 50 if any(name.endswith(".layer1.0.conv3.weight") for name in official) else 18
    attention = "attention" in parts
    advice = f"set variant={variant!r}, depth={depth} and attention={attention} of the backbone, which are this file's"
    return _with_regressor(place(official, model, source="the file", advice=advice, note=note), model, mano)


def _with_regressor(weights: dict[str, Tensor], model: Any, mano: ManoData | None) -> dict[str, Tensor]:
    if mano is not None:
        return {**weights, REGRESSOR: joint_matrix(mano.joint_regressor, "handmesh").to(torch.get_default_dtype())}
    if not model.head.regressor.loaded:
        logger.warning("%s", ABSENT)
    return weights
