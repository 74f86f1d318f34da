"""Weights that others published, as an MMPose checkpoint: renamed strictly, and written whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError
from ..store.atomic import temporary_name

logger = logging.getLogger(__name__)
SHOWN = 8  # names of each kind in a message


def place_weights(
    official: Mapping[str, Tensor],
    model: nn.Module,
    rename: Callable[[str], str | None],
    *,
    dropped: Mapping[str, str] | None = None,
    optional: Sequence[str] = (),
    official_name: Callable[[str], str] = str,
    source: str = "the checkpoint",
    advice: str = "give the config of the file's own model",
) -> dict[str, Tensor]:
    """Official weights under a model's names: each of them has a place, and each place gets one.

    Args:
        official: weights by official name.
        model: with the names and shapes that are wanted; not changed.
        rename: official name -> the model's; None: there is no such part.
        dropped: how official names begin that the model has no use for -> why; logged, not renamed.
        optional: how names of the model end that the file may lack.
        official_name: the model's name -> how the message calls a weight that is missing.
        source, advice: for the message.

    Returns:
        Copies, in the order of the file.

    Raises:
        CheckpointError: lists what the model does not know, what the file lacks, and what has another shape.

    >>> official = {"fc.weight": torch.ones(1, 2), "fc.bias": torch.ones(1), "loss.scale": torch.ones(1)}
    >>> names = lambda name: name.removeprefix("fc.")
    >>> list(place_weights(official, nn.Linear(2, 1), names, dropped={"loss.": "training alone needs it"}))
    ['weight', 'bias']
    >>> place_weights(official, nn.Linear(2, 1, bias=False), names)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    poseig_mm.errors.CheckpointError: ...: unexpected: fc.bias, loss.scale. To go on, give the config of ...
    """
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    placed: dict[str, str] = {}  # name in the model -> in the file
    unexpected, misshapen = [], []
    for name, value in official.items():
        if reason := next((why for start, why in (dropped or {}).items() if name.startswith(start)), None):
            logger.debug("%s: %s is left out: %s", source, name, reason)
            continue
        new = rename(name)
        if new is None or new not in shapes:
            unexpected.append(name)
        elif new in placed:
            unexpected.append(f"{name} (beside {placed[new]})")
        else:
            placed[new] = name
            if tuple(value.shape) != shapes[new]:
                misshapen.append(f"{name} {tuple(value.shape)} instead of {shapes[new]}")
    missing = [official_name(n) for n in shapes if n not in placed and not n.endswith(tuple(optional))]
    kinds = {"unexpected": unexpected, "missing": missing, "of another shape": misshapen}
    if listed := "; ".join(f"{kind}: {_some(names)}" for kind, names in kinds.items() if names):
        raise CheckpointError(f"{source} is not one of this model's official files: {listed}. To go on, {advice}")
    return {new: official[name].detach().clone() for new, name in placed.items()}


def write_checkpoint(weights: Mapping[str, Tensor], target: str | Path, **meta: Any) -> Path:
    """An MMPose checkpoint, which replaces `target` when it is complete.

    Args:
        weights: by the model's names.
        target: where to write.
        meta: plain values that stand beside them.
    """
    target = Path(target)
    part = temporary_name(target)
    try:
        torch.save({"state_dict": dict(weights), "meta": meta}, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - SHOWN
    return ", ".join(listed[:SHOWN]) + (f" and {more} more" if more > 0 else "")
