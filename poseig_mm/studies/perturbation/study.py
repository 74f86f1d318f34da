"""Perturbation (PoseIG, Table A): does blurring out what a map marks move the joint more than chance does?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import ConfigError, did_you_mean
from ..base import Study
from ..joints import joint_columns, visible_truth, why_missing

if TYPE_CHECKING:
    from torch import Tensor

    from ...store.reader import Store
    from ...types import Finding, Section
    from ..base import StudyContext

__all__ = ["MASKS", "Perturbation"]

MASKS = {  # and what they are in words
    "mean": "the crop's mean colour",
    "shuffle": "its own pixels in random order",
    "uniform": "noise from black to white",
    "normal": "noise of its mean and spread",
}
_AT_ONCE = 64  # perturbed images held at once; limits memory, changes nothing
_NOTHING = {"error_attr": math.nan, "error_random": math.nan, "change_attr": math.nan, "change_random": math.nan}


@dataclass(frozen=True)
class Perturbation(Study):
    """I~ = I (1 - A_k) + M A_k for each joint's map A_k and mask M, and the same with the pixels of A_k permuted.

    One row a sample, joint and mask: EPE of the model's own decoding on the image (`error`) and on the perturbed ones
    (`error_attr`; `error_random`, the mean over draws), how far they are apart (`change_attr`, `change_random`: see
    `functional.perturbation.error_change`), and `ratio`, this joint's R_E.  A map and its permutations meet the same M.
    """

    name: ClassVar[str] = "perturbation"
    images_only: ClassVar[bool] = True

    masks: Sequence[str] = tuple(MASKS)  # which M to blend with; each costs 1 + n_random predictions a joint
    n_random: int = 5  # permuted maps a joint; method section 7

    def __post_init__(self) -> None:
        if isinstance(self.masks, str) or not self.masks or len(set(self.masks)) < len(self.masks):
            raise ConfigError(f"masks is {self.masks!r}; expected a list of different names among {', '.join(MASKS)}")
        for mask in self.masks:
            if mask not in MASKS:
                raise ConfigError(f"mask {mask!r} is unknown; {did_you_mean(str(mask), MASKS)}")
        if isinstance(self.n_random, bool) or not isinstance(self.n_random, int) or self.n_random < 1:
            raise ConfigError(f"n_random is {self.n_random!r}; expected a whole number of at least 1")

    def sample_rows(self, finding: Finding, context: StudyContext) -> Sequence[Mapping[str, Any]]:
        """One row a joint and mask; a joint without a map or an annotation has NaN and a reason."""
        import torch

        from ...functional.perturbation import error_change, mask_image, permuted_maps
        from ...seeding import generator_of

        maps, identity = finding.attribution.maps[0], (context.seed, finding.sample.sample_id)
        image, truth = finding.sample.image.to(maps), visible_truth(finding)
        reasons = why_missing(finding, truth)
        original = (finding.prediction.double().cpu() - truth).norm(dim=-1)
        low, high = context.adapter.pixel_range()
        masks = torch.stack([mask_image(m, image, low, high, generator_of(*identity, m)) for m in self.masks])
        rows: list[dict[str, Any]] = []
        for k, reason in enumerate(reasons):
            about = joint_columns(finding, context, k)
            numbers: list[dict[str, float]] = [_NOTHING] * len(masks)
            if not reason:
                random = permuted_maps(maps[k], self.n_random, generator_of(*identity, k))
                errors = _errors(context, image, masks, torch.cat([maps[k : k + 1], random]), truth[k], k)
                found = {
                    "error_attr": errors[0],
                    "error_random": errors[1:].mean(0),
                    "change_attr": error_change(original[k], errors[:1]),
                    "change_random": error_change(original[k], errors[1:]),
                }
                numbers = [{name: float(value[m]) for name, value in found.items()} for m in range(len(masks))]
            for mask, values in zip(self.masks, numbers, strict=True):
                row = {**about, "mask": mask, "unit": context.unit, "error": float(original[k]), **values}
                rows.append({**row, **_ratio(values, reason)})
        return rows

    def section(self, store: Store) -> Section | None:
        """R_E by joint and by group."""
        if self.name not in store.studies:
            return None
        from .section import perturbation_section

        return perturbation_section(store, store.study(self.name))


def _errors(context: StudyContext, image: Tensor, masks: Tensor, grades: Tensor, truth: Tensor, joint: int) -> Tensor:
    """EPE of one joint on the image blended with each mask by each map (G, H, W): (G, M) in float64."""
    import torch

    from ...functional.perturbation import blend

    parts = grades.split(max(1, _AT_ONCE // len(masks)))
    found = torch.cat([context.predict(blend(image, masks, part).flatten(0, 1))[:, joint] for part in parts])
    errors: Tensor = (found.double() - truth).norm(dim=-1)
    return errors.view(len(grades), len(masks))


def _ratio(values: Mapping[str, float], reason: str) -> dict[str, Any]:
    """R_E of one joint, with the reason where there is none."""
    if reason:
        return {"ratio": math.nan, "reason": reason}
    if values["change_random"] == 0:  # the model's decoding is coarse: small changes may leave it where it was
        return {"ratio": math.nan, "reason": "random_unchanged"}
    return {"ratio": values["change_attr"] / values["change_random"], "reason": ""}
