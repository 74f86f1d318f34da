"""Where do maps look on persons the model finds hard (Table D, C.3)?  Persons ranked by their mean error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...store.reader import Store
from ...summary.measures import measures
from ...types import Conclusion, Section
from ..base import Study
from .rows import EasyHardSettings, easy_hard_table


@dataclass(frozen=True)
class EasyHard(EasyHardSettings, Study):
    """Hard persons minus easy persons, for every measure and group."""

    name: ClassVar[str] = "easy_hard"
    needs_annotations: ClassVar[bool] = True

    def store_rows(self, store: Store) -> Sequence[dict[str, Any]]:
        """`easy_hard_table` of the whole run."""
        joints = store.joints()
        return easy_hard_table(joints, [m.name for m in measures(store, joints)], self)

    def conclusions(self, store: Store) -> Sequence[Conclusion]:
        """The index that tells hard persons from easy ones."""
        from .conclusions import easy_hard_conclusions

        return easy_hard_conclusions(store, self.name, self)

    def section(self, store: Store) -> Section | None:
        """Tables D and C.3, and a figure of both."""
        from .section import easy_hard_section

        return easy_hard_section(store, self.name, self)
