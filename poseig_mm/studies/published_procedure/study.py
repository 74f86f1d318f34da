"""The published procedure's doubtful choices, each taken back by itself on the same maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...store.reader import Store
from ...types import Finding, Section
from ..base import Study, StudyContext
from .rows import person_rows


@dataclass(frozen=True)
class PublishedProcedure(Study):
    """What the numbers of a run would be without the choices of `preset='published'`, which switches this study on.

    Rows, a joint with a map: `moved`, how far the reference point is from the truth, and `epe_truth`, how far the
    model's own decoding is, both in the model's unit; `fi_own_mask`, FI on the person's own mask; `di_image`,
    `fi_image` and `li_image`, over the image's own pixels; `li_truth`, LI with the exact Gaussian around the truth;
    `fi_mended` and `li_mended`, with all of that.  The maps are the run's.
    """

    name: ClassVar[str] = "published_procedure"
    needs_annotations: ClassVar[bool] = True
    images_only: ClassVar[bool] = True

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """A row a joint with a map; no map is made."""
        return person_rows(finding, context)

    def section(self, store: Store) -> Section | None:
        """Each choice, and what it does to this run."""
        from .section import published_section

        return published_section(store, self.name)
