"""The few shims an environment needs, each applied only where it is needed."""

from __future__ import annotations

import sys
import types


def prepare_environment() -> tuple[str, ...]:
    """First draft; SETUP finishes it."""
    import torch

    applied = []
    try:
        import torchvision
    except RuntimeError:
        for name in [m for m in sys.modules if m.startswith("torchvision")]:
            del sys.modules[name]
        lib = torch.library.Library("torchvision", "FRAGMENT")
        for op in ("nms", "qnms"):
            lib.define(f"{op}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        globals()["_LIB"] = lib
        import torchvision  # noqa: F401

        applied.append("torchvision")
    try:
        import mmcv._ext  # noqa: F401
    except ImportError:
        module = types.ModuleType("mmcv._ext")

        def __getattr__(name):
            if name.startswith("__"):
                raise AttributeError(name)

            def missing(*a, **k):
                raise RuntimeError(name)

            return missing

        module.__getattr__ = __getattr__
        sys.modules["mmcv._ext"] = module
        applied.append("mmcv._ext")
    return tuple(applied)
