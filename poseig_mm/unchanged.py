"""What others may look at and not change: compared with a copy afterwards, and put back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


class KeptTensors:
    """Tensors and NumPy arrays as they are now; each is copied once, so a batch costs one batch.

    Args:
        named: (name for people, tensor or array); of other things nothing is kept.
        device: where copies of tensors are kept; None: where they are.

    >>> maps = torch.ones(2)
    >>> kept = KeptTensors([("maps", maps)])
    >>> maps.data[0] = 5
    >>> kept.restore(), maps.tolist(), kept.restore()
    (['maps'], [1.0, 1.0], [])
    """

    def __init__(self, named: Iterable[tuple[str, Any]], device: str | None = None) -> None:
        self._tensors: list[tuple[str, Tensor, Tensor, Tensor]] = []  # name, itself, its memory, a copy
        self._arrays: list[tuple[str, Any, Any]] = []
        seen: set[int] = set()
        for name, value in named:
            if id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, Tensor):
                memory = value.detach()
                self._tensors.append((name, value, memory, memory.to(device or memory.device, copy=True)))
            elif isinstance(value, np.ndarray) and value.dtype != object:
                self._arrays.append((name, value, value.copy()))

    def restore(self) -> list[str]:
        """Put back what is different now, bit for bit; the names of what was."""
        changed = [name for name, tensor, memory, copy in self._tensors if _write(tensor, memory, copy)]
        for name, array, copy in self._arrays:
            if array.tobytes() != copy.tobytes():
                writeable = array.flags.writeable
                array.setflags(write=True)
                array[...] = copy
                array.setflags(write=writeable)
                changed.append(name)
        return list(dict.fromkeys(changed))


class KeptValues:
    """Frozen dataclasses with all that they hold, and mappings of tensors, as they are now.

    >>> indices = {"di": torch.ones(1)}
    >>> kept = KeptValues(indices=indices)
    >>> _ = indices["di"].zero_()
    >>> kept.restore(), indices
    (["indices['di']"], {'di': tensor([1.])})
    """

    def __init__(self, **values: Any) -> None:
        self._fields = [(name, value, dict(vars(value))) for name, value in values.items() if is_dataclass(value)]
        self._tensors = KeptTensors(named for name, value in values.items() for named in _inside(name, value))

    def restore(self) -> list[str]:
        """Put back what is different now; the names of what was, such as 'attribution.maps'."""
        changed = []
        for name, value, before in self._fields:
            now = vars(value)
            different = [key for key in now.keys() | before.keys() if now.get(key) is not before.get(key)]
            if different:
                now.clear()
                now.update(before)
                changed += [f"{name}.{key}" for key in different]
        return [*sorted(changed), *self._tensors.restore()]


def is_built_in(thing: object) -> bool:
    """Whether an index or a study is this package's own, which its tests hold to what is read-only.

    >>> from poseig_mm.indices.builtin import DiffusionIndex
    >>> is_built_in(DiffusionIndex()), is_built_in(object())
    (True, False)
    """
    return type(thing).__module__.partition(".")[0] == "poseig_mm"


def _inside(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if is_dataclass(value):
        for field in fields(value):
            yield from _inside(f"{name}.{field.name}", getattr(value, field.name))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _inside(f"{name}[{key!r}]", part)
    else:
        yield name, value


def _write(tensor: Tensor, memory: Tensor, copy: Tensor) -> bool:
    """Make `tensor` hold the copy in its `memory` of before, where it does not, bit for bit; whether it did not."""
    moved = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()) != (
        memory.data_ptr(), memory.dtype, memory.shape, memory.stride(),
    )  # fmt: skip
    same = torch.equal(_bits(memory.to(copy.device)), _bits(copy))
    if moved:
        tensor.data = memory
    if not same:
        once = tuple(slice(0, 1) if stride == 0 else slice(None) for stride in memory.stride())  # of an expanded tensor
        memory[once].copy_(copy[once])
    return moved or not same


def _bits(tensor: Tensor) -> Tensor:
    """The bytes: NaN is equal to itself here."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)
