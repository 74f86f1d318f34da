"""The built-in indices, as a plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..markers import hookimpl

if TYPE_CHECKING:
    from .base import Index


@hookimpl
def poseig_indices() -> Sequence[Index]:
    """DI, FI, LI and PA-EPE (a number a joint), RI (a number a pair of joints), and what is there when asked for."""
    from .aligned import AlignedError
    from .builtin import BUILTIN_INDICES
    from .optional import ForegroundLogOdds, ScaledDiffusionIndex

    return [*(index() for index in BUILTIN_INDICES), AlignedError(), ScaledDiffusionIndex(), ForegroundLogOdds()]
