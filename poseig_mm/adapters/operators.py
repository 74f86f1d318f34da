"""Operators that mmcv has in C++ alone, in plain torch where they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from ..compat import EXTENSION, prepare_environment
from ..functional.deformable import deform_conv2d

__all__ = ["complete_operators"]


def complete_operators() -> None:
    """With mmcv-lite, deformable convolution (DEKR needs it) becomes `functional.deformable`; a full mmcv stays as it is.

    Other missing operators raise a `DependencyError` naming them when they are called, see `compat`.  (Multi-scale
    deformable attention, which EDPose needs, is in plain torch in mmcv itself, on a CPU.)
    """
    if EXTENSION in prepare_environment():
        module: Any = importlib.import_module("mmcv.ops.deform_conv")
        module.deform_conv2d = deform_conv2d
