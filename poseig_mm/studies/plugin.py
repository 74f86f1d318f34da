"""The built-in studies, as a plugin like any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..markers import hookimpl

if TYPE_CHECKING:
    from .base import Study


@hookimpl
def poseig_studies() -> Sequence[Study]:
    """Every table and figure of the paper, and the tests of the maps themselves."""
    from .baselines.study import Baselines
    from .dependency.study import Dependency
    from .easy_hard.study import EasyHard
    from .error_kinds.study import ErrorKinds
    from .error_relation.study import ErrorRelation
    from .groups.study import Groups
    from .insertion_deletion.study import InsertionDeletion
    from .inversion.study import Inversion
    from .jitter.study import Jitter
    from .output_space.study import OutputSpace
    from .perturbation.study import Perturbation
    from .published_procedure.study import PublishedProcedure
    from .randomization.study import Randomization
    from .sanity.study import Sanity
    from .shortcuts.study import Shortcuts

    of_tables = (Groups(), EasyHard(), ErrorRelation(), ErrorKinds(), Inversion(), Shortcuts(), Jitter())
    of_the_model = (Perturbation(), Dependency(), InsertionDeletion(), Randomization(), Baselines(), OutputSpace())
    return (Sanity(), *of_tables, *of_the_model, PublishedProcedure())
