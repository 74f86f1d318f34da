"""Distillers: of teacher and student, the model that comes out is diagnosed, as MMPose's `DWPoseDistiller` predicts.

In a first stage that is the student.  In a second one (`two_dis`) only the student's head is trained, on the teacher's
features: the model is the teacher's backbone and neck with the student's head (MMPose's tools/misc/pth_transfer.py
makes the same of a checkpoint).  The rest of the teacher is neither built nor loaded, its pretrained weights are not
fetched.
"""

from __future__ import annotations

import copy
import importlib.util
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..compat import read_config
from ..errors import CheckpointError, ConfigError

FEATURES = ("backbone", "neck")  # what the second stage takes from the teacher


def is_distiller(parts: Mapping[str, Any]) -> bool:
    """Whether a `model` config is of a distiller: it names a student.

    >>> is_distiller({"type": "DWPoseDistiller", "student_cfg": "s.py"}), is_distiller({"type": "TopdownPoseEstimator"})
    (True, False)
    """
    return parts.get("student_cfg") is not None


def distilled_model(parts: Mapping[str, Any], filename: str | None = None) -> dict[str, Any]:
    """The `model` config of what a distiller's training gives, with the distiller's own data preprocessor.

    Args:
        parts: the distiller's `model` config; `student_cfg` (and `teacher_cfg`, where `two_dis`) is a config or the
            path of one, looked for where the process runs, beside the distiller's config and above it, and among the
            configs that MMPose ships.
        filename: of the distiller's config.

    Raises:
        ConfigError: a config is not found, cannot be read, or holds no model.
    """
    model = _inner(parts, "student_cfg", filename)
    if parts.get("two_dis"):
        teacher = _inner(parts, "teacher_cfg", filename)
        model |= {name: teacher[name] for name in FEATURES if teacher.get(name) is not None}
    if parts.get("data_preprocessor") is not None:
        model["data_preprocessor"] = copy.deepcopy(parts["data_preprocessor"])
    return model


def distilled_state(state: dict[str, Tensor], two_dis: bool, source: str) -> dict[str, Tensor]:
    """The weights of that model in a distiller's checkpoint; those of a model saved alone are given back as they are.

    Args:
        state: by name, 'student.' or 'teacher.' before those of a distiller.
        two_dis: of a second stage.
        source: where they come from, for messages.

    Raises:
        CheckpointError: a distiller's checkpoint that lacks the student, or in a second stage the teacher's features.

    >>> distilled_state({"student.head.w": 1, "teacher.head.w": 2, "distill_losses.a": 3}, False, "c.pth")
    {'head.w': 1}
    >>> distilled_state({"student.head.w": 1, "student.backbone.w": 2, "teacher.backbone.w": 3}, True, "c.pth")
    {'backbone.w': 3, 'head.w': 1}
    >>> distilled_state({"head.w": 1}, False, "c.pth")
    {'head.w': 1}
    """
    if not any(key.startswith(("student.", "teacher.")) for key in state):
        return state
    student = _under(state, "student.")
    if not student:
        raise CheckpointError(
            f"{source}: a distiller's checkpoint without its student (no key begins with 'student.', {len(state)} "
            f"keys, e.g. {next(iter(state))}); give one that holds it, or the student's own checkpoint"
        )
    if not two_dis:
        return _like(state, student)
    teacher = {k: v for k, v in _under(state, "teacher.").items() if k.split(".")[0] in FEATURES}
    if not teacher:
        raise CheckpointError(
            f"{source}: the second stage of a distillation trains the student's head on the teacher's features, and no "
            "key begins with 'teacher.backbone.'; give the whole checkpoint, or one that MMPose's "
            "tools/misc/pth_transfer.py --two_dis made of it"
        )
    head = {k: v for k, v in student.items() if k.split(".")[0] not in FEATURES}
    return _like(state, teacher | head)


def refuse_distiller(state: Mapping[str, Tensor], source: str) -> None:
    """A distiller's checkpoint for the config of a plain model is an error that says so.

    Raises:
        CheckpointError: keys of a student and of a teacher.
    """
    if all(any(key.startswith(part) for key in state) for part in ("student.", "teacher.")):
        raise CheckpointError(
            f"{source}: holds a distiller (keys 'student.' and 'teacher.'), but the config's model is none; give the "
            "distiller's config, or what MMPose's tools/misc/pth_transfer.py makes of the checkpoint"
        )


def distilled_weights(model: nn.Module) -> nn.Module:
    """What a distiller that is built already predicts with, its parts shared with it; any other model as it is."""
    student, teacher = getattr(model, "student", None), getattr(model, "teacher", None)
    if not isinstance(student, nn.Module) or getattr(model, "head", None) is not None:
        return model
    twin = copy.copy(student)
    twin._modules = dict(student._modules)
    if getattr(model, "two_dis", False):
        twin._modules |= {k: v for k, v in getattr(teacher, "_modules", {}).items() if k in FEATURES}
    if isinstance(preprocessor := getattr(model, "data_preprocessor", None), nn.Module):
        twin._modules["data_preprocessor"] = preprocessor
    for name in ("cfg", "dataset_meta"):
        if hasattr(model, name):
            setattr(twin, name, getattr(model, name))
    return twin


def _inner(parts: Mapping[str, Any], key: str, filename: str | None) -> dict[str, Any]:
    """An own copy of the `model` in the config under `key`."""
    given = parts.get(key)
    if isinstance(given, (str, Path)):
        path = _find(str(given), key, filename)
        try:
            content: Any = read_config(path)
        except Exception as error:
            raise ConfigError(
                f"the distiller's {key} {path} cannot be read: {type(error).__name__}: {error}"
            ) from error
    else:
        content = given
    model = content.get("model", content) if isinstance(content, Mapping) or hasattr(content, "get") else None
    if not isinstance(model, Mapping) or "type" not in model:
        raise ConfigError(f"the distiller's {key} is {given!r}; expected a config with a `model`, or the path of one")
    return copy.deepcopy(dict(model))


def _find(path: str, key: str, filename: str | None) -> Path:
    """A file by a path that may be below the root of MMPose's repository, the way its configs name one another."""
    roots = [Path(), *(Path(filename).absolute().parents if filename else ()), *_shipped()]
    for root in roots:
        if (root / path).is_file():
            return root / path
    shipped = ", ".join(str(root) for root in _shipped()) or "no MMPose installed"
    raise ConfigError(
        f"the distiller's {key} {path!r} does not exist: not below {Path().absolute()}, not beside or above "
        f"{filename or 'its config'}, and not among the configs that MMPose ships ({shipped}); give an absolute path"
    )


def _shipped() -> list[Path]:
    """Where MMPose's wheel keeps its folder `configs`."""
    spec = importlib.util.find_spec("mmpose")
    return [Path(str(spec.origin)).parent / ".mim"] if spec else []


def _under(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _like(state: Mapping[str, Tensor], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weights` with the student's module versions, where `state` has any: conversions of old names look at them."""
    metadata = getattr(state, "_metadata", None)
    if not isinstance(metadata, Mapping):
        return weights
    kept: Any = OrderedDict(weights)
    kept._metadata = _under(metadata, "student.")
    return kept  # type: ignore[no-any-return]
