"""What is explained (Fig. B): the same joint under several output spaces and likelihood factors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...settings_fields import checked, whole
from ...store.reader import Store
from ...types import Finding, Section
from ..base import Study, StudyContext
from ..choice import chosen_joints, keep_picture, takes_part
from .rows import index_names, index_rows, maps_of, targets_of


def _positive_numbers(values: Any) -> bool:
    return (
        len(values) > 0
        and not isinstance(values, str)
        and all(type(v) in (int, float) and 0 < v < math.inf for v in values)
    )


@dataclass(frozen=True)
class OutputSpace(Study):
    """DI, FI and LI of one joint's map, explained in the space of coordinates or of heatmaps.

    Coordinates: exp(-factor * distance in heatmap px), minus the distance, minus its square.  Heatmap: the joint's
    heatmap at the annotated point (bilinear), and minus its mean squared error against a Gaussian of 2 heatmap px
    there.  Only models with heatmaps have these, and only those trained towards Gaussians the last.

    Rows, a sample x joint x target: `space`, `function`, `factor` (NaN where it has none), `di`, `fi`, `li`,
    `residual_rel` (completeness), `map_error`.  `reason`: 'no_heatmaps', 'no_gaussian_target', or why there is no map
    or FI.
    """

    name: ClassVar[str] = "output_space"
    images_only: ClassVar[bool] = True
    # alpha of exp_l2 per heatmap px; 0.3 is the published one
    factors: Sequence[float] = checked((0.1, 0.3, 1.0), "positive numbers, e.g. (0.1, 0.3)", _positive_numbers)
    nodes: int = whole(32, least=1)  # gradients a map, midpoint rule on the default blur path
    joints: int = whole(2, least=1)  # most joints a person; see choice.chosen_joints
    # one in so many persons takes part; each costs (len(factors) + 4) * nodes * joints gradients
    every: int = whole(1, least=1)
    pictures: int = whole(6, least=0)  # persons whose maps are kept for the report

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """A row for each chosen joint and target."""
        sample = finding.sample
        joints = chosen_joints(finding, self.joints) if takes_part(sample.sample_id, self.every) else []
        if not joints:
            return ()
        maps = {t: maps_of(t, finding, context, joints, self.nodes) for t in targets_of(self.factors)}
        rows = [row for t, of_target in maps.items() for row in index_rows(t, of_target, finding, context, joints)]
        if self.pictures:
            from .sheet import draw_sheet

            sheet = draw_sheet(sample, context.groups.keypoint_names, maps, rows, index_names(finding))
            keep_picture(context, self.name, sample.sample_id, sheet, self.pictures)
        return rows

    def section(self, store: Store) -> Section | None:
        """The indices by target, with intervals, and how far they are from the default's."""
        from .section import output_space_section

        return output_space_section(store, self.name)
