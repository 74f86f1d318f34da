"""Everything that hangs on torch's version: what old ones call otherwise, and what they cannot do."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

OLDEST_TORCH = "2.0"
CPU_INFO = Path("/proc/cpuinfo")
# oneDNN 3.1 to 3.3.2; measured with torch 2.1.2 and 2.2.2, not so with 2.0.1, 2.3.1, 2.4.1 and 2.13.0
SLOW_GROUPS_FROM, SLOW_GROUPS_BEFORE = (2, 1), (2, 3)
AMPERE = (8, 0)  # the first of NVIDIA's generations with bfloat16 units
OutputTypes = tuple[tuple[torch.Size | None, ...], tuple[torch.dtype, ...]]
"""Shapes and types of the outputs of a node's forward operation; shape None: no cotangent ever comes for it."""

BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})

OutOfMemoryError: type[RuntimeError] = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
"""What a GPU without room raises; torch has it under this name from 2.5 on."""


def bfloat16_supported(device: str | torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware.

    torch < 2.6 does not say it of a CPU: Linux does then, and elsewhere the answer is no.  Of a GPU newer ones say that
    it computes in bfloat16, by way of float32 if it must, so the card's generation is asked.
    """
    kind = torch.device(device).type
    if kind == "cuda" and torch.version.hip is None:
        return torch.cuda.get_device_capability(device) >= AMPERE
    if kind != "cpu":
        return kind == "cuda" and bool(torch.cuda.is_bf16_supported())
    asked: list[Callable[[], bool] | None] = [
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    ]
    if None not in asked:
        return any(answer() for answer in asked if answer is not None)
    return bool(_cpu_flags() & BFLOAT16_FLAGS)


@functools.cache
def _cpu_flags() -> frozenset[str]:
    """What the first processor says it can, in Linux' words; nothing elsewhere."""
    try:
        line = re.search(r"^flags\s*:(.*)$", CPU_INFO.read_text(), re.MULTILINE)
    except OSError:
        return frozenset()
    return frozenset(line.group(1).split()) if line else frozenset()


def channels_last_pays(model: torch.nn.Module, device: str | torch.device) -> bool:
    """Whether autograd's backward pass through a model's convolutions is quicker in channels last.

    On a CPU, torch 2.1 and 2.2 take some 300 times as long there for those with groups.

    >>> channels_last_pays(torch.nn.Conv2d(4, 4, 1), "cpu")
    True
    """
    slow = SLOW_GROUPS_FROM <= _release() < SLOW_GROUPS_BEFORE and torch.device(device).type == "cpu"
    return not (slow and any(_has_groups(module) for module in model.modules()))


def _has_groups(module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.modules.conv._ConvNd) and module.groups > 1


def _release() -> tuple[int, int]:
    """torch's version: (2, 13) of '2.13.0+cpu'."""
    major, minor = torch.__version__.split(".")[:2]
    return int(major), int(minor)


def gradient_node(leaf: Tensor) -> Any:
    """The node of autograd's graph that stands for a leaf; torch has its own `get_gradient_edge` from 2.3 on.

    >>> x = torch.zeros(2, requires_grad=True)
    >>> gradient_node(x) is (2 * x).grad_fn.next_functions[0][0]
    True
    """
    with torch.enable_grad():
        view: Any = leaf.view_as(leaf).grad_fn
    return view.next_functions[0][0]


def output_types(
    order: Sequence[Any], outputs: Tensor, inputs: Tensor, known: dict[Hashable, list[OutputTypes]]
) -> list[OutputTypes]:
    """Shapes and types of each node's outputs.

    torch < 2.5 does not show them: one backward pass is watched there, and what it shows holds for every graph of the
    same nodes and sizes.

    Args:
        order: autograd's nodes; the leaf of `inputs` first, the node of `outputs` last.
        outputs, inputs: both ends of the graph.
        known: what this function has learned, by graph; added to.
    """
    if shows_output_types(order[-1]):
        each = (node._input_metadata for node in order)
        return [(tuple(torch.Size(m.shape) for m in about), tuple(m.dtype for m in about)) for about in each]
    graph = (tuple(n.name() for n in order), outputs.shape, outputs.dtype, inputs.shape, inputs.dtype)
    if graph not in known:
        known[graph] = _watched(order, outputs, inputs)
    return known[graph]


def shows_output_types(node: Any) -> bool:
    """Whether one of autograd's nodes says what its outputs were."""
    return hasattr(node, "_input_metadata")


def _watched(order: Sequence[Any], outputs: Tensor, inputs: Tensor) -> list[OutputTypes]:
    """What autograd itself hands to each node."""
    seen: list[OutputTypes] = [((inputs.shape,), (inputs.dtype,))] * len(order)  # of the leaf, which is not called

    def watch(i: int) -> Callable[[tuple[Tensor | None, ...]], None]:
        def hook(cotangents: tuple[Tensor | None, ...]) -> None:
            shapes = tuple(None if c is None else c.shape for c in cotangents)
            seen[i] = shapes, tuple(torch.float32 if c is None else c.dtype for c in cotangents)

        return hook

    handles = [node.register_prehook(watch(i)) for i, node in enumerate(order) if i]
    try:
        torch.autograd.grad(outputs, inputs, torch.ones_like(outputs), retain_graph=True)
    finally:
        for handle in handles:
            handle.remove()
    return seen


@functools.cache
def prepared_convolution() -> tuple[Callable[..., Tensor], Callable[..., Tensor]] | None:
    """oneDNN's own ways to lay out a weight once, and to convolve with it; None where torch does not have them.

    Called as (weight, padding, stride, dilation, groups, input_shape) and (x, weight, padding, stride, dilation,
    groups). What is not there, or does not compute what `conv2d` does on a small example, is not used.
    """
    try:
        arrange, convolve = torch.ops.mkldnn._reorder_convolution_weight, torch.ops.mkldnn._convolution_pointwise
    except AttributeError:
        return None

    def prepare(weight: Tensor, padding: Any, stride: Any, dilation: Any, groups: int, shape: Sequence[int]) -> Tensor:
        arranged: Tensor = arrange(weight, padding, stride, dilation, groups, list(shape))
        return arranged

    def apply(x: Tensor, weight: Tensor, padding: Any, stride: Any, dilation: Any, groups: int) -> Tensor:
        convolved: Tensor = convolve(x, weight, None, padding, stride, dilation, groups, "none", [], "")
        return convolved

    x, weight = torch.linspace(-1, 1, 64).reshape(1, 4, 4, 4), torch.linspace(-1, 1, 32).reshape(8, 4, 1, 1)
    one = ([0, 0], [1, 1], [1, 1], 1)
    try:
        convolved = apply(x, prepare(weight, *one, x.shape), *one)
    except (RuntimeError, TypeError):  # no oneDNN in this build, or another signature
        return None
    return (prepare, apply) if torch.allclose(convolved, torch.nn.functional.conv2d(x, weight), atol=1e-5) else None
