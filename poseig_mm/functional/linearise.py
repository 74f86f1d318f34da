"""The coordinates at some images, and how a change of them is pulled back to the pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import AttributionError
from .targets import CoordsFn

PullBack = Callable[[Tensor], Tensor]  # cotangents (J, *outputs.shape) -> gradients (J, *inputs.shape)
Backward = Callable[[Tensor, Tensor], PullBack]  # (outputs, inputs) of one forward pass


def linearise(coords_fn: CoordsFn, backward: Backward, x: Tensor) -> tuple[Tensor, PullBack]:
    """The coordinates at `x` (n, C, H, W), (n, K, D), and the map from their cotangents to gradients of `x`, a leaf.

    Raises:
        AttributionError: `coords_fn` cuts the graph.
    """
    with torch.enable_grad():
        coords = coords_fn(x)
    if not coords.requires_grad:
        raise AttributionError(
            "the coordinates do not depend on the images through the autograd graph; a coords_fn must not use "
            "torch.no_grad, detach or numpy"
        )
    return coords, backward(coords, x)


def autograd_backward(outputs: Tensor, inputs: Tensor) -> PullBack:
    """The plain way: `torch.autograd.grad` for each cotangent."""

    def pull_back(cotangents: Tensor) -> Tensor:
        each = [torch.autograd.grad(outputs, inputs, c, retain_graph=True)[0] for c in cotangents]
        return each[0][None] if len(each) == 1 else torch.stack(each)

    return pull_back
