"""Official weights of hand models as MMPose checkpoints, strictly: every weight must find its place.

Official names are the names in the model's backbone; so a converter is a rule from official names to those, and here is
everything else: reading, prefixes, strictness, the joint regressor, writing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from poseig_mm.adapters.checkpoints import Unknown, read_content
from poseig_mm.errors import CheckpointError

__all__ = ["REGRESSOR", "flat_state", "place", "read_official", "write_checkpoint"]

CONTAINERS = ("model_state_dict", "network", "state_dict", "model")
REGRESSOR = "head.regressor.matrix"
SHOWN = 8  # names of each kind in a message


def read_official(path: str | Path) -> dict[str, Tensor]:
    """The weights of an official file by official name, without a leading 'module.'; nothing in the file is run.

    Either weights by name, the whole file or under 'model_state_dict', 'network', 'state_dict' or 'model'; or a dict of
    such dicts, a part of the model each, whose names then stand in front.

    Raises:
        CheckpointError: there is no such file, it is damaged, or it holds no weights.
    """
    file = Path(path).expanduser()
    return flat_state(read_content(file), str(file))


def flat_state(content: Any, source: str = "the checkpoint") -> dict[str, Tensor]:
    """What `read_official` returns, of a file's content.

    Raises:
        CheckpointError: there are no weights in it.

    >>> w = torch.zeros(1)
    >>> list(flat_state({'epoch': 3, 'network': {'module.a.weight': w}}))
    ['a.weight']
    >>> list(flat_state({'pose': {'a.weight': w}, 'gcn': {'module.b.bias': w}, 'epoch': 3}))
    ['pose.a.weight', 'gcn.b.bias']
    """
    if isinstance(content, Mapping):
        inner = next((content[k] for k in CONTAINERS if isinstance(content.get(k), Mapping)), content)
        if _is_state(inner):
            return _bare(inner)
        parts = {str(k): v for k, v in inner.items() if _is_state(v)}
        if parts:
            return {f"{part}.{name}": value for part, state in parts.items() for name, value in _bare(state).items()}
    what = f"the keys {list(content)[:5]}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
    raise CheckpointError(f"{source} holds {what}; expected weights by name, as official files have them")


def _is_state(value: Any) -> bool:
    """Whether it is weights by name; what the reader did not know (an epoch, a log) may stand beside them."""
    if not isinstance(value, Mapping) or not any(isinstance(v, Tensor) for v in value.values()):
        return False
    return all(isinstance(v, (Tensor, Unknown, int, float, str)) for v in value.values())


def _bare(state: Mapping[str, Any]) -> dict[str, Tensor]:
    tensors = {str(k): v for k, v in state.items() if isinstance(v, Tensor)}
    prefix = "module." if all(k.startswith("module.") for k in tensors) else ""
    return {k[len(prefix) :]: v for k, v in tensors.items()}


def place(
    official: Mapping[str, Tensor],
    model: Any,
    rename: Callable[[str], str | None] = lambda name: f"backbone.{name}",
    *,
    source: str = "the checkpoint",
    advice: str = "give the config of the file's own model",
) -> dict[str, Tensor]:
    """Official weights under an MMPose model's names: every weight of the model among them and none besides.

    Args:
        official: weights by official name.
        model: MMPose's; not changed.  Its joint regressor may be among the weights, and need not be, nor the number of
            batches that a batch norm has seen, which old files lack.
        rename: official name -> the model's; None: known and not needed.
        source, advice: for the message.

    Raises:
        CheckpointError: lists what the model does not know, what the file lacks (by the model's names), and what has
            another shape.
    """
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found: dict[str, str] = {}
    unexpected, shapes = [], []
    for name, value in official.items():
        new = rename(name)
        if new is None:
            continue
        if new in found:
            unexpected.append(f"{name} (beside {found[new]})")
        elif new not in wanted and new != REGRESSOR:
            unexpected.append(name)
        elif new in wanted and tuple(value.shape) != wanted[new]:
            shapes.append(f"{name} {tuple(value.shape)} instead of {wanted[new]}")
            found[new] = name
        else:
            found[new] = name
    idle = (REGRESSOR, ".num_batches_tracked")
    missing = [n for n in wanted if n not in found and not n.endswith(idle)]
    if unexpected or missing or shapes:
        kinds = (("unexpected", unexpected), ("missing", missing), ("of another shape", shapes))
        listed = "; ".join(f"{kind}: {_some(names)}" for kind, names in kinds if names)
        raise CheckpointError(f"{source} is not one of this model's official files: {listed}. To go on, {advice}")
    return {new: official[name].detach().clone() for new, name in found.items()}


def write_checkpoint(weights: Mapping[str, Tensor], target: str | Path, **meta: str) -> Path:
    """An MMPose checkpoint, which replaces `target` when it is complete."""
    target = Path(target)
    part = target.with_name(target.name + ".part")
    torch.save({"state_dict": dict(weights), "meta": meta}, part)
    part.replace(target)
    return target


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - SHOWN
    return ", ".join(listed[:SHOWN]) + (f" and {more} more" if more > 0 else "")
