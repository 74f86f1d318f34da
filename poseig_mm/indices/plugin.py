"""The built-in indices, as a plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..markers import hookimpl

if TYPE_CHECKING:
    from .base import Index


@hookimpl
def poseig_indices() -> Sequence[Index]:
    """DI, FI, LI and PA-EPE (a number a joint) and RI (a number a pair of joints)."""
    from .aligned import AlignedError
    from .builtin import BUILTIN_INDICES

    return [*(index() for index in BUILTIN_INDICES), AlignedError()]
