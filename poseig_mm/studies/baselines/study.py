"""What a baseline hides (Fig. A): persons painted black and white, with black, white and blurry baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...settings_fields import whole
from ...store.reader import Store
from ...types import Finding, Section
from ..base import COMPARED_MAPS, Study, StudyContext
from ..choice import chosen_joints, keep_picture, takes_part
from .rows import BASELINES, PAINTINGS, PATHS, empty_row, errors_without_evidence, painted, person_rows, why_not


@dataclass(frozen=True)
class Baselines(Study):
    """How much of a map falls on the person when the person is painted in one colour, for each baseline.

    The pixels of the person's mask (not dilated) become black or white; the rest, and what is explained, stays.  A
    straight path gives a pixel (x - x') times a mean gradient, so what has the baseline's colour gets exactly 0: the
    share of the map on a person painted black is 0 with the black baseline, by construction, and that is its bias.  A
    blurry baseline is blind to what blurring leaves as it is: the inside of a painted area that is wider than its
    kernel.

    Rows, a sample x painting x baseline: `n` joints (those that have a map in all three paintings), their mean `share`
    of the map's mass on the mask, `share_original` (the same joints in the original image), mean `di` and `map_error`;
    `area` is the mask's share of the input.  `epe` and `epe_baseline`, which need no mask: the mean error of the
    person's visible joints on the image, and on an input that is the baseline and nothing else.  `reason`: 'no_mask',
    'empty_mask', 'not_visible', 'no_map'.
    """

    name: ClassVar[str] = "baselines"
    needs_annotations: ClassVar[bool] = True
    images_only: ClassVar[bool] = True
    nodes: int = whole(16, least=1)  # gradients a map, midpoint rule: enough for a share of the mass, see `map_error`
    joints: int = whole(4, least=1)  # most joints a person; see choice.chosen_joints
    every: int = whole(1, least=1)  # one in so many persons takes part; each costs about 9 * nodes * joints gradients
    pictures: int = whole(6, least=0)  # persons whose maps are kept for the report

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """Nine rows a person."""
        sample = finding.sample
        if not takes_part(sample.sample_id, self.every):
            return ()
        joints, errors = chosen_joints(finding, self.joints), errors_without_evidence(finding, context)
        if reason := why_not(sample, joints):
            return [
                {**empty_row(sample, painting, baseline, reason), **errors[baseline]}
                for painting in PAINTINGS
                for baseline in BASELINES
            ]
        images = {painting: painted(sample, painting, context) for painting in PAINTINGS}
        names = [context.groups.keypoint_names[k] for k in joints]
        maps = {
            (painting, baseline): context.attribute(
                sample, image=image, joints=names, nodes=self.nodes, **COMPARED_MAPS, **PATHS[baseline]
            )
            for painting, (image, _) in images.items()
            for baseline in BASELINES
        }
        if self.pictures:
            from .sheet import draw_sheet

            shown = {painting: display for painting, (_, display) in images.items()}
            keep_picture(context, self.name, sample.sample_id, draw_sheet(shown, maps, sample, joints), self.pictures)
        return [{**row, **errors[row["baseline"]]} for row in person_rows(sample, maps, joints)]

    def section(self, store: Store) -> Section | None:
        """The shares with intervals, and the kept pictures."""
        from .section import baselines_section

        return baselines_section(store, self.name)
