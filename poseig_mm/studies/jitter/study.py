"""Jitter: which joints tremble or jump from frame to frame, and where does their evidence move to?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...store.reader import Store
from ...types import Finding, Section
from ..base import Study, StudyContext
from .rows import JitterSettings, evidence_rows


@dataclass(frozen=True)
class Jitter(JitterSettings, Study):
    """Of a video without annotations: how far each joint is from the middle of its neighbours in time.

    Jitter of a joint at frame t, in px of the picture: |p(t) - (p(t - 1) + p(t + 1)) / 2|, half the second difference,
    which is 0 for a joint at rest or of constant speed.  A jump at t: the step |p(t) - p(t - 1)| is above the joint's
    median step by more than `jump` of the person's size.  Steps are between frames that were taken one after the other
    (`every`) of one person, who is followed by the overlap of boxes, and never over a cut.

    Rows, one a frame, person and joint: `video`, `frame`, `track` (the person), `x`, `y` of the prediction and
    `evidence_x`, `evidence_y`, the centre of mass of the map, in px of the picture; `near`, the share of the map within
    `radius` of the person's size around the prediction; `size`, the root of the area of the box around the person's
    joints.  `reason`: why there is no map.  Jitter and jumps are made of these rows, in the section.
    """

    name: ClassVar[str] = "jitter"
    images_only: ClassVar[bool] = True
    needs_frames: ClassVar[bool] = True

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """A row a joint of this frame."""
        return evidence_rows(finding, context, self.radius)

    def section(self, store: Store) -> Section | None:
        """Jitter by joint, the jumps with what moved, indices over time, and maps before and after each jump."""
        from .section import jitter_section

        return jitter_section(store, self.name, self)
