"""Official weights of hand models as MMPose checkpoints, strictly: every weight must find its place.

Official names are the names in the model's backbone; so a converter is a rule from official names to those, and here is
what they share besides: reading, prefixes, what a file may lack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from poseig_mm.adapters.checkpoints import flat_weights
from poseig_mm.adapters.official import place_weights
from poseig_mm.adapters.weights_file import read_torch_file
from poseig_mm.errors import CheckpointError

__all__ = ["REGRESSOR", "flat_state", "place", "read_official"]

CONTAINERS = ("model_state_dict", "network", "state_dict", "model")
REGRESSOR = "head.regressor.matrix"


def read_official(path: str | Path) -> dict[str, Tensor]:
    """The weights of an official file by official name, without a leading 'module.'; nothing in the file is run.

    Either weights by name, the whole file or under 'model_state_dict', 'network', 'state_dict' or 'model'; or a dict of
    such dicts, a part of the model each, whose names then stand in front.

    Raises:
        CheckpointError: there is no such file, it is damaged, or it holds no weights.
    """
    file = Path(path).expanduser()
    return flat_state(read_torch_file(file), str(file))


def flat_state(content: Any, source: str = "the checkpoint") -> dict[str, Tensor]:
    """What `read_official` returns, of a file's content.

    Raises:
        CheckpointError: there are no weights in it.

    >>> import torch
    >>> w = torch.zeros(1)
    >>> list(flat_state({'epoch': 3, 'network': {'module.a.weight': w}}))
    ['a.weight']
    >>> list(flat_state({'pose': {'a.weight': w}, 'gcn': {'module.b.bias': w}, 'epoch': 3}))
    ['pose.a.weight', 'gcn.b.bias']
    """
    if (state := flat_weights(content)) is not None:
        return state
    if isinstance(content, Mapping):
        inner = next((content[k] for k in CONTAINERS if isinstance(content.get(k), Mapping)), content)
        parts = {str(k): state for k, v in inner.items() if (state := flat_weights(v)) is not None}
        if parts:
            return {f"{part}.{name}": value for part, state in parts.items() for name, value in state.items()}
    what = f"the keys {list(content)[:5]}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
    raise CheckpointError(f"{source} holds {what}; expected weights by name, as official files have them")


def place(
    official: Mapping[str, Tensor],
    model: Any,
    rename: Callable[[str], str] = lambda name: f"backbone.{name}",
    **settings: Any,
) -> dict[str, Tensor]:
    """Official weights under an MMPose model's names, see `poseig_mm.adapters.official.place_weights`.

    The model's joint regressor may be among the weights, and need not be, nor the number of batches that a batch norm
    has seen, which old files lack.
    """
    return place_weights(official, model, rename, optional=(REGRESSOR, ".num_batches_tracked"), **settings)
