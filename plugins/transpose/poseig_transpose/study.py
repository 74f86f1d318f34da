"""The study `attention`: is what a joint's cell attends to what the joint's prediction depends on?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from poseig_mm.settings_fields import checked, whole
from poseig_mm.studies.base import Study
from poseig_mm.studies.choice import chosen_joints, keep_picture
from poseig_mm.studies.joints import asked_joints, joint_columns, why_missing

if TYPE_CHECKING:
    from torch import Tensor

    from poseig_mm.store.reader import Store
    from poseig_mm.studies.base import StudyContext
    from poseig_mm.types import Finding, Section

__all__ = ["MEASURES", "Attention"]

MEASURES = ("rank", "shared")


@dataclass(frozen=True)
class Attention(Study):
    """The paper's dependency area of each joint beside its attribution map, and how alike they are.

    The dependency area is the row of a layer's attention matrix (mean over heads) that belongs to the cell of the
    joint's predicted position.  Both maps are compared on the cells of the feature map, the attribution as the share of
    its mass in each.  Any two maps of one person are somewhat alike, so the same is measured with the attention rows of
    the person's other joints (those whose predictions lie in other cells).

    Rows, a joint that was asked for: `column`, `row` of the cell; `rank`, Spearman's correlation of the cells, -1 to 1;
    `shared`, the mass both maps have in common, 0 to 1; `rank_other`, `shared_other`, their means over the other
    joints; `rank_gain`, `shared_gain`, own minus others.  `reason`: 'not_pixels', 'no_prediction' (no peak),
    'single_cell' (no other joint to compare with; `rank` and `shared` are there), or why there is no map.  A model
    without a TransPose encoder has no rows.
    """

    name: ClassVar[str] = "attention"
    # of the encoder; the last one, as in the paper
    layer: int = checked(-1, "a whole number, e.g. -1 for the last layer", lambda v: type(v) is int)
    joints: int = whole(4, least=1)  # most joints in a person's picture
    pictures: int = whole(6, least=0)  # persons whose maps are kept for the report

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """A row a joint with a map; joints that were not asked for have none."""
        import torch

        from .attention import cells_of, has_attention

        if not has_attention(context.adapter.model):
            return ()
        asked = asked_joints(finding.attribution.reasons)
        points = finding.prediction.detach().double().cpu()
        if context.unit != "px" or points.shape[-1] != 2:
            return [_row(finding, context, k, reason="not_pixels") for k in asked]
        placed = _placed(points, context.adapter.input_size)
        points = points.where(placed[:, None], torch.nan)
        reasons = ["no_prediction" if r == "not_visible" else r for r in why_missing(finding, points)]
        grid = context.adapter.model.neck.in_featuremap_size
        cells = cells_of(points.nan_to_num(), context.adapter.input_size, grid)  # (K, 2)
        areas = self._areas(finding, context, cells, grid)
        maps = finding.attribution.maps.detach().double().cpu()
        known = _compared(maps, areas, cells, placed, grid)
        if self.pictures and (shown := [k for k in chosen_joints(finding, self.joints) if not reasons[k]]):
            from .sheet import draw_sheet

            image = draw_sheet(finding, areas, maps, shown, known["rank"], context.groups.keypoint_names)
            keep_picture(context, self.name, finding.sample.sample_id, image, self.pictures)
        rows = []
        for k in asked:
            if reasons[k]:
                rows.append(_row(finding, context, k, reason=reasons[k]))
                continue
            numbers = {name: float(values[k]) for name, values in known.items()}
            place = {"column": int(cells[k, 0]), "row": int(cells[k, 1])}
            reason = "" if math.isfinite(numbers["rank_other"]) else "single_cell"
            rows.append(_row(finding, context, k, **place, **numbers, reason=reason))
        return rows

    def _areas(self, finding: Finding, context: StudyContext, cells: Tensor, grid: tuple[int, int]) -> Tensor:
        """(K, h, w) dependency areas, on the CPU."""
        import torch

        from .attention import attention_matrices, dependency_maps

        model = context.adapter.model
        image = finding.sample.image[None].to(model.neck.reduce.weight)
        with torch.no_grad(), attention_matrices(model, [self.layer]) as found:
            model.extract_feat(image)
        return dependency_maps(found[self.layer][0].double().cpu(), cells, grid)

    def section(self, store: Store) -> Section | None:
        """Likeness by joint, own and others', with intervals; the kept pictures."""
        from .section import attention_section

        return attention_section(store, self.name, self.layer)


def _placed(points: Tensor, input_size: tuple[int, int]) -> Tensor:
    """(K,) bool: points (K, 2) in the input, or not farther than MMPose's quarter step (1 px at stride 4) from its
    edge.

    MMPose puts a joint without a peak a whole heatmap pixel outside.
    """
    inside = (points >= -1) & (points <= points.new_tensor(input_size))  # NaN: not inside
    return inside.all(1)


def _compared(maps: Tensor, areas: Tensor, cells: Tensor, placed: Tensor, grid: tuple[int, int]) -> dict[str, Tensor]:
    """Likeness of attribution (K, H, W) and attention (K, h, w): name -> (K,)."""
    from .attention import pooled
    from .likeness import mean_of_others, rank_correlations, shared_masses

    shares = pooled(maps, grid)
    other = (cells[:, None] != cells[None]).any(-1) & placed[None]
    found = {}
    for name, likeness in zip(MEASURES, (rank_correlations, shared_masses), strict=True):
        values = likeness(shares, areas)  # (K, K): attribution of a joint, attention of a joint
        found[name] = values.diagonal()
        found[f"{name}_other"] = mean_of_others(values, other)
        found[f"{name}_gain"] = found[name] - found[f"{name}_other"]
    return found


def _row(finding: Finding, context: StudyContext, joint: int, **known: Any) -> dict[str, Any]:
    """A row with all columns."""
    numbers = (f"{name}{suffix}" for name in MEASURES for suffix in ("", "_other", "_gain"))
    nothing = {"column": -1, "row": -1} | dict.fromkeys(numbers, math.nan) | {"reason": ""}
    return joint_columns(finding, context, joint) | nothing | known
