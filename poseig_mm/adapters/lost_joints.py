"""Joints that weights which are no numbers reach: they have no prediction and no map, and the others keep theirs."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from .base import CoordinateAdapter

logger = logging.getLogger(__name__)


def mark_lost_joints(adapter: CoordinateAdapter, *, own_model: bool) -> None:
    """Set `adapter.lost` where the model gives no finite coordinates because its weights are not finite.

    MMPose would decode such a joint to some place in the image.  A gradient goes back through all of a layer's weights,
    so that one joint's would make every joint's map NaN; zeros in their place change nothing of the others.

    Args:
        adapter: of a model on its device; one that finds several persons in an image is left as it is.
        own_model: whether its weights may be changed.
    """
    tensors = [*adapter.model.parameters(), *adapter.model.buffers()]
    broken: list[Any] = [t.detach() for t in tensors if t.is_floating_point() and not bool(t.isfinite().all())]
    if not broken or adapter.one_image:
        return
    try:
        before = _coordinates(adapter)
    except Exception as error:  # of any layer of any model
        logger.info("the model cannot be run on noise (%s: %s)", type(error).__name__, error)
        return
    lost = ~before.isfinite().all(-1)
    if not bool(lost.any()):
        return  # an infinite value can be meant, such as that of a mask
    adapter.lost = lost
    if not own_model:
        return
    kept = [t.clone() for t in broken]
    with torch.no_grad():
        for tensor in broken:
            tensor.nan_to_num_(0.0, 0.0, 0.0)
        if not torch.equal(_coordinates(adapter)[~lost], before[~lost]):
            for tensor, value in zip(broken, kept, strict=True):
                tensor.copy_(value)


def _coordinates(adapter: CoordinateAdapter) -> Tensor:
    """(K, D) of an image of noise."""
    weight = next(adapter.model.parameters())
    with adapter.frozen(), torch.no_grad():
        return adapter(adapter.example_input().to(weight)).coords[0]
