"""Do the maps of trunk, branch and leaf joints differ (Table C, C.2, Fig. F-H)?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...store.reader import Store
from ...summary.measures import measures
from ...types import Section
from ..base import Study
from .rows import group_table


@dataclass(frozen=True)
class Groups(Study):
    """Every measure of a run by joint group; the groups are the data set's."""

    name: ClassVar[str] = "groups"
    needs_maps: ClassVar[bool] = False

    def store_rows(self, store: Store) -> Sequence[dict[str, Any]]:
        """`group_table` of the whole run."""
        joints = store.joints()
        return group_table(joints, [m.name for m in measures(store, joints)])

    def section(self, store: Store) -> Section | None:
        """Tables C and C.2, the differences, and a figure of the means."""
        from .section import groups_section

        return groups_section(store, self.name)
