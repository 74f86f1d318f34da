"""NumPy's arrays, scalars and types, made of bytes and a type from a short list."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from ...errors import CheckpointError
from .placeholders import Marker, Plain, Record, Unknown, sequence, short

_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|[SU]\d{1,4}")


class DTypeRecord(Record):
    """`numpy.dtype`; its state is the byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        if isinstance(code, bytes):
            code = code.decode("latin1")
        if not (isinstance(code, str) and _DTYPE.fullmatch(code)):
            raise CheckpointError(f"it has an array of type {short(code)}; numbers and text alone are read")
        self.code = code

    def value(self, plain: Plain) -> np.dtype[Any]:
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        order = order.decode("latin1") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|", "="):
            raise CheckpointError(f"it has an array of byte order {short(order)}")
        return np.dtype(f"{order}{self.code}")


class ArrayRecord(Record):
    """`numpy.core.multiarray._reconstruct`; its state is shape, type, order and content."""

    def value(self, plain: Plain) -> Any:
        if not (isinstance(self.state, tuple) and len(self.state) == 5):
            raise CheckpointError("it has an array without shape, type and content")
        _, shape, dtype, fortran, content = self.state
        if isinstance(dtype, Unknown):  # of Python objects
            return Unknown("numpy.ndarray")
        return _array(content, dtype, shape, "F" if fortran is True or fortran == 1 else "C")


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> Any:
    if isinstance(content, str):
        content = content.encode("latin1")
    if not isinstance(dtype, DTypeRecord) or not isinstance(content, (bytes, bytearray)):
        raise CheckpointError("it has an array that is not made of bytes and a type")
    kind, shape = dtype.value(lambda value: value), tuple(int(n) for n in sequence(shape))
    if any(n < 0 for n in shape) or math.prod(shape) * kind.itemsize != len(content):
        raise CheckpointError(f"it has an array of shape {short(shape)} and type {kind}, of {len(content)} bytes")
    return np.frombuffer(bytes(content) or b"", dtype=kind).reshape(shape, order="F" if order == "F" else "C").copy()


def array_from_buffer(content: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> Any:
    """`numpy.core.numeric._frombuffer`, of protocol 5."""
    found = _array(content, dtype, shape, order)
    return found if axes is None else found.transpose(np.argsort([int(n) for n in sequence(axes)]))


def scalar(dtype: Any, content: Any = b"") -> Any:
    """`numpy.core.multiarray.scalar`."""
    return _array(content, dtype, (1,), "C")[0]


def reconstructed(kind: Any, *_: Any) -> Record | Unknown:
    """`numpy.core.multiarray._reconstruct`, of arrays alone."""
    return ArrayRecord() if isinstance(kind, Marker) and kind.name == "numpy.ndarray" else Unknown("numpy.ndarray")
