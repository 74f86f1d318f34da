"""What a run begins with: the config, and the model as differentiable coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..adapters.base import CoordinateAdapter
from ..adapters.build_model import build_model
from ..adapters.distillation import distilled_weights
from ..adapters.select import select_adapter
from ..compat import prepare_environment, read_config
from ..errors import ConfigError
from ..plugin.manager import PluginHost

__all__ = ["load_adapter", "load_config"]


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
        config_or_model: path of an MMPose config, a `Config`, or a model that is already built.  Of a distiller, the
            model that its training gives is taken (see `adapters.distillation`).
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
