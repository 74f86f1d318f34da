"""Operators that mmcv has in C++ alone, in plain torch where they are missing."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from ..compat import EXTENSION, prepare_environment
from .deformable import deform_conv2d


@dataclass(frozen=True)
class Operator:
    """One of mmcv's compiled operators, by its module's name in `mmcv.ops`, and what happens where it is missing."""

    name: str
    needed_by: str
    without: str


OPERATORS = (
    Operator(
        "DeformConv2d", "DEKR's head, PoseWarper's neck", "ours in plain torch takes its place (adapters.deformable)"
    ),
    Operator(
        "MultiScaleDeformableAttention",
        "EDPose",
        "on a CPU mmcv has it in plain torch; on a GPU it is missing: install the full mmcv",
    ),
)
"""All that MMPose's models use."""


def complete_operators() -> None:
    """With mmcv-lite, deformable convolution (for DEKR) becomes `adapters.deformable`; a full mmcv stays.

    Other missing operators raise a `DependencyError` naming them when they are called, see `compat`.  (Multi-scale
    deformable attention, which EDPose needs, is in plain torch in mmcv itself, on a CPU.)  See `OPERATORS`.
    """
    if EXTENSION in prepare_environment():
        module: Any = importlib.import_module("mmcv.ops.deform_conv")
        module.deform_conv2d = deform_conv2d
