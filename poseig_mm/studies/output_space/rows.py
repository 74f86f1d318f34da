"""What is asked of a person: the indices of a joint's map under every target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...types import Attribution, Finding
from ..base import COMPARED_MAPS, StudyContext
from ..joints import joint_columns

if TYPE_CHECKING:
    from torch import Tensor

    from ...adapters.base import CoordinateAdapter


SIGMA = 2.0  # heatmap px, of the Gaussian that heatmaps are trained towards
COMMON_STRIDE = 4.0  # input px per heatmap px where the model has no heatmaps (method section 2)
PUBLISHED_FACTOR = 0.3  # alpha per heatmap px


@dataclass(frozen=True)
class Target:
    """One way to make a scalar of a joint."""

    space: str  # 'coordinates' | 'heatmap'
    function: str  # a likelihood of coordinates, or 'value' | 'mse' of a heatmap
    factor: float = math.nan  # alpha per heatmap px, of exp_l2

    @property
    def title(self) -> str:
        """In few words.

        >>> Target('coordinates', 'exp_l2', 0.3).title, Target('heatmap', 'mse').title
        ('exp_l2, 0.3', 'heatmap mse')
        """
        if self.space == "heatmap":
            return f"heatmap {self.function}"
        return self.function if math.isnan(self.factor) else f"{self.function}, {self.factor:g}"


def targets_of(factors: Sequence[float]) -> tuple[Target, ...]:
    """Every target of the study, in the order of its tables; a factor given twice counts once."""
    return (
        *(Target("coordinates", "exp_l2", factor) for factor in dict.fromkeys(map(float, factors))),
        *(Target("coordinates", name) for name in ("neg_l2", "neg_squared_l2")),
        *(Target("heatmap", name) for name in ("value", "mse")),
    )


def maps_of(
    target: Target, finding: Finding, context: StudyContext, joints: Sequence[int], nodes: int
) -> Attribution | str:
    """Maps of some joints of a person for a target, or the reason why there are none."""
    explain = _in_coordinates if target.space == "coordinates" else _in_heatmaps
    return explain(target, finding, context, joints, nodes)


def _in_coordinates(
    target: Target, finding: Finding, context: StudyContext, joints: Sequence[int], nodes: int
) -> Attribution:
    settings: dict[str, Any] = {}
    if target.function == "exp_l2":
        if context.unit == "px":
            settings["alpha"] = target.factor / (context.adapter.stride or COMMON_STRIDE)
        else:  # the published one is what goes with the model's own errors
            settings["alpha"] = target.factor / PUBLISHED_FACTOR * context.alpha
    return context.attribute(
        finding.sample,
        joints=[context.groups.keypoint_names[k] for k in joints],
        nodes=nodes,
        likelihood=target.function,
        likelihood_settings=settings,
        path="blur",
        path_settings={},
        **COMPARED_MAPS,
    )


def _in_heatmaps(
    target: Target, finding: Finding, context: StudyContext, joints: Sequence[int], nodes: int
) -> Attribution | str:
    """Maps of a scalar of the joint's heatmap, or the reason why there are none."""
    import torch

    from ...functional.maps import person_of
    from ...functional.path_attribution import path_attribution
    from .heatmap_targets import heatmap_value, negative_heatmap_mse

    adapter, sample = context.adapter, finding.sample
    parameter = next(adapter.model.parameters())
    image = sample.image[None].to(parameter)
    with torch.no_grad():
        heatmaps = adapter(image).heatmaps
    if heatmaps is None:
        return "no_heatmaps"
    if target.function == "mse" and not _trained_on_gaussians(adapter):
        return "no_gaussian_target"
    if sample.pixels is None:
        return "no_place"
    points = heatmap_points(sample.pixels[None].to(image), adapter, (heatmaps.shape[-1], heatmaps.shape[-2]))
    asked = torch.zeros(1, len(sample.keypoints), dtype=torch.bool, device=image.device)
    asked[0, list(joints)] = True

    def scalars(images: Tensor) -> Tensor:
        maps = adapter(images).heatmaps
        assert maps is not None
        at = points.expand(len(images), -1, -1)
        value = heatmap_value(maps, at) if target.function == "value" else negative_heatmap_mse(maps, at, SIGMA)
        return value[..., None]  # (B, K, 1)

    attribution = path_attribution(
        scalars,
        image,
        image.new_zeros(1, len(sample.keypoints), 1),
        path="blur",
        quadrature="midpoint",
        nodes=nodes,
        likelihood=lambda coords, reference: coords[..., 0],
        joints=asked,
    )
    return person_of(attribution, 0)


def heatmap_points(points: Tensor, adapter: CoordinateAdapter, size: tuple[int, int]) -> Tensor:
    """Points (B, K, D) in input px -> (B, K, 2) in heatmap px, by the codec's own grid, else by proportion.

    Args:
        points: x and y first.
        adapter: of the model; its `grid`, where it has one, says input px = (heatmap px + shift) * scale.
        size: (w, h) of the heatmap.
    """
    grid = getattr(adapter, "grid", None)
    if grid is not None:
        return points[..., :2] / points.new_tensor(grid.scale) - float(grid.shift)
    return points[..., :2] * points.new_tensor(size) / points.new_tensor(adapter.input_size)


def _trained_on_gaussians(adapter: CoordinateAdapter) -> bool:
    """Whether heatmaps have peak-1 Gaussians for targets; not an integral head's, Megvii's, UDP's combined ones."""
    return (
        adapter.name == "heatmap"
        and not getattr(adapter, "combined", False)
        and getattr(adapter, "kind", "") in ("MSRAHeatmap", "UDPHeatmap")
    )


def index_rows(
    target: Target, maps: Attribution | str, finding: Finding, context: StudyContext, joints: Sequence[int]
) -> list[dict[str, Any]]:
    """A row for each of some joints with the run's indices of a joint, from what `maps_of` gave."""
    about = {"space": target.space, "function": target.function, "factor": target.factor}
    names = index_names(finding)
    indices = {} if isinstance(maps, str) else context.indices(finding.sample, maps)
    rows = []
    for k in joints:
        row = {**joint_columns(finding, context, k), **about}
        if isinstance(maps, str):
            rows.append({**row, **dict.fromkeys((*names, "residual_rel", "map_error"), math.nan), "reason": maps})
            continue
        values = {name: float(indices[name][k]) for name in names}
        trust = {"residual_rel": float(maps.residual_rel[k]), "map_error": float(maps.map_error[k])}
        reason = maps.reasons[k] or (finding.reasons[k] if any(map(math.isnan, values.values())) else "")
        rows.append({**row, **values, **trust, "reason": reason})
    return rows


def index_names(finding: Finding) -> list[str]:
    """The run's indices of a joint."""
    return [name for name, value in finding.indices.items() if value.ndim == 1]
