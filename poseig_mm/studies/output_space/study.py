"""What is explained (Fig. B): the same joint under several output spaces and likelihood factors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import ConfigError
from ..base import Study
from ..choice import check_counts, chosen_joints, keep_picture, takes_part
from ..joints import joint_columns

if TYPE_CHECKING:
    from torch import Tensor

    from ...adapters.base import CoordinateAdapter
    from ...store.reader import Store
    from ...types import Attribution, Finding, Section
    from ..base import StudyContext

__all__ = ["OutputSpace", "Target", "heatmap_points", "targets_of"]

SIGMA = 2.0  # heatmap px, of the Gaussian that heatmaps are trained towards
COMMON_STRIDE = 4.0  # input px per heatmap px where the model has no heatmaps (method section 2)
# The same for all maps that are compared, whatever the run's own: the default path, one rule, the truth as reference.
_FIXED: dict[str, Any] = {
    **{"method": "path_ig", "path": "blur", "path_settings": {}, "quadrature": "midpoint", "power": 1.0},
    **{"noise_std": 0.0, "reference": "truth", "contrast": None, "signed": False},
}


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
    """Every target of the study, in the order of its tables."""
    return (
        *(Target("coordinates", "exp_l2", factor) for factor in factors),
        *(Target("coordinates", name) for name in ("neg_l2", "neg_squared_l2")),
        *(Target("heatmap", name) for name in ("value", "mse")),
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
    factors: tuple[float, ...] = (0.1, 0.3, 1.0)  # alpha of exp_l2 per heatmap px; 0.3 is the published one
    nodes: int = 32  # gradients a map, midpoint rule on the default blur path
    joints: int = 2  # most joints a person; see choice.chosen_joints
    every: int = 1  # one in so many persons takes part; each costs (len(factors) + 4) * nodes * joints gradients
    pictures: int = 6  # persons whose maps are kept for the report

    def __post_init__(self) -> None:
        check_counts(self, nodes=1, joints=1, every=1, pictures=0)
        numbers = self.factors if isinstance(self.factors, (list, tuple)) else ()
        if not numbers or not all(type(f) in (int, float) and 0 < f < math.inf for f in numbers):
            raise ConfigError(f"factors is {self.factors!r}; expected positive numbers per heatmap px, e.g. (0.1, 0.3)")
        object.__setattr__(self, "factors", tuple(float(f) for f in dict.fromkeys(numbers)))

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """A row for each chosen joint and target."""
        sample = finding.sample
        joints = chosen_joints(finding, self.joints) if takes_part(sample.sample_id, self.every) else []
        if not joints:
            return ()
        maps: dict[Target, Attribution | str] = {}
        for target in targets_of(self.factors):
            explain = self._in_coordinates if target.space == "coordinates" else self._in_heatmaps
            maps[target] = explain(target, finding, context, joints)
        indices = [name for name, value in finding.indices.items() if value.ndim == 1]
        rows = []
        for target, found in maps.items():
            for k, numbers in zip(joints, _numbers(target, found, finding, context, joints, indices), strict=True):
                rows.append({**joint_columns(finding, context, k), **numbers})
        if self.pictures:
            from .sheet import draw_sheet

            sheet = draw_sheet(sample, context.groups.keypoint_names, maps, rows, indices)
            keep_picture(context, self.name, sample.sample_id, sheet, self.pictures)
        return rows

    def section(self, store: Store) -> Section | None:
        """The indices by target, with intervals, and how far they are from the default's."""
        from .section import make_section

        return make_section(store, self.name)

    def _in_coordinates(
        self, target: Target, finding: Finding, context: StudyContext, joints: Sequence[int]
    ) -> Attribution:
        settings: dict[str, Any] = {}
        if target.function == "exp_l2":
            if context.unit == "px":
                settings["alpha"] = target.factor / (context.adapter.stride or COMMON_STRIDE)
            else:  # 0.3 is what goes with the model's own errors
                settings["alpha"] = target.factor / 0.3 * context.alpha
        return context.attribute(
            finding.sample,
            joints=[context.groups.keypoint_names[k] for k in joints],
            nodes=self.nodes,
            likelihood=target.function,
            likelihood_settings=settings,
            **_FIXED,
        )

    def _in_heatmaps(
        self, target: Target, finding: Finding, context: StudyContext, joints: Sequence[int]
    ) -> Attribution | str:
        """Maps of a scalar of the joint's heatmap, or the reason why there are none."""
        import torch

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
            found = adapter(images).heatmaps
            assert found is not None
            at = points.expand(len(images), -1, -1)
            value = heatmap_value(found, at) if target.function == "value" else negative_heatmap_mse(found, at, SIGMA)
            return value[..., None]  # (B, K, 1)

        return path_attribution(
            scalars,
            image,
            image.new_zeros(1, len(sample.keypoints), 1),
            path="blur",
            quadrature="midpoint",
            nodes=self.nodes,
            likelihood=lambda coords, reference: coords[..., 0],
            joints=asked,
        )


def heatmap_points(points: Tensor, adapter: CoordinateAdapter, size: tuple[int, int]) -> Tensor:
    """Points (B, K, D) in input px -> (B, K, 2) in heatmap px, by the codec's own grid; by proportion where it has
    none.

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
    """Whether the heatmaps have peak-1 Gaussians for targets; not an integral head's, Megvii's or UDP's combined
    ones.
    """
    return (
        adapter.name == "heatmap"
        and not getattr(adapter, "combined", False)
        and getattr(adapter, "kind", "") in ("MSRAHeatmap", "UDPHeatmap")
    )


def _numbers(
    target: Target,
    found: Attribution | str,
    finding: Finding,
    context: StudyContext,
    joints: Sequence[int],
    indices: Sequence[str],
) -> list[dict[str, Any]]:
    """For each joint the columns of a row after those that say which joint it is."""
    about = {"space": target.space, "function": target.function, "factor": target.factor}
    if isinstance(found, str):
        nothing = dict.fromkeys((*indices, "residual_rel", "map_error"), math.nan)
        return [{**about, **nothing, "reason": found} for _ in joints]
    measured = context.indices(finding.sample, found)
    rows = []
    for k in joints:
        values = {name: float(measured[name][k]) for name in indices}
        why = found.reasons[0][k] or (finding.reasons[k] if any(map(math.isnan, values.values())) else "")
        trust = {"residual_rel": float(found.residual_rel[0, k]), "map_error": float(found.map_error[0, k])}
        rows.append({**about, **values, **trust, "reason": why})
    return rows
