"""Joints that weights which are no numbers reach: they have no prediction and no map, and the others keep theirs."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .base import CoordinateAdapter

logger = logging.getLogger(__name__)


def mark_lost_joints(adapter: CoordinateAdapter) -> CoordinateAdapter:
    """The adapter with `lost` set where the model gives no finite coordinates because its weights are not finite.

    MMPose would decode such a joint to some place in the image.  A gradient goes back through all of a layer's weights,
    so that one joint's would make every joint's map NaN; zeros in their place change nothing of the others.  They stand
    in a copy: the model itself is not changed.

    Args:
        adapter: of a model on its device.

    Returns:
        `adapter` itself where no joint is lost.
    """
    broken = [name for name, _ in not_finite(adapter.model)]
    if not broken:
        return adapter
    try:
        repaired = adapter.around(copy.deepcopy(adapter.model))
        with torch.no_grad():
            for _, tensor in not_finite(repaired.model):
                tensor.nan_to_num_(0.0, 0.0, 0.0)
        before, after = _coordinates(adapter, repaired)
    except Exception as error:  # of any layer of any model
        logger.warning(
            "weights are not finite (%s), and which joints they reach cannot be tried on noise (%s: %s)",
            *(", ".join(broken[:3]), type(error).__name__, error),
        )
        return adapter
    lost = ~before.isfinite().all(-1)
    if not bool(lost.any()):
        return adapter  # an infinite value can be meant, such as that of a mask
    same = torch.equal(after[~lost], before[~lost])
    chosen = repaired if same else adapter.around(adapter.model)
    chosen.lost = lost
    logger.warning("%s", lost_in_words(chosen))
    logger.debug("tensors that are not finite: %s; the other joints keep their maps: %s", broken, same)
    return chosen


def lost_in_words(adapter: CoordinateAdapter) -> str:
    """A sentence that names the joints without a prediction, '' where there are none."""
    if adapter.lost is None:
        return ""
    names = [name for name, is_lost in zip(adapter.keypoint_names, adapter.lost.tolist(), strict=True) if is_lost]
    shown = f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
    return (
        f"{len(names)} of {len(adapter.keypoint_names)} joints have no prediction, error or map, since weights that "
        f"are NaN or infinite reach them: {shown} (reason nonfinite_weights)"
    )


def not_finite(model: Any) -> Iterator[tuple[str, Tensor]]:
    """A model's parameters and buffers that hold NaN or an infinity, by name."""
    tensors = (*model.named_parameters(), *model.named_buffers())
    return ((name, t.detach()) for name, t in tensors if t.is_floating_point() and not bool(t.isfinite().all()))


def _coordinates(adapter: CoordinateAdapter, repaired: CoordinateAdapter) -> tuple[Tensor, Tensor]:
    """(K, D) of an image of noise, by the model and by its repaired copy; of the person that the copy finds surest."""
    image = adapter.example_input().to(next(adapter.model.parameters()))
    with repaired.frozen(), torch.no_grad():
        bound = repaired.bind(image)
        after = bound(image).coords[0]
    if not bound.matched:
        raise ValueError("it gives out no person")
    with adapter.frozen(), torch.no_grad():
        return bound.around(adapter.model)(image).coords[0], after
