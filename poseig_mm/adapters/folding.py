"""A copy of a model with every batch norm folded into the convolution before it: less to do, backward above all."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..compat import EXTENSION, prepare_environment

logger = logging.getLogger(__name__)
_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
TOLERANCE = 1e-4  # largest change of an output, relative to its largest value


def fold_batch_norm(model: nn.Module, forward: Callable[[Any, Tensor], Tensor], images: Tensor) -> nn.Module | None:
    """A frozen copy in evaluation mode, channels last, batch norms folded; None where that changes the output.

    A model with mmcv's compiled operators keeps its channels first: of channels last some of them refuse tensors, and
    modulated deformable convolution reads them as if they were not.

    Which batch norm follows which convolution is seen by running the copy once: the batch norm's input must be the very
    tensor that the convolution returned, and both must run exactly once.  The result is compared with the original.

    Args:
        model: left as it is.
        forward: (model, images) -> output; run on the copy.
        images: (B, C, H, W) real ones.
    """
    twin: nn.Module = copy.deepcopy(model).eval().requires_grad_(False)
    with torch.no_grad():
        expected = forward(twin, images)
        for convolution, norm in _pairs(twin, forward, images):
            _fold(twin, convolution, norm)
        if not _has_compiled_operators(twin):
            twin.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        folded = forward(twin, images)
    change = (folded - expected).abs().max() / expected.abs().max().clamp_min(1e-12)
    if not bool(change <= TOLERANCE):
        logger.warning("folding batch norms changes the output by %.1e of its size; the model is used as it is", change)
        return None
    return twin


def _has_compiled_operators(model: nn.Module) -> bool:
    """Whether a module is one of mmcv's, and mmcv complete."""
    kinds = {base.__module__ for module in model.modules() for base in type(module).__mro__}
    return any(kind.startswith("mmcv.ops") for kind in kinds) and EXTENSION not in prepare_environment()


def _pairs(model: nn.Module, forward: Callable[[Any, Tensor], Tensor], images: Tensor) -> list[tuple[str, str]]:
    """Names of (convolution, the batch norm that alone reads its output)."""
    outputs: dict[int, tuple[str, Tensor]] = {}  # id of a convolution's output -> its name, and the tensor kept alive
    norm_behind: dict[str, str] = {}
    runs: Counter[str] = Counter()

    def watch(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            runs[name] += 1
            if isinstance(module, _CONVOLUTIONS):
                outputs[id(output)] = (name, output)
            elif args and id(args[0]) in outputs:
                norm_behind[outputs[id(args[0])][0]] = name

        return hook

    kinds = (*_CONVOLUTIONS, nn.modules.batchnorm._BatchNorm)
    hooks = [m.register_forward_hook(watch(n)) for n, m in model.named_modules() if isinstance(m, kinds)]
    try:
        forward(model, images)
    finally:
        for hook in hooks:
            hook.remove()
    return [(c, n) for c, n in norm_behind.items() if runs[c] == runs[n] == 1]


def _fold(model: nn.Module, convolution: str, norm: str) -> None:
    layer: Any = model.get_submodule(convolution)
    batch_norm: Any = model.get_submodule(norm)
    if batch_norm.running_mean is None:
        return  # it normalises by the batch even in evaluation mode
    scale = torch.rsqrt(batch_norm.running_var + batch_norm.eps)
    if batch_norm.weight is not None:
        scale = scale * batch_norm.weight
    bias = -batch_norm.running_mean if layer.bias is None else layer.bias - batch_norm.running_mean
    bias = bias * scale if batch_norm.bias is None else bias * scale + batch_norm.bias
    layer.weight = nn.Parameter(_scaled(layer, scale), requires_grad=False)
    layer.bias = nn.Parameter(bias, requires_grad=False)
    parent, _, child = norm.rpartition(".")
    setattr(model.get_submodule(parent), child, nn.Identity())


def _scaled(layer: Any, scale: Tensor) -> Tensor:
    """The layer's weight times a factor an output channel (torch's own forgets grouped transposed ones)."""
    if not isinstance(layer, nn.ConvTranspose2d):  # (out, in / groups, h, w)
        weight: Tensor = layer.weight * scale[:, None, None, None]
        return weight
    grouped = layer.weight.unflatten(0, (layer.groups, -1))  # (groups, in / groups, out / groups, h, w)
    scaled: Tensor = (grouped * scale.reshape(layer.groups, 1, -1, 1, 1)).flatten(0, 1)
    return scaled
