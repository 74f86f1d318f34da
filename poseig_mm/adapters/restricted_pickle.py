"""Pickles read without running what is in them, and without making anything but data.

A pickle is a program: it names functions and calls them.  Here a name never becomes the function or class of that name:
it becomes one of our own constructors (`Constructor`), which look at what they are given; a bare `Marker`; or an inert
`Unknown`.  What the program builds are our own records, whose values are taken out when it has ended, within limits.
Of the opcodes, those that call, that set state or that hash a value are replaced; the rest is Python's own.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import CheckpointError
from .unpickling.arrays import DTypeRecord
from .unpickling.known_names import CALLED, MARKED, PYTHON_2, made_set
from .unpickling.limits import Budget, Steps, Values
from .unpickling.placeholders import Constructor, Marker, Plain, Record, StateDict, Unknown, hashable, short
from .unpickling.storages import DTYPES, STORAGES, Storage

__all__ = ["KnownClasses", "Plain", "Record", "RestrictedPickle", "StateDict", "Unknown", "hashable", "short"]

KnownClasses = Callable[[str, str], "type[Record] | None"]


class _Unpickler(pickle._Unpickler):  # Python's own in Python, whose opcodes can be replaced
    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: io.BytesIO, known: KnownClasses | None) -> None:
        super().__init__(file, encoding="latin1")
        steps = Steps({**pickle._Unpickler.dispatch, **self.replaced})
        self.dispatch = steps  # type: ignore[misc]  # each reader's own, since it counts
        self.known, self.storages = known, dict[str, Storage]()
        self.budget = Budget(file)

    def find_class(self, module: str, name: str) -> Any:
        module = PYTHON_2.get(module, module)
        full = f"{module}.{name}"
        if full in ("copyreg._reconstructor", "copyreg.__newobj__"):
            return Constructor(full, self._object)
        if full == "torch._tensor._rebuild_from_type_v2":
            return Constructor(full, lambda make, kind, args, state: self._made(make, args))
        if full in CALLED:
            return Constructor(full, CALLED[full])
        if full in MARKED:
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
                if self.known is None and make.make is DTypeRecord:
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
        self.append(frozenset(made_set(self.pop_mark())))

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

    >>> import numpy as np
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
        return Values(self._budget).plain(self.content)
