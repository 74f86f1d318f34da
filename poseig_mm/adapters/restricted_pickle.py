"""Pickles read without running what is in them, and without making anything but data.

A pickle is a program: it names functions and calls them.  Here a name never becomes the function or class of that name:
it becomes one of our own constructors (`Constructor`), which look at what they are given; a bare `Marker`; or an inert
`Unknown`.  What the program builds are our own records, whose values are taken out when it has ended, within limits.
Of the opcodes, those that call, that set state or that hash a value are replaced; the rest is Python's own.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import CheckpointError

MOST_STEPS = 10_000_000  # opcodes of a pickle; a checkpoint of 2000 tensors has some 50 000
MOST_VALUES = 10_000_000  # of the content, each counted as often as it is reached
DEEPEST = 100  # containers inside one another
MOST_EXPANDED = 2**24  # elements of a tensor that repeats its storage's
LARGEST_KEY = (4, 16)  # depth and length of a tuple that is hashed
LARGEST_NUMBER = 2**60  # that is hashed: larger ones can be made to collide
MOST_COPIES = 8  # of a file's bytes, in all that is made of them, and a MiB
DTYPE = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|[SU]\d{1,4}")

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
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
Plain = Callable[[Any], Any]
KnownClasses = Callable[[str, str], "type[Record] | None"]


@dataclass(frozen=True, eq=False)
class Unknown:
    """Stands for an object of a class that a file of weights need not hold; nothing is known but the class's name."""

    name: str = ""


@dataclass(frozen=True, eq=False)
class Marker:
    """A known class that is named and not called, such as `numpy.ndarray`."""

    name: str


@dataclass(frozen=True, eq=False)
class Constructor:
    """What a pickle gets in the place of a function or class that it may call."""

    name: str
    make: Callable[..., Any]


def short(value: Any) -> str:
    """A value of the file for a message; whole, it may be without end."""
    return _SHORT.repr(value)


class Record:
    """An object under construction: the pickle sets its state, and `value` is asked for when all is read."""

    state: Any = None

    def value(self, plain: Plain) -> Any:
        """What the record stands for.

        Args:
            plain: gives the value of what the state holds.
        """
        raise NotImplementedError


class StateDict(dict[str, Any]):
    """A state dict as torch makes it: with the module versions as an attribute."""

    _metadata: dict[str, Any] | None = None


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


class _TensorRecord(Record):
    def __init__(
        self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any, dtype: torch.dtype | None = None
    ) -> None:
        numbers = (offset, *_tuple(size), *_tuple(stride))
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


def _tensor_v3(storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, *_: Any) -> Any:
    if not isinstance(dtype, torch.dtype):
        raise CheckpointError("it makes a tensor of a type that is none")
    return _TensorRecord(storage, offset, size, stride, dtype=dtype)


class _DType(Record):
    def __init__(self, code: Any, *_: Any) -> None:
        if isinstance(code, bytes):
            code = code.decode("latin1")
        if not (isinstance(code, str) and DTYPE.fullmatch(code)):
            raise CheckpointError(f"it has an array of type {short(code)}; numbers and text alone are read")
        self.code = code

    def value(self, plain: Plain) -> np.dtype[Any]:
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        order = order.decode("latin1") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|", "="):
            raise CheckpointError(f"it has an array of byte order {short(order)}")
        return np.dtype(f"{order}{self.code}")


class _Array(Record):
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
    if not isinstance(dtype, _DType) or not isinstance(content, (bytes, bytearray)):
        raise CheckpointError("it has an array that is not made of bytes and a type")
    kind, shape = dtype.value(lambda value: value), tuple(int(n) for n in _tuple(shape))
    if any(n < 0 for n in shape) or math.prod(shape) * kind.itemsize != len(content):
        raise CheckpointError(f"it has an array of shape {short(shape)} and type {kind}, of {len(content)} bytes")
    return np.frombuffer(bytes(content) or b"", dtype=kind).reshape(shape, order="F" if order == "F" else "C").copy()


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> Any:
    found = _array(content, dtype, shape, order)
    return found if axes is None else found.transpose(np.argsort([int(n) for n in _tuple(axes)]))


def _scalar(dtype: Any, content: Any = b"") -> Any:
    return _array(content, dtype, (1,), "C")[0]


def _reconstruct(kind: Any, *_: Any) -> Record | Unknown:
    return _Array() if isinstance(kind, Marker) and kind.name == "numpy.ndarray" else Unknown("numpy.ndarray")


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str):
        raise CheckpointError(f"it encodes a {type(text).__name__}; text can be")
    return text.encode("utf-8" if encoding in ("utf-8", "utf8") else "latin1")


def _tuple(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (tuple, list)) or len(value) > 64:
        raise CheckpointError(f"it has a {type(value).__name__} where a shape belongs")
    return tuple(value)


def _pairs(items: Any = ()) -> StateDict:
    found = StateDict()
    for pair in items if isinstance(items, (list, tuple)) else ():
        key, value = _tuple(pair)
        found[hashable(key)] = value
    return found


def _set(items: Any = ()) -> set[Any]:
    return {hashable(item) for item in _sequence(items)}


def _sequence(items: Any) -> Sequence[Any]:
    if not isinstance(items, (list, tuple)):
        raise CheckpointError(f"it makes a set of a {type(items).__name__}")
    return items


def _first(value: Any, *_: Any) -> Any:
    return value  # of a parameter, its tensor


def _nothing(*args: Any) -> bytes:
    if args and not isinstance(args[0], (str, bytes)):
        raise CheckpointError("it makes bytes of something else than text")
    return _encode(*args) if args and isinstance(args[0], str) else b"".join(args[:1])


def hashable(key: Any, depth: int = 0) -> Any:
    """A dict's key or a set's element, if hashing it is sure to end.

    Raises:
        CheckpointError: it is something else than text, a number, or a small tuple of those.
    """
    if key is None or isinstance(key, (str, bytes, float, torch.dtype, Unknown, Marker, np.integer, np.str_, np.bool_)):
        return key
    if isinstance(key, int) and abs(key) <= LARGEST_NUMBER:
        return key
    if isinstance(key, tuple) and depth < LARGEST_KEY[0] and len(key) <= LARGEST_KEY[1]:
        for part in key:
            hashable(part, depth + 1)
        return key
    raise CheckpointError(f"it has a {type(key).__name__} as a key; text, numbers and small tuples can be keys")


_CALLED: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _TensorRecord,
    "torch._utils._rebuild_tensor_v2": _TensorRecord,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.Size": lambda sizes=(): _tuple(sizes),
    "collections.OrderedDict": _pairs,
    "collections.defaultdict": lambda *_: {},
    "builtins.set": _set,
    "builtins.frozenset": lambda items=(): frozenset(_set(items)),
    "builtins.bytes": _nothing,
    "builtins.bytearray": lambda *args: bytearray(_nothing(*args)),
    "builtins.complex": lambda real, imag: complex(float(real), float(imag)),
    "builtins.slice": lambda *args: Unknown("slice"),
    "builtins.range": lambda *args: Unknown("range"),
    "_codecs.encode": _encode,
    "numpy.dtype": _DType,
    **{f"numpy.{core}.multiarray._reconstruct": _reconstruct for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
}
_PLAIN_TYPES = ("object", "dict", "list", "tuple", "int", "float", "bool", "str")
_MARKED = {
    *("numpy.ndarray", "torch.Tensor", "torch.nn.parameter.Parameter"),
    *(f"builtins.{name}" for name in _PLAIN_TYPES),
}
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}


class Budget:
    """How much may be made of a file: text, bytes and lists that are used again and again would fill all memory.

    Args:
        file: the whole of it.
    """

    def __init__(self, file: io.BytesIO) -> None:
        self.left = MOST_COPIES * file.getbuffer().nbytes + 2**20

    def spend(self, count: int) -> None:
        """Count bytes or elements.

        Raises:
            CheckpointError: they are too many.
        """
        self.left -= count
        if self.left < 0:
            raise CheckpointError(f"it makes more than {MOST_COPIES} times its size of its content")

    def spend_on(self, parts: Any) -> None:
        """Count what stands in a function's arguments or an object's state."""
        if isinstance(parts, tuple):
            self.spend(sum(len(part) for part in parts if isinstance(part, (str, bytes, bytearray, list, tuple))))


class _Steps(dict[int, Callable[[Any], None]]):
    """Opcodes' functions, of which so many may be asked for."""

    left = MOST_STEPS

    def __getitem__(self, opcode: int) -> Callable[[Any], None]:
        self.left -= 1
        if self.left < 0:
            raise CheckpointError(f"it has more than {MOST_STEPS} steps")
        return super().__getitem__(opcode)


class _Unpickler(pickle._Unpickler):  # Python's own in Python, whose opcodes can be replaced
    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: io.BytesIO, known: KnownClasses | None) -> None:
        super().__init__(file, encoding="latin1")
        steps = _Steps({**pickle._Unpickler.dispatch, **self.replaced})
        self.dispatch = steps  # type: ignore[misc]  # each reader's own, since it counts
        self.known, self.storages = known, dict[str, Storage]()
        self.budget = Budget(file)

    def find_class(self, module: str, name: str) -> Any:
        module = _PYTHON_2.get(module, module)
        full = f"{module}.{name}"
        if full in ("copyreg._reconstructor", "copyreg.__newobj__"):
            return Constructor(full, self._object)
        if full == "torch._tensor._rebuild_from_type_v2":
            return Constructor(full, lambda make, kind, args, state: self._made(make, args))
        if full in _CALLED:
            return Constructor(full, _CALLED[full])
        if full in _MARKED:
            return Marker(full)
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if module in ("torch", "torch.storage") and name in STORAGES:
            return Marker(name)
        if self.known is None:
            return Unknown(full)
        if kind := self.known(module, name):
            return Constructor(full, lambda *_: kind())
        raise CheckpointError(
            f"it asks for {full}, and only arrays (NumPy, scipy.sparse, chumpy) are read; a file from a source you "
            "trust does not hold it"
        )

    def persistent_load(self, pid: Any) -> Any:
        if isinstance(pid, tuple) and len(pid) > 1 and pid[0] == "module":
            return Unknown("torch.nn.Module")
        if not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage" and pid[5:] in ((), (None,))):
            raise CheckpointError("it points to something else than a storage of its own")
        _, kind, key, _, numel = pid[:5]
        if not (isinstance(kind, Marker) and kind.name in STORAGES and type(numel) is int and numel >= 0):
            raise CheckpointError(f"it has a storage of {getattr(kind, 'name', type(kind).__name__)}")
        return self.storages.setdefault(str(hashable(key)), Storage(STORAGES[kind.name], numel))

    def _object(self, kind: Any, *_: Any) -> Any:
        if isinstance(kind, Constructor) and self.known and isinstance(found := kind.make(), Record):
            return found
        if isinstance(kind, Unknown) or self.known is None:
            return Unknown(str(getattr(kind, "name", "")))
        raise CheckpointError(f"it makes an object of {getattr(kind, 'name', type(kind).__name__)} by copyreg")

    def _made(self, make: Any, args: Any) -> Any:
        if isinstance(make, Constructor) and isinstance(args, tuple):
            self.budget.spend_on(args)
            try:
                return make.make(*args)
            except CheckpointError:
                if self.known is None and make.make is _DType:
                    return Unknown(make.name)
                raise
        if isinstance(make, Unknown) or (isinstance(make, Marker) and self.known is None):
            return Unknown(make.name)
        raise CheckpointError(f"it calls {getattr(make, 'name', type(make).__name__)}")

    def _reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._made(self.stack[-1], args)

    def _newobj(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self._new(self.stack[-1], args)

    def _newobj_ex(self) -> None:
        self.stack.pop()
        self._newobj()

    def _new(self, kind: Any, args: Any) -> Any:
        return self._made(kind, args) if isinstance(kind, Constructor) else self._object(kind)

    def _inst(self) -> None:
        module, name = (self.readline()[:-1].decode("ascii") for _ in range(2))
        args = tuple(self.pop_mark())
        self.append(self._new(self.find_class(module, name), args))

    def _obj(self) -> None:
        kind, *args = self.pop_mark()
        self.append(self._new(kind, tuple(args)))

    def _build(self) -> None:
        state, built = self.stack.pop(), self.stack[-1]
        if isinstance(built, Record):
            self.budget.spend_on(state)
            built.state = state
        elif isinstance(built, StateDict):
            built._metadata = state.get("_metadata") if isinstance(state, dict) else None
        elif not isinstance(built, Unknown):
            raise CheckpointError(f"it changes the state of a {type(built).__name__}")

    def _append(self) -> None:
        value = self.stack.pop()
        self._extend([value])

    def _appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is list:
            target.extend(values)
        elif not isinstance(target, Unknown):
            raise CheckpointError(f"it appends to a {type(target).__name__}")

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def _setitems(self) -> None:
        self._update(self.pop_mark())

    def _update(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            target.update((hashable(key), value) for key, value in zip(items[::2], items[1::2], strict=True))
        elif not isinstance(target, Unknown):
            raise CheckpointError(f"it sets items of a {type(target).__name__}")

    def _dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._update(items)

    def _additems(self) -> None:
        items, target = self.pop_mark(), self.stack[-1]
        if isinstance(target, set):
            target.update(hashable(item) for item in items)
        elif not isinstance(target, Unknown):
            raise CheckpointError(f"it adds to a {type(target).__name__}")

    def _frozenset(self) -> None:
        self.append(frozenset(_set(self.pop_mark())))

    def _bytearray(self) -> None:
        size = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(size)))

    def _refuse(self) -> None:
        raise CheckpointError("it uses an extension or an outside buffer")

    replaced: Mapping[int, Callable[[Any], None]] = {
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _newobj,
        pickle.NEWOBJ_EX[0]: _newobj_ex,
        pickle.INST[0]: _inst,
        pickle.OBJ[0]: _obj,
        pickle.BUILD[0]: _build,
        pickle.APPEND[0]: _append,
        pickle.APPENDS[0]: _appends,
        pickle.SETITEM[0]: _setitem,
        pickle.SETITEMS[0]: _setitems,
        pickle.DICT[0]: _dict,
        pickle.ADDITEMS[0]: _additems,
        pickle.FROZENSET[0]: _frozenset,
        pickle.BYTEARRAY8[0]: _bytearray,
        **dict.fromkeys(
            (pickle.EXT1[0], pickle.EXT2[0], pickle.EXT4[0], pickle.NEXT_BUFFER[0], pickle.READONLY_BUFFER[0]), _refuse
        ),
    }


class RestrictedPickle:
    """The content of a pickle; a torch file's storages are filled between `__init__` and `plain`.

    Args:
        file: stands behind the pickle afterwards.
        known: module and name of a class -> its record; names that are nowhere known are then refused, and not
            `Unknown`.

    Attributes:
        storages: of a torch file, by key.

    Raises:
        CheckpointError: it asks for what is not known, or does with it what is not done; it is too large.
        Exception: it is damaged; Python's unpickler raises a dozen types.

    >>> RestrictedPickle(io.BytesIO(pickle.dumps({'a': [1, np.arange(2)], 'b': print}))).plain()
    {'a': [1, array([0, 1])], 'b': Unknown(name='builtins.print')}
    """

    def __init__(self, file: io.BytesIO, known: KnownClasses | None = None) -> None:
        reader = _Unpickler(file, known)
        self.content = reader.load()
        self.storages, self._budget = reader.storages, reader.budget

    def plain(self) -> Any:
        """The values in the place of the records.

        Raises:
            CheckpointError: too many values, too deep, or one inside itself.
        """
        return _Values(self._budget).plain(self.content)


class _Values:
    """Each value made once; how many there are counts as if each was made as often as it is reached."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.depth, self.made = 0, dict[int, tuple[Any, int, Any]]()  # id -> value, count, (what keeps the id alive)
        self.count = 0

    def plain(self, value: Any) -> Any:
        self.count += 1
        if not isinstance(value, (dict, list, tuple, Record)):
            return value
        if id(value) in self.made:
            found, count, _ = self.made[id(value)]
            if count < 0:
                raise CheckpointError("a part of it holds itself")
            self._spend(count)
            return found
        if self.depth >= DEEPEST:
            raise CheckpointError(f"it is nested more than {DEEPEST} deep")
        before, self.depth = self.count, self.depth + 1
        self.made[id(value)] = (None, -1, value)
        found = self._made(value)
        self.depth -= 1
        self._spend(0)
        self.made[id(value)] = (found, self.count - before, value)
        return found

    def _spend(self, count: int) -> None:
        self.count += count
        if self.count > MOST_VALUES:
            raise CheckpointError(f"it unfolds to more than {MOST_VALUES} values")

    def _made(self, value: Any) -> Any:
        if isinstance(value, Record):
            found = value.value(self.plain)
            arrays = (found,) if isinstance(found, np.ndarray) else getattr(found, "__dict__", {}).values()
            self.budget.spend(sum(array.nbytes for array in arrays if isinstance(array, np.ndarray)))  # SciPy's too
            return found
        if isinstance(value, StateDict):
            found = StateDict((key, self.plain(v)) for key, v in value.items())
            found._metadata = self.plain(value._metadata)
            return found
        if isinstance(value, dict):
            return {key: self.plain(v) for key, v in value.items()}
        return type(value)(self.plain(v) for v in value)
