"""Storages of a torch file, and the tensors that lie in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...errors import CheckpointError
from .placeholders import Plain, Record, sequence, short

MOST_EXPANDED = 2**24  # elements of a tensor that repeats its storage's

STORAGES: dict[str, torch.dtype] = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
DTYPES = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}


@dataclass(eq=False)
class Storage:
    """A storage of a torch file, which is filled when the pickle is read."""

    dtype: torch.dtype
    numel: int
    elements: Tensor | None = None

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return torch.empty(0, dtype=self.dtype).element_size()  # torch 2.0's types do not say it

    def fill(self, content: bytes | memoryview) -> None:
        """Take the bytes of the file's storage.

        Raises:
            CheckpointError: they are not as many as the pickle says.
        """
        size = self.numel * self.itemsize
        if len(content) != size:
            raise CheckpointError(f"one of its storages has {len(content)} bytes, its tensors say {size}")
        self.elements = (
            torch.frombuffer(bytearray(content), dtype=self.dtype) if size else torch.empty(0, dtype=self.dtype)
        )


class TensorRecord(Record):
    """`torch._utils._rebuild_tensor`, with or without a type of its own."""

    def __init__(
        self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any, dtype: torch.dtype | None = None
    ) -> None:
        numbers = (offset, *sequence(size), *sequence(stride))
        if not isinstance(storage, Storage) or len(size) != len(stride):
            raise CheckpointError("it makes a tensor of something else than a storage, a size and strides")
        if not all(type(n) is int and n >= 0 for n in numbers):
            raise CheckpointError(f"it makes a tensor of size {short(size)} and strides {short(stride)}")
        self.storage, self.offset, self.size, self.stride, self.dtype = storage, offset, size, stride, dtype

    def value(self, plain: Plain) -> Tensor:
        elements = self.storage.elements
        if elements is None:
            raise CheckpointError("a tensor's storage is not in the file")
        if self.dtype is not None:
            elements = elements.view(self.dtype)
        count = math.prod(self.size)
        last = self.offset + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        if count and (last >= elements.numel() or count > max(elements.numel(), MOST_EXPANDED)):
            raise CheckpointError(f"a tensor of size {short(self.size)} reaches outside its {elements.numel()} numbers")
        if not count:
            return torch.empty([min(n, MOST_EXPANDED) for n in self.size], dtype=elements.dtype)
        return elements.as_strided(tuple(self.size), tuple(self.stride), self.offset)


def tensor_of_type(
    storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, *_: Any
) -> TensorRecord:
    """`torch._utils._rebuild_tensor_v3`: elements of another type than the storage's."""
    if not isinstance(dtype, torch.dtype):
        raise CheckpointError("it makes a tensor of a type that is none")
    return TensorRecord(storage, offset, size, stride, dtype=dtype)
