"""What a head's `forward` gives, however it is nested: its tensors by their places, and the one that is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import AdapterError

SETTING = "diagnosis.attribution.output"


def tensors_of(output: Any, place: str = "") -> dict[str, Tensor]:
    """Its tensors by place: '' where it is one itself, else '0', 'heatmaps', 'heatmaps.1', ...

    >>> list(tensors_of({"maps": [torch.ones(1), torch.ones(2)], "note": "x"}))
    ['maps.0', 'maps.1']
    """
    if isinstance(output, torch.Tensor):
        return {place: output}
    return {
        name: tensor
        for key, part in _parts(output)
        for name, tensor in tensors_of(part, f"{place}.{key}" if place else key).items()
    }


def describe_outputs(output: Any) -> str:
    """Places and shapes, for a message.

    >>> describe_outputs((torch.ones(1, 2), torch.ones(3)))
    "'0' (1, 2), '1' (3)"
    """
    if isinstance(output, torch.Tensor):
        return f"one tensor {_shape(output)}"
    seen = ", ".join(f"{place!r} {_shape(tensor)}" for place, tensor in tensors_of(output).items())
    return seen or f"a {type(output).__name__} without tensors"


def part_at(output: Any, place: str | int) -> Any:
    """The part at a place, as `tensors_of` names it, or above such places.

    Raises:
        AdapterError: there is none.

    >>> part_at({"maps": [1, 2]}, "maps.1"), part_at((1, 2), -1)
    (2, 2)
    """
    part = output
    for key in str(place).split("."):
        parts = dict(_parts(part))
        if key.startswith("-") and isinstance(part, (list, tuple)) and key[1:].isdigit():
            key = str(len(part) + int(key))
        if key not in parts:
            raise AdapterError(
                f"{SETTING} is {place!r}, but the head gives {describe_outputs(output)}; name one of these"
            )
        part = parts[key]
    return part


def fitting(
    output: Any, fits: Callable[[Tensor], bool], expected: str, head: Any, *, count: int = 1
) -> dict[str, Tensor]:
    """The tensors that are meant, by place: of a list, whose parts are stages, the last that fit; else the first.

    Args:
        output: what `head.forward` gave.
        fits: whether a tensor can be such a one.
        expected: in words.
        head: that gave it.
        count: how many are meant.

    Raises:
        AdapterError: fewer fit.

    >>> stages, other = [torch.ones(1, 2), torch.zeros(1, 2)], torch.ones(5)
    >>> list(fitting((other, stages), lambda t: t.ndim == 2, "(B, 2)", None))
    ['1.1']
    """
    found = [(place, tensor) for place, tensor in _by_preference(output) if fits(tensor)][:count]
    if len(found) < count:
        raise AdapterError(
            f"the output of {type(head).__name__} cannot be explained: got {describe_outputs(output)}; expected "
            f"{expected}. Choose another part of it with {SETTING}, or write an adapter for this head (docs/plugins.md)"
        )
    return dict(found)


def _by_preference(output: Any, place: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(output, torch.Tensor):
        yield place, output
    parts = list(_parts(output))
    for key, part in reversed(parts) if isinstance(output, list) else parts:
        yield from _by_preference(part, f"{place}.{key}" if place else key)


def _parts(output: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(output, Mapping):
        yield from ((str(key), part) for key, part in output.items())
    elif isinstance(output, (list, tuple)):
        yield from ((str(i), part) for i, part in enumerate(output))


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"
