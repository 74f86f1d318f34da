"""What one calls from Python without a session: a config, a model as coordinates, the maps of a few images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .adapters.base import CoordinateAdapter
from .attribution.acceleration import Acceleration, accelerate
from .attribution.methods import call_method, path_ig
from .run.open import load_adapter, load_config
from .types import Attribution

__all__ = ["attribute", "load_adapter", "load_config"]


def attribute(
    adapter: CoordinateAdapter,
    images: Tensor,
    keypoints: Tensor,
    *,
    path: str | None = None,
    quadrature: str = "adaptive",
    likelihood: str = "exp_l2",
    dtype: torch.dtype | None = None,
    compute: str = "fast",
    **settings: Any,
) -> Attribution:
    """Attribution maps of each joint, with the model's weights left alone.

    Args:
        adapter: from `load_adapter`; one for images of several persons is bound to one of them first (`adapter.bind`).
        images: (B, C, H, W) normalised network input.
        keypoints: (B, K, D) reference points, in the adapter's unit (input px for 2D models).
        dtype: compute in this type (the model must be in it already); None: that of the images.
        compute: 'fast' (see `attribution.acceleration.accelerate`, checked on the first image) or 'exact'.
        path: None: the adapter's; with `quadrature`, `likelihood` and `settings` see `functional.path_attribution`.
    """
    images = images if dtype is None else images.to(dtype)
    path = path or adapter.default_path
    if path == "linear" and adapter.baseline is not None:
        settings["path_settings"] = {"baseline": adapter.baseline, **(settings.get("path_settings") or {})}
    if adapter.most_at_once is not None:
        settings.setdefault("chunk", adapter.most_at_once)
    with adapter.frozen():
        fast = accelerate(adapter, images[:1], compute=compute) if adapter.matched else Acceleration(adapter)
        return call_method(
            path_ig,
            fast.adapter,
            images,
            keypoints,
            path=path,
            quadrature=quadrature,
            likelihood=likelihood,
            backward=fast.backward,
            **settings,
        )
