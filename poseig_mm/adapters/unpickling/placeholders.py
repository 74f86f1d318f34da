"""What stands in a pickle's place of functions, classes and objects, and what may be a key."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...errors import CheckpointError

LARGEST_KEY = (4, 16)  # depth and length of a tuple that is hashed
LARGEST_NUMBER = 2**60  # that is hashed: larger ones can be made to collide
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
Plain = Callable[[Any], Any]


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


def short(value: Any) -> str:
    """A value of the file for a message; whole, it may be without end."""
    return _SHORT.repr(value)


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


def sequence(value: Any, what: str = "a shape", most: int = 64) -> tuple[Any, ...]:
    """A list or tuple that a constructor was given.

    Raises:
        CheckpointError: it is something else, or longer than `most`.
    """
    if not isinstance(value, (tuple, list)) or len(value) > most:
        raise CheckpointError(f"it has a {type(value).__name__} where {what} belongs")
    return tuple(value)
