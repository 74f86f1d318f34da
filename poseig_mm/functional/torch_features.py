"""Everything that hangs on torch's version: what old ones call otherwise, and what they cannot do."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

__all__ = [
    "OLDEST_TORCH",
    "WALKABLE_FROM",
    "OutOfMemoryError",
    "bfloat16_supported",
    "channels_last_pays",
    "gradient_node",
    "walk_unavailable",
]

OLDEST_TORCH = "2.0"
WALKABLE_FROM = "2.5"  # of 2.0.1, 2.1.2, 2.4.1, 2.5.0 and 2.13.0, the last two show their graphs' nodes
CPU_INFO = Path("/proc/cpuinfo")
# oneDNN 3.1 to 3.3.2; measured with torch 2.1.2 and 2.2.2, not so with 2.0.1, 2.3.1, 2.4.1 and 2.13.0
SLOW_GROUPS_FROM, SLOW_GROUPS_BEFORE = (2, 1), (2, 3)
AMPERE = (8, 0)  # the first of NVIDIA's generations with bfloat16 units
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})

OutOfMemoryError: type[RuntimeError] = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
"""What a GPU without room raises; torch has it under this name from 2.5 on."""


def bfloat16_supported(device: str | torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware.

    torch < 2.6 does not say it of a CPU: Linux does then, and elsewhere the answer is no.  Of a GPU newer ones say that it
    computes in bfloat16, by way of float32 if it must, so the card's generation is asked.
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
    """Whether a model's convolutions are quicker in channels last.

    On a CPU, torch 2.1 and 2.2 take some 300 times as long there for the backward pass of those with groups.

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


@functools.cache
def walk_unavailable() -> str | None:
    """Why this torch's autograd graph cannot be walked from Python, for a person to read; None where it can.

    A node must say which shapes and types its outputs had; torch does from 2.5.0 on.
    """
    node: Any = torch.zeros(1, requires_grad=True).view(1).grad_fn
    if hasattr(node, "_input_metadata"):
        return None
    return (
        f"torch {torch.__version__} does not show the shapes of its graph's nodes, torch {WALKABLE_FROM} and later do"
    )


def gradient_node(leaf: torch.Tensor) -> Any:
    """The node of autograd's graph that stands for a leaf; torch has its own `get_gradient_edge` from 2.3 on.

    >>> x = torch.zeros(2, requires_grad=True)
    >>> gradient_node(x) is (2 * x).grad_fn.next_functions[0][0]
    True
    """
    with torch.enable_grad():
        view: Any = leaf.view_as(leaf).grad_fn
    return view.next_functions[0][0]
