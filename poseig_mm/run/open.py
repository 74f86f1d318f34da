"""What a run begins with: the config, the plugins, the model as differentiable coordinates, and the persons."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..adapters.base import CoordinateAdapter
from ..adapters.build_model import build_model
from ..adapters.distillation import distilled_weights
from ..adapters.lost_joints import mark_lost_joints
from ..adapters.select import select_adapter
from ..checks import Note
from ..compat import prepare_environment, read_config
from ..data.person_boxes import Detector, mmdet_detector
from ..data.picture_source import PictureSource
from ..data.samples import SampleSource
from ..data.sequences import SequenceSource, is_sequence
from ..errors import ConfigError
from ..mmpose_config import refuse_old_config
from ..plugin.manager import PluginHost
from ..settings import SampleSettings

_AT_ONCE, _AT_ONCE_WITHOUT_MAPS = (1, 8), (32, 128)  # persons on a CPU and on a GPU


@dataclass(frozen=True)
class Plugins:
    """Which plugins a run has, beside those that its config names.

    Args:
        load: further ones, as in the config.
        block: names of those to leave out.
        entry_points: False leaves out the installed ones (tests).
        host: those that are loaded already (the command line's); `block` and `entry_points` are then its own affair.
    """

    load: Sequence[str] = ()
    block: Sequence[str] = ()
    entry_points: bool = True
    host: PluginHost | None = None

    def open(self, configured: Sequence[str]) -> PluginHost:
        """The host, with the config's plugins and `load` added."""
        host = self.host or PluginHost(block=tuple(self.block), entry_points=self.entry_points)
        there = {record.target for record in host.records if record.source == "config"}
        host.add([p for p in dict.fromkeys([*configured, *self.load]) if p not in there])
        return host


def load_config(config: str | Path | Config) -> Config:
    """A config from a path, with a clear error where it is missing or broken."""
    prepare_environment()  # a config's custom_imports may import mmpose
    if isinstance(config, Config):
        refuse_old_config(config)
        return config
    path = Path(config)
    if not path.is_file():
        raise ConfigError(f"config {path} does not exist; give the path of an MMPose config (.py)")
    try:
        read = read_config(path)
    except Exception as error:
        raise ConfigError(f"config {path} cannot be read: {type(error).__name__}: {error}") from error
    refuse_old_config(read)
    return read


def load_adapter(
    config_or_model: Any,
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    *,
    beta: float | None = None,
    output: str | int | None = None,
    host: PluginHost | None = None,
) -> CoordinateAdapter:
    """An MMPose model as a differentiable function from images to coordinates.

    Args:
        config_or_model: path of an MMPose config, a `Config`, or a model that is already built.  Of a distiller, the
            model that its training gives is taken (see `adapters.distillation`).
        checkpoint: weights; None leaves a built model as it is, and a config's model with random weights.
        device: 'cpu', 'cuda', 'cuda:1', ...
        beta: sharpness of the soft-argmax; None: the head's default (see `CoordinateAdapter.calibrate`).
        output: which part of the head's output is meant, where it gives several: its index or key, or both with dots
            between ('pose.0'); None: the first that fits, of a list of stages the last.
        host: plugins to look for adapters in; None: the built-in and the installed ones.

    Raises:
        CheckpointError: weights that do not belong to the model; AdapterError: no adapter fits its head; ConfigError:
            an `output` for an adapter that reads its head in a way of its own.
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
    return mark_lost_joints(adapter if output is None else with_output(adapter, output))


def with_output(adapter: CoordinateAdapter, output: str | int) -> CoordinateAdapter:
    """The same adapter, reading this part of the head's output.

    Raises:
        ConfigError: it reads its head in a way of its own.
    """
    if type(adapter).outputs is not CoordinateAdapter.outputs:
        raise ConfigError(
            f"diagnosis.attribution.output is {output!r}, but adapter {adapter.name!r} reads its head in a way of its "
            "own; leave it out"
        )
    chosen = copy.copy(adapter)
    chosen.output = output
    return chosen


def open_samples(
    config: Config,
    settings: SampleSettings,
    host: PluginHost,
    *,
    preprocess: Callable[..., dict[str, Any]],
    adapter: CoordinateAdapter | None = None,
) -> SampleSource:
    """The persons of a config's data set, or its sequences; or those in the pictures that the settings name.

    Args:
        config: with the data loader of `settings.split`.
        settings: `diagnosis.samples`.
        host: knows data sets by name.
        preprocess: the model's data preprocessor.
        adapter: gives the truth in its unit; without it the persons can be counted, not loaded.

    Raises:
        ConfigError: model and annotations differ in their number of joints.
    """
    kind = SequenceSource if is_sequence(config, settings.split) else SampleSource
    shared: dict[str, Any] = {
        "preprocess": preprocess,
        "split": settings.split,
        "mask": "instance" if settings.mask == "predicted" else settings.mask,
        "limit": settings.limit,
        "seed": settings.seed,
        "ids": settings.ids,
        "datasets": host.catalog.datasets,
        "truth": None if adapter is None else adapter.truth,
        "dimensions": 3 if adapter is None else adapter.dimensions,
    }
    source: SampleSource
    if settings.image_names:
        if kind is SequenceSource:
            raise ConfigError(
                "diagnosis.samples.images names pictures, but the model's input is a sequence of 2D poses; leave it out"
            )
        source = PictureSource(
            config,
            settings.image_names,
            predict=None if adapter is None else partial(own_prediction, adapter),
            boxes=settings.boxes,
            every=settings.every,
            detector=None if settings.detector is None else _detector(settings.detector, adapter),
            **shared,
        )
    else:
        source = kind(config, **shared)
    predicted, annotated = 0 if adapter is None else len(adapter.keypoint_names), len(source.groups.keypoint_names)
    if adapter is not None and predicted != annotated:
        raise ConfigError(
            f"the model predicts {predicted} joints, the annotations of {source.dataset_name} have {annotated}; give "
            "the data set that the model was made for, or select joints with model.test_cfg.output_keypoint_indices"
        )
    if adapter is not None and (note := other_names(adapter.keypoint_names, source.groups.keypoint_names)):
        source.notes.append(Note(note, "joints"))
    return source


def own_prediction(adapter: CoordinateAdapter, image: torch.Tensor) -> torch.Tensor:
    """The model's own decoding (K, D) of one input (C, H, W); of several persons in it, that of the surest."""
    weights = next(adapter.model.parameters(), image)
    images = image[None].to(weights.device, weights.dtype)
    return adapter.bind(images).predict(images)[0].float().cpu()


def _detector(files: Sequence[str], adapter: CoordinateAdapter | None) -> Detector:
    config, checkpoint = files
    device = "cpu" if adapter is None else str(next(adapter.model.parameters(), torch.empty(0)).device)
    return mmdet_detector(config, checkpoint, device)


def other_names(predicted: Sequence[str], annotated: Sequence[str]) -> str:
    """A sentence on joints that model and data call otherwise, '' where there are none.

    Args:
        predicted: (K,) by the checkpoint's `dataset_meta`; 'joint_0', 'joint_1' ... say nothing.
        annotated: (K,) by the data set's metainfo.

    >>> other_names(("nose", "left_eye"), ("nose", "Left eye")), other_names(("joint_0",), ("nose",))
    ('', '')
    >>> other_names(("nose", "left_eye"), ("nose", "tail")).split(":")[1].split(".")[0]
    " 'left_eye' is 'tail' in the data"
    """
    there, here = ([re.sub(r"[\s_-]+", "_", name.lower()) for name in names] for names in (predicted, annotated))
    differ = [k for k, (a, b) in enumerate(zip(there, here, strict=True)) if a != b and a != f"joint_{k}"]
    if not differ:
        return ""
    first = ", ".join(f"{predicted[k]!r} is {annotated[k]!r} in the data" for k in differ[:3])
    order = "; the names are the same in another order" if sorted(there) == sorted(here) else ""
    return (
        f"{len(differ)} of {len(there)} names differ between the checkpoint's joints (dataset_meta) and the data's: "
        f"{first}{', ...' if len(differ) > 3 else ''}{order}. Joints are compared by their number: every error is "
        "wrong where these are not the same joints; take the data set that the model was made for"
    )


def batch_size(asked: int | None, adapter: CoordinateAdapter, device: str, *, maps: bool = True) -> int:
    """Persons computed and written at once: `diagnosis.samples.batch_size`, else 1 on a CPU and 8 on a GPU; without
    maps 32 and 128.

    Raises:
        ConfigError: more than one, where an image holds several persons.
    """
    if not adapter.one_image:
        return asked or (_AT_ONCE if maps else _AT_ONCE_WITHOUT_MAPS)[device != "cpu"]
    if asked not in (None, 1):
        raise ConfigError(
            f"diagnosis.samples.batch_size is {asked}, but adapter {adapter.name!r} finds several persons in an image "
            "and is bound to one of them: samples go one by one. Leave batch_size out (`chunk` makes passes larger)"
        )
    return 1
