"""MMPose config and checkpoint -> model, ready to be diagnosed."""

from __future__ import annotations

import copy
import importlib.util
import logging
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..compat import read_config
from ..errors import ConfigError, PoseIGError
from ..mmpose_config import SPLITS, dataset_config, refuse_old_config
from ..seeding import random_states_kept
from .checkpoints import read_checkpoint
from .distillation import distilled_model, distilled_state, is_distiller, refuse_distiller
from .freezing import frozen
from .head_outputs import tensors_of
from .heads import coordinate_head, count_joints, find_input_size
from .operators import complete_operators
from .sequence_input import is_lifter, pose_features, sequence_shape
from .weights import load_weights, model_hash

__all__ = ["build_model", "load_estimator_weights", "model_hash"]

logger = logging.getLogger(__name__)


def build_model(
    config: str | Path | Any,
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    *,
    weights_follow: bool = False,
) -> Any:
    """Build the `model` of an MMPose config and load its weights.

    Of a distiller, that is the student (see `distillation`).  Nothing is downloaded for building: pretrained weights
    that the config names (`init_cfg`, `pretrained`) are left out, since the checkpoint replaces them.

    Args:
        config: path of an MMPose config, or an mmengine `Config`; it is not changed.
        checkpoint: file or http(s) address of the weights (see `checkpoints.read_checkpoint`); None leaves them random,
            with a warning, unless the model brings its own (and says so: `model.random_weights = False`).
        device: 'cpu', 'cuda', 'cuda:1' ...
        weights_follow: the caller will load weights, or wants names and shapes alone: no warning.

    Returns:
        The pose estimator in evaluation mode, with the attributes `cfg`, `dataset_meta` (from the checkpoint, else from
        the config's data sets, else None), `random_weights` and, where there is something to say, `weights_notes` (see
        `load_weights`; also of a `load_from` in the config that is not taken).

    Raises:
        ConfigError: the config cannot be read or built, or the device is not there.
        CheckpointError: no such file; damaged; other architecture; other number of keypoints.
    """
    complete_operators()
    from mmengine.registry import DefaultScope
    from mmpose.registry import MODELS

    cfg = _read(config)
    refuse_old_config(cfg)
    if not isinstance(cfg.get("model"), Mapping):
        raise ConfigError(f"config {cfg.filename or '(no file)'} has no `model`; expected an MMPose config")
    state, meta = (None, {}) if checkpoint is None else read_checkpoint(checkpoint)
    dropped: list[str] = []
    parts: Any = copy.deepcopy(cfg.model)
    if distiller := is_distiller(cfg.model):
        parts = distilled_model(cfg.model, cfg.filename)
    if state is not None:
        state = _own_weights(state, cfg.model, distiller, f"checkpoint {checkpoint}")
    _simplify(parts, "model", dropped)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope") or "mmpose"):
        try:
            # layers that the checkpoint lacks are the same in every process: so is the hash
            with random_states_kept(0) if state is not None else nullcontext():
                model = MODELS.build(parts)
        except PoseIGError:
            raise
        except Exception as error:
            raise ConfigError(
                f"the model of config {cfg.filename or '(no file)'} cannot be built: {type(error).__name__}: {error}"
                f"{_absent(error)}"
            ) from error
        own_meta = meta.get("dataset_meta")
        model.dataset_meta = own_meta if isinstance(own_meta, Mapping) else _dataset_meta(cfg)
    if state is not None:
        model.weights_notes = load_estimator_weights(model, state, f"checkpoint {checkpoint}")
        model.random_weights = False
    elif getattr(model, "random_weights", True):
        model.random_weights = True
        instead = f" ({', '.join(dropped)} in the config not being loaded)" if dropped else ""
        if not weights_follow:
            logger.warning("no checkpoint was given: the model's weights are random%s", instead)
            if named := cfg.get("load_from"):
                note = (
                    f"the model's weights are random, though the config names some: load_from = {named!r} is what a "
                    f"training begins with. To diagnose them: poseig-diagnose {cfg.filename or 'CONFIG'} {named}"
                )
                logger.warning("%s", note)
                model.weights_notes = [note]
    model.cfg = cfg
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise ConfigError(f"device {device!r} cannot be used: {str(error).splitlines()[0]}; use 'cpu'") from error
    return model.eval()


def load_estimator_weights(model: Any, state: Mapping[str, Tensor], source: str) -> list[str]:
    """Load a checkpoint's weights into a pose estimator: `load_weights`, with the head's keypoints and output as probe.

    Args:
        model: a pose estimator of MMPose; receives the weights.
        state: weights by name (`checkpoints.read_checkpoint`).
        source: where they come from, for messages.

    Returns:
        What a reader of the numbers should know.

    Raises:
        CheckpointError: they belong to another model.
    """
    return load_weights(model, state, source, count_joints(coordinate_head(model)), lambda: _outputs_on_noise(model))


def _own_weights(state: dict[str, Tensor], parts: Mapping[str, Any], distiller: bool, source: str) -> dict[str, Tensor]:
    """The weights of the model that is built, out of a distiller's."""
    if distiller:
        return distilled_state(state, bool(parts.get("two_dis")), source)
    refuse_distiller(state, source)
    return state


def _read(config: str | Path | Any) -> Any:
    """An own copy of the config, its `custom_imports` done."""
    from mmengine.config import Config
    from mmengine.utils import import_modules_from_strings

    try:
        if isinstance(config, Config):
            cfg = copy.deepcopy(config)
            if custom := cfg.get("custom_imports"):
                import_modules_from_strings(**custom)
            return cfg
        if not Path(config).is_file():
            raise ConfigError(f"config {config} does not exist; give the path of an MMPose config (.py)")
        return read_config(config)
    except PoseIGError:
        raise
    except Exception as error:
        hint = " (its custom_imports must be importable: set PYTHONPATH)" if isinstance(error, ImportError) else ""
        raise ConfigError(f"config {config} cannot be read: {type(error).__name__}: {error}{hint}") from error


def _simplify(part: Any, where: str, dropped: list[str]) -> None:
    """Change a model config in place: no pretrained weights (noting where they stood); no synchronised batch norm,
    which has the same weights as the plain one but runs on several GPUs only; ViTPose's backbone by its present name.

    """
    if isinstance(part, dict):
        for key, value in list(part.items()):
            if key == "init_cfg" and _is_pretrained(value):
                kept = [v for v in value if not _is_pretrained(v)] if isinstance(value, (list, tuple)) else None
                part[key] = kept or None
                dropped.append(f"{where}.{key}")
            elif key == "pretrained" and value:
                part[key] = False if value is True else None
                dropped.append(f"{where}.{key}")
            elif key == "type" and value in ("SyncBN", "MMSyncBN"):
                part[key] = "BN"
            elif (key == "type" and str(value).startswith("mmcls.")) or (key == "_scope_" and value == "mmcls"):
                _modernise(part)
            else:
                _simplify(value, f"{where}.{key}", dropped)
    elif isinstance(part, (list, tuple)):
        for i, value in enumerate(part):
            _simplify(value, f"{where}[{i}]", dropped)


def _modernise(part: dict[str, Any]) -> None:
    """MMClassification became MMPretrain; configs of MMPose and of its users still speak of the former."""
    if importlib.util.find_spec("mmcls") is not None and importlib.util.find_spec("mmpretrain") is None:
        return
    if part.get("_scope_") == "mmcls":
        part["_scope_"] = "mmpretrain"
    if isinstance(part.get("type"), str):
        part["type"] = part["type"].replace("mmcls.", "mmpretrain.", 1)
    if part.pop("output_cls_token", None) is False:
        part["out_type"] = "featmap"


def _absent(error: Exception) -> str:
    """What to install where a config takes a class of MMPretrain; MMEngine says it is not registered."""
    missing = "mmpretrain" in str(error) and importlib.util.find_spec("mmpretrain") is None
    return ". MMPretrain is not installed: pip install mmpretrain" if missing else ""


def _is_pretrained(init_cfg: Any) -> bool:
    if isinstance(init_cfg, (list, tuple)):
        return any(_is_pretrained(v) for v in init_cfg)
    kind = init_cfg.get("type") if isinstance(init_cfg, Mapping) else None
    name = getattr(kind, "__name__", kind)
    return isinstance(name, str) and name.rsplit(".", 1)[-1] in ("Pretrained", "PretrainedInit")


def _dataset_meta(cfg: Any) -> dict[str, Any] | None:
    """Parsed metainfo of the first data set in the config that has one."""
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    from mmpose.registry import DATASETS

    for split in (*SPLITS, "train"):
        dataset = dataset_config(cfg, split)
        try:
            kind = dataset.get("type")
            cls = DATASETS.get(kind) if isinstance(kind, str) else kind
            if metainfo := dataset.get("metainfo") or getattr(cls, "METAINFO", None):
                return dict(parse_pose_metainfo(dict(metainfo)))
        except Exception as error:  # names are a convenience: never a reason not to run
            logger.warning("metainfo of %s_dataloader cannot be read (%s); joints are numbered", split, error)
    return None


def _outputs_on_noise(model: Any) -> list[Tensor]:
    """All tensors the coordinate head gives for one image of noise, as big as the input."""
    head = coordinate_head(model)
    lifts = is_lifter(model)
    width, height = (0, 0) if lifts else find_input_size(head)
    shape = sequence_shape(model) if lifts else (3, height, width)
    image = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    with frozen(model), torch.no_grad():
        output = head.forward(pose_features(model, image) if lifts else model.extract_feat(image))
    return list(tensors_of(output).values())
