"""The built-in studies, as a plugin like any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..plugin.markers import hookimpl

if TYPE_CHECKING:
    from .base import Study

__all__ = ["poseig_studies"]


@hookimpl
def poseig_studies() -> Sequence[Study]:
    """Every table and figure of the paper, and the tests of the maps themselves."""
    from .easy_hard import EasyHard
    from .error_relation import ErrorRelation
    from .groups import Groups

    return (Groups(), EasyHard(), ErrorRelation())
