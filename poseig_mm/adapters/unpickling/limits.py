"""How much a pickle may do and make: steps, bytes, values, depth."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import CheckpointError
from .placeholders import Record, StateDict

MOST_STEPS = 10_000_000  # opcodes of a pickle; a checkpoint of 2000 tensors has some 50 000
MOST_VALUES = 10_000_000  # of the content, each counted as often as it is reached
DEEPEST = 100  # containers inside one another
MOST_COPIES = 8  # of a file's bytes, in all that is made of them, and a MiB


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


class Steps(dict[int, Callable[[Any], None]]):
    """Opcodes' functions, of which so many may be asked for."""

    left = MOST_STEPS

    def __getitem__(self, opcode: int) -> Callable[[Any], None]:
        self.left -= 1
        if self.left < 0:
            raise CheckpointError(f"it has more than {MOST_STEPS} steps")
        return super().__getitem__(opcode)


class Values:
    """Each value made once; how many there are counts as if each was made as often as it is reached."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.depth, self.made = 0, dict[int, tuple[Any, int, Any]]()  # id -> value, count, (what keeps the id alive)
        self.count = 0

    def plain(self, value: Any) -> Any:
        """What the value of the pickle stands for.

        Raises:
            CheckpointError: too many values, too deep, or one inside itself.
        """
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
