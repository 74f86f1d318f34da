"""What is asked of a person: how the maps and indices of each stage differ from those of the model as it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...types import Attribution, Finding
from ..base import StudyContext

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Stage:
    """Layers `first` to `last` of `total` (1-based, in the study's order) are re-initialised."""

    number: int
    first: int
    last: int
    total: int
    last_name: str
    attribution: Attribution

    @property
    def title(self) -> str:
        """Which layers are new."""
        return f"layers {self.first}\u2013{self.last}" if self.number else "original"


def stage_rows(
    finding: Finding, context: StudyContext, stage: Stage, before: Attribution, asked: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """A row for each of some joints, compared with the maps from `before`."""
    from .similarity import rank_correlation, structural_similarity

    after, sample = stage.attribution, finding.sample
    indices = context.indices(sample, after)
    old, new = before.maps[asked].cpu(), after.maps[asked].cpu()
    ranks, ssim = rank_correlation(old, new), structural_similarity(old, new)
    chance = structural_similarity(old, _scattered(new, f"{context.seed} {sample.sample_id} {stage.number}"))
    errors = soft_errors(finding, after)
    for i, k in enumerate(asked):
        reasons = [after.reasons[k], "no_original" if before.reasons[k] else "", finding.reasons[k]]
        yield {
            "sample_id": sample.sample_id,
            "joint": k,
            "joint_name": context.groups.keypoint_names[k],
            "stage": stage.number,
            "first_layer": stage.first,
            "layers": stage.last,
            "total_layers": stage.total,
            "last_layer": stage.last_name,
            **{name: float(value[k]) for name, value in indices.items() if value.ndim == 1},
            "rank_correlation": float(ranks[i]),
            "ssim": float(ssim[i]),
            "ssim_chance": float(chance[i]),
            "epe_soft": errors[k],
            "response": float((after.target_end - after.target_start)[k].abs()),
            "unit": context.unit,
            "reason": ";".join(dict.fromkeys(filter(None, reasons))),
        }


def _scattered(maps: Tensor, seed: str) -> Tensor:
    """Each map's own pixels in a random order, (n, H, W)."""
    import torch

    from ...seeding import generator_of

    order = torch.randperm(maps.shape[-1] * maps.shape[-2], generator=generator_of(seed))
    return maps.flatten(1)[:, order].reshape(maps.shape)


def soft_errors(finding: Finding, attribution: Attribution) -> list[float]:
    """Distance of the differentiable prediction from the truth, a joint each, in the run's unit."""
    if attribution.soft_coords is None:
        return [math.nan] * len(finding.sample.visible)
    distances = (attribution.soft_coords.cpu().double() - finding.sample.keypoints.double()).norm(dim=-1)
    return [float(d) for d in distances]
