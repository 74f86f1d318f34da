"""Do an index and the error go together (Fig. E)?  Correlations per joint, per group, over all joints and persons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...store.reader import Store
from ...summary.measures import measures
from ...types import Conclusion, Section
from ..base import Study
from .rows import correlation_table


@dataclass(frozen=True)
class ErrorRelation(Study):
    """Each index of a run against the end-point error."""

    name: ClassVar[str] = "error_relation"
    needs_annotations: ClassVar[bool] = True

    def store_rows(self, store: Store) -> Sequence[dict[str, Any]]:
        """`correlation_table` of the whole run."""
        joints = store.joints()
        return correlation_table(joints, [m.name for m in measures(store, joints) if m.name != "epe"])

    def conclusions(self, store: Store) -> Sequence[Conclusion]:
        """The index that tells large errors from small ones."""
        from .conclusions import error_relation_conclusions

        return error_relation_conclusions(store, self.name)

    def section(self, store: Store) -> Section | None:
        """The correlations, and a figure of the indices over the error."""
        from .section import error_relation_section

        return error_relation_section(store, self.name)
