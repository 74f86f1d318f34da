"""The coordinates at some images, and how a change of them is pulled back to the pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ..errors import AttributionError, ConfigError
from .targets import CoordsFn

PullBack = Callable[[Tensor], Tensor]  # cotangents (J, *outputs.shape) -> gradients (J, *inputs.shape)
Backward = Callable[[Tensor, Tensor], PullBack]  # (outputs, inputs) of one forward pass


def linearise(coords_fn: CoordsFn, backward: Backward, x: Tensor) -> tuple[Tensor, PullBack]:
    """The coordinates at `x` (n, C, H, W), (n, K, D), and the map from their cotangents to gradients of `x`, a leaf.

    Raises:
        AttributionError: `coords_fn` cuts the graph.
        ConfigError: see `in_place_is_said`.
    """
    with torch.enable_grad(), in_place_is_said():
        coords = coords_fn(x)
    if not coords.requires_grad:
        raise AttributionError(
            "the coordinates do not depend on the images through the autograd graph; a coords_fn must not use "
            "torch.no_grad, detach or numpy"
        )
    return coords, backward(coords, x)


@contextmanager
def in_place_is_said() -> Iterator[None]:
    """Around a model's forward or backward pass: what every sample would meet is an error of the configuration.

    Raises:
        ConfigError: an operation in place overwrites what the gradient is made of.

    >>> with in_place_is_said():
    ...     torch.zeros(2, requires_grad=True).relu_()
    Traceback (most recent call last):
        ...
    poseig_mm.errors.ConfigError: the model overwrites in place what its gradient is made of (a leaf Variable that \
requires grad is being used in an in-place operation.). Write that operation without the underscore (relu, not \
relu_), or with inplace=False: act_cfg=dict(type='ReLU', inplace=False)
    """
    try:
        yield
    except RuntimeError as error:
        if not any(words in str(error) for words in ("in-place operation", "inplace operation", "modified inplace")):
            raise
        raise ConfigError(
            f"the model overwrites in place what its gradient is made of ({str(error).splitlines()[0]}). Write that "
            "operation without the underscore (relu, not relu_), or with inplace=False: act_cfg=dict(type='ReLU', "
            "inplace=False)"
        ) from error


def autograd_backward(outputs: Tensor, inputs: Tensor) -> PullBack:
    """The plain way: `torch.autograd.grad` for each cotangent."""

    def pull_back(cotangents: Tensor) -> Tensor:
        each = [torch.autograd.grad(outputs, inputs, c, retain_graph=True)[0] for c in cotangents]
        return each[0][None] if len(each) == 1 else torch.stack(each)

    return pull_back
