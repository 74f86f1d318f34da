"""Weights that others published, as an MMPose checkpoint: renamed strictly, and written whole or not at all."""

from __future__ import annotations

import logging
from collections import Counter
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
    note: Callable[[str], None] | None = None,
) -> dict[str, Tensor]:
    """Official weights under a model's names: each of them has a place, and each place gets one.

    Args:
        official: weights by official name.
        model: with the names and shapes that are wanted; not changed.
        rename: official name -> the model's; None: there is no such part.
        dropped: official names that the model has no use for, or all that begin so, up to a dot ('loss.') -> why.
        optional: how names of the model end that the file may lack.
        official_name: the model's name -> how the message calls a weight that is missing.
        source, advice: for the message.
        note: is told what was left out and why, a line a reason, parts with their numbers of weights; None: the log.

    Returns:
        Copies, in the order of the file.

    Raises:
        CheckpointError: lists what the model does not know, what the file lacks, and what has another shape.

    >>> official = {"fc.weight": torch.ones(1, 2), "fc.bias": torch.ones(1), "loss.scale": torch.ones(1)}
    >>> names = lambda name: name.removeprefix("fc.")
    >>> list(place_weights(official, nn.Linear(2, 1), names, dropped={"loss.": "for training alone"}, note=print))
    left out, for training alone: loss.* (1)
    ['weight', 'bias']
    >>> place_weights(official, nn.Linear(2, 1, bias=False), names)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    poseig_mm.errors.CheckpointError: ...: unexpected: fc.bias, loss.scale. To go on, give the config of ...
    """
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    placed: dict[str, str] = {}  # name in the model -> in the file
    unexpected, misshapen = [], []
    left_out: dict[str, Counter[str]] = {}  # why -> names in the file, or parts and how many weights they have
    for name, value in official.items():
        if part := _dropped_as(name, dropped or {}):
            left_out.setdefault((dropped or {})[part], Counter())[part] += 1
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
    for why, counts in left_out.items():
        parts = (f"{part}* ({count})" if part.endswith(".") else part for part, count in counts.items())
        (note or logger.info)(f"left out, {why}: {', '.join(parts)}")
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


def _dropped_as(name: str, dropped: Mapping[str, str]) -> str | None:
    """The entry of `dropped` that a name falls under."""
    starts = (start for start in dropped if start.endswith(".") and name.startswith(start))
    return name if name in dropped else next(starts, None)


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - SHOWN
    return ", ".join(listed[:SHOWN]) + (f" and {more} more" if more > 0 else "")
