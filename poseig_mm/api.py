"""What one calls from Python without a session: a config, a model as coordinates, the maps of a few images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from .adapters.base import CoordinateAdapter
from .adapters.distillation import distilled_weights
from .adapters.loading import build_model
from .adapters.registry import select_adapter
from .attribution.acceleration import Acceleration, accelerate
from .attribution.methods import call_method, path_ig
from .compat import prepare_environment, read_config
from .errors import ConfigError
from .plugin.manager import PluginHost
from .types import Attribution

__all__ = ["attribute", "load_adapter", "load_config"]


def load_config(config: str | Path | Config) -> Config:
    """A config from a path, with a clear error where it is missing or broken."""
    prepare_environment()  # a config's custom_imports may import mmpose
    if isinstance(config, Config):
        return config
    path = Path(config)
    if not path.is_file():
        raise ConfigError(f"config {path} does not exist; give the path of an MMPose config (.py)")
    try:
        return read_config(path)
    except Exception as error:
        raise ConfigError(f"config {path} cannot be read: {type(error).__name__}: {error}") from error


def load_adapter(
    config_or_model: Any,
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    *,
    beta: float | None = None,
    host: PluginHost | None = None,
) -> CoordinateAdapter:
    """An MMPose model as a differentiable function from images to coordinates.

    Args:
        config_or_model: path of an MMPose config, a `Config`, or a model that is already built.  Of a distiller, the model
            that its training gives is taken (see `adapters.distillation`).
        checkpoint: weights; None leaves a built model as it is, and a config's model with random weights.
        device: 'cpu', 'cuda', 'cuda:1', ...
        beta: sharpness of the soft-argmax; None: the head's default (see `CoordinateAdapter.calibrate`).
        host: plugins to look for adapters in; None: the built-in and the installed ones.

    Raises:
        CheckpointError: weights that do not belong to the model; AdapterError: no adapter fits its head.
    """
    prepare_environment()
    host = host or PluginHost()
    if isinstance(config_or_model, torch.nn.Module):
        model = distilled_weights(config_or_model.to(device))
    else:
        model = build_model(config_or_model, checkpoint, device)
    adapters = host.catalog.adapters
    name = host.first("poseig_select_adapter", model=model, adapters=adapters)
    chosen = host.catalog.get("adapters", name) if name else select_adapter(model, adapters)
    adapter: CoordinateAdapter = chosen(model, beta=beta)
    return adapter


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
