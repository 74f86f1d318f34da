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
    from .baselines import Baselines
    from .easy_hard import EasyHard
    from .error_kinds import ErrorKinds
    from .error_relation import ErrorRelation
    from .groups import Groups
    from .insertion_deletion import InsertionDeletion
    from .inversion import Inversion
    from .output_space import OutputSpace
    from .perturbation import Perturbation
    from .randomization import Randomization
    from .sanity import Sanity
    from .shortcuts import Shortcuts

    return (
        Sanity(),
        Groups(),
        EasyHard(),
        ErrorRelation(),
        ErrorKinds(),
        Inversion(),
        Shortcuts(),
        Perturbation(),
        InsertionDeletion(),
        Randomization(),
        Baselines(),
        OutputSpace(),
    )
