"""What a study is: something asked of many samples, whose answer is a table and a section of the report."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from ..adapters.base import CoordinateAdapter
    from ..store.reader import Store
    from ..types import Attribution, Sample

__all__ = ["Study"]


class Study(ABC):
    """Base of all studies; override one of the two methods.

    Rows are flat mappings (str, int, float, bool); they land in `studies/<name>/` of the work dir.
    """

    name: ClassVar[str]

    def sample_rows(
        self, sample: Sample, adapter: CoordinateAdapter, attribution: Attribution
    ) -> Sequence[Mapping[str, Any]]:
        """Rows that need the model, for one sample (attribution: B = 1); called while the run goes on."""
        return ()

    def store_rows(self, store: Store) -> Sequence[Mapping[str, Any]]:
        """Rows that need only the tables of the finished run; called once at its end, and again on every resume."""
        return ()
