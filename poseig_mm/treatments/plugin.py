"""The built-in treatments, as a plugin like any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..markers import hookimpl

if TYPE_CHECKING:
    from .base import Treatment


@hookimpl
def poseig_treatments() -> Sequence[Treatment]:
    """What can be done about a diagnosis without a plugin."""
    from .shortcut_augmentation.treatment import ShortcutAugmentation

    return (ShortcutAugmentation(),)
