"""What kind of error each joint's prediction is, after Ronchi & Perona, crossed with the indices and with AP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl

from ...store.reader import Store
from ...types import Conclusion, Finding, Section
from ..base import Study, StudyContext
from ..section_parts import study_rows
from .rows import ErrorKindsSettings, area_row, joint_kinds, kind_rows, person_rows


@dataclass(frozen=True)
class ErrorKinds(ErrorKindsSettings, Study):
    """Rows: one a person, its box and the area that makes px into similarities; at the run's end one a joint.

    `joint_kinds(store)` gives the latter beside the table of joints.
    """

    name: ClassVar[str] = "error_kinds"
    needs_annotations: ClassVar[bool] = True
    needs_sigmas: ClassVar[bool] = True
    needs_maps: ClassVar[bool] = False

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """The person's area and box."""
        return [area_row(finding, context.unit)]

    def store_rows(self, store: Store) -> Sequence[Mapping[str, Any]]:
        """The kind of each joint, which may depend on other persons of the image."""
        rows = study_rows(store, self.name)
        return kind_rows(store, person_rows(rows), self.sigma) if len(rows) else ()

    def joint_kinds(self, store: Store) -> pl.DataFrame:
        """The table of joints with `ks` and `kind`; null kind: not visible, or without an area.

        Raises:
            StoreError: the study has no rows in this run.
        """
        return joint_kinds(store, self.name, self)

    def conclusions(self, store: Store) -> Sequence[Conclusion]:
        """What costs AP: kinds of errors, and groups of persons."""
        from .conclusions import error_kinds_conclusions

        return error_kinds_conclusions(store, self.name, self)

    def section(self, store: Store) -> Section:
        """Kinds by joint and group, the indices of each, and what each costs in AP."""
        from .section import error_kinds_section

        return error_kinds_section(store, self.name, self)
