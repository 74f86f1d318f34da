"""Borrowing a model: evaluation mode and no parameter gradients, given back exactly as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Within the context every submodule is in evaluation mode and no parameter requires a gradient.

    Afterwards, also after an error, each module's `training` flag and each parameter's `requires_grad` flag are what
    they were, one by one (a model may be partly frozen or partly in evaluation mode).  Weights, buffers and `.grad` are
    not touched.  The flags are set directly: `train()` and `eval()` of some backbones do more than that.  May be
    nested.

    Gradients reach batch norms in plain memory order: on a CPU, torch 2.13 returns a wrong gradient from a batch norm
    in evaluation mode where the incoming one is permuted, as that of a transformer behind it is for a batch of one.

    >>> layer = nn.BatchNorm1d(3)
    >>> with frozen(layer):
    ...     print(layer.training, layer.weight.requires_grad)
    False False
    >>> layer.training, layer.weight.requires_grad
    (True, True)
    """
    modules = [(module, module.training) for module in model.modules()]
    parameters = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    norms = [m for m, _ in modules if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    hooks = [norm.register_forward_hook(_in_plain_order) for norm in norms]
    try:
        for module, _ in modules:
            module.training = False
        for parameter, _ in parameters:
            parameter.requires_grad_(False)
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modules:
            module.training = training
        for parameter, requires_grad in parameters:
            parameter.requires_grad_(requires_grad)


def _in_plain_order(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
    """Forward hook: the gradient of what a module returned is contiguous when it arrives."""
    if isinstance(output, Tensor) and output.requires_grad:
        output.register_hook(lambda gradient: gradient.contiguous())
