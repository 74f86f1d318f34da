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
from .published import cmr_settings, mobrecon_settings
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
    advice = _advice(mobrecon_settings(official))
    placed = place(official, model, mobrecon_name, source="the file", advice=advice, note=note)
    return _with_regressor(placed, model, mano)


def cmr_weights(
    official: Mapping[str, Tensor], model: Any, mano: ManoData | None = None, note: Callable[[str], None] | None = None
) -> dict[str, Tensor]:
    """CMR's file.  Arguments and errors as of `mobrecon_weights`, with a `CMR`."""
    advice = _advice(cmr_settings(official))
    return _with_regressor(place(official, model, source="the file", advice=advice, note=note), model, mano)


def _advice(settings: Mapping[str, Any]) -> str:
    *first, last = (f"{name}={value!r}" for name, value in settings.items())
    return f"set {', '.join(first)} and {last} of the backbone, which are this file's"


def _with_regressor(weights: dict[str, Tensor], model: Any, mano: ManoData | None) -> dict[str, Tensor]:
    if mano is not None:
        return {**weights, REGRESSOR: joint_matrix(mano.joint_regressor, "handmesh").to(torch.get_default_dtype())}
    if not model.head.regressor.loaded:
        logger.warning("%s", ABSENT)
    return weights
