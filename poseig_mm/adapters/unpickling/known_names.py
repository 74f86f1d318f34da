"""The names that a pickle of weights may ask for, and what it gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import CheckpointError
from .arrays import DTypeRecord, array_from_buffer, reconstructed, scalar
from .placeholders import StateDict, Unknown, hashable, sequence
from .storages import TensorRecord, tensor_of_type

MOST_ITEMS = 10_000_000  # of a set


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str):
        raise CheckpointError(f"it encodes a {type(text).__name__}; text can be")
    return text.encode("utf-8" if encoding in ("utf-8", "utf8") else "latin1")


def _pairs(items: Any = ()) -> StateDict:
    found = StateDict()
    for pair in items if isinstance(items, (list, tuple)) else ():
        key, value = sequence(pair, "a key and a value")
        found[hashable(key)] = value
    return found


def made_set(items: Any = ()) -> set[Any]:
    """`set`, of what can be an element."""
    return {hashable(item) for item in sequence(items, "the elements of a set", MOST_ITEMS)}


def _bytes(*args: Any) -> bytes:
    if args and not isinstance(args[0], (str, bytes)):
        raise CheckpointError("it makes bytes of something else than text")
    return _encode(*args) if args and isinstance(args[0], str) else b"".join(args[:1])


CALLED: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": TensorRecord,
    "torch._utils._rebuild_tensor_v2": TensorRecord,
    "torch._utils._rebuild_tensor_v3": tensor_of_type,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    "torch._utils._rebuild_parameter_with_state": lambda tensor, *_: tensor,
    "torch.Size": lambda sizes=(): sequence(sizes),
    "collections.OrderedDict": _pairs,
    "collections.defaultdict": lambda *_: {},
    "builtins.set": made_set,
    "builtins.frozenset": lambda items=(): frozenset(made_set(items)),
    "builtins.bytes": _bytes,
    "builtins.bytearray": lambda *args: bytearray(_bytes(*args)),
    "builtins.complex": lambda real, imag: complex(float(real), float(imag)),
    "builtins.slice": lambda *args: Unknown("slice"),
    "builtins.range": lambda *args: Unknown("range"),
    "_codecs.encode": _encode,
    "numpy.dtype": DTypeRecord,
    **{f"numpy.{core}.multiarray._reconstruct": reconstructed for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": array_from_buffer for core in ("core", "_core")},
}
_PLAIN_TYPES = ("object", "dict", "list", "tuple", "int", "float", "bool", "str")
MARKED = {
    *("numpy.ndarray", "torch.Tensor", "torch.nn.parameter.Parameter"),
    *(f"builtins.{name}" for name in _PLAIN_TYPES),
}
PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
