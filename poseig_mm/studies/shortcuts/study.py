"""Shortcuts: is a joint read from itself, or from its parent, its partner, a mark, the background?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...store.reader import Store
from ...types import Conclusion, Finding, Section
from ..base import Study, StudyContext
from .rows import ShortcutsSettings, evidence_rows


@dataclass(frozen=True)
class Shortcuts(ShortcutsSettings, Study):
    """Where the evidence of each joint lies, and what the joint is therefore likely read from.

    Rows, one a joint that has a map: `size` of the person and `radius` (input px); `error` of the prediction (px); for
    each place of `shortcuts.evidence` the map's `share_*` and the place's `area_*` (each set sums to 1; share over
    area is the density, 1 = no preference); `parent_apart`, `partner_apart`: whether that joint is visible and its disc
    does not overlap the joint's own.  Of the densest spots, discs of the same radius, the first being the densest:
    offset from the joint (`spot1_x`, `spot1_y`, input px), `spot1_share`, `spot1_area`, and the place of its middle
    (`spot1_place`). `invertible`, `inverted`: whether joint and partner are both visible and apart, and whether the
    prediction is within a radius of the partner and not of the joint.  `reason`: 'no_mask' or 'empty_mask' where person
    and background are not told apart (they are 'unknown'); a row without numbers has 'no_place', 'no_size', or why it
    has no map.
    """

    name: ClassVar[str] = "shortcuts"
    images_only: ClassVar[bool] = True

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """A row a joint with a map; joints that were not asked for have none."""
        return evidence_rows(finding, context, self.radius)

    def conclusions(self, store: Store) -> Sequence[Conclusion]:
        """Joints that are read from elsewhere than themselves."""
        from .conclusions import shortcuts_conclusions

        return shortcuts_conclusions(store, self.name, self)

    def section(self, store: Store) -> Section | None:
        """Joints that are not read from themselves, the shares, and mean maps around suspicious joints."""
        from .section import shortcuts_section

        return shortcuts_section(store, self.name, self)
