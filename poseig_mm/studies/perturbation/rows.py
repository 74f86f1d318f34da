"""What is asked of a person: errors on images blended with masks by each map, and by the map's permuted pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...types import Finding
from ..base import StudyContext
from ..joints import joint_columns, visible_truth, why_missing

if TYPE_CHECKING:
    from torch import Tensor


MASKS = {  # and what they are in words
    "mean": "the crop's mean colour",
    "shuffle": "its own pixels in random order",
    "uniform": "noise from black to white",
    "normal": "noise of its mean and spread",
}
_AT_ONCE = 64  # perturbed images held at once; limits memory, changes nothing
_UNKNOWN = {"error_attr": math.nan, "error_random": math.nan, "change_attr": math.nan, "change_random": math.nan}


def perturbation_rows(
    finding: Finding, context: StudyContext, names: Sequence[str], n_random: int
) -> list[dict[str, Any]]:
    """One row a joint and mask; a joint without a map or an annotation has NaN and a reason."""
    import torch

    from ...functional.perturbation import error_change, mask_image, permuted_maps
    from ...seeding import generator_of

    maps, identity = finding.attribution.maps, (context.seed, finding.sample.sample_id)
    image, truth = finding.sample.image.to(maps), visible_truth(finding)
    original = (finding.prediction.double().cpu() - truth).norm(dim=-1)
    low, high = context.adapter.pixel_range()
    masks = torch.stack([mask_image(m, image, low, high, generator_of(*identity, m)) for m in names])
    rows = []
    for k, reason in enumerate(why_missing(finding, truth)):
        numbers = [_UNKNOWN] * len(names)
        if not reason:
            random = permuted_maps(maps[k], n_random, generator_of(*identity, k))
            errors = _errors(context, image, masks, torch.cat([maps[k : k + 1], random]), truth[k], k)
            by_mask = {
                "error_attr": errors[0],
                "error_random": errors[1:].mean(0),
                "change_attr": error_change(original[k], errors[:1]),
                "change_random": error_change(original[k], errors[1:]),
            }
            numbers = [{name: float(values[m]) for name, values in by_mask.items()} for m in range(len(names))]
        for mask, values in zip(names, numbers, strict=True):
            about = {"mask": mask, "unit": context.unit, "error": float(original[k])}
            rows.append({**joint_columns(finding, context, k), **about, **values, **_ratio(values, reason)})
    return rows


def _errors(context: StudyContext, image: Tensor, masks: Tensor, grades: Tensor, truth: Tensor, joint: int) -> Tensor:
    """EPE of one joint on the image blended with each mask by each map (G, H, W): (G, M) in float64."""
    import torch

    from ...functional.perturbation import blend

    parts = grades.split(max(1, _AT_ONCE // len(masks)))
    predicted = torch.cat([context.predict(blend(image, masks, part).flatten(0, 1))[:, joint] for part in parts])
    errors: Tensor = (predicted.double() - truth).norm(dim=-1)
    return errors.view(len(grades), len(masks))


def _ratio(values: Mapping[str, float], reason: str) -> dict[str, Any]:
    """R_E of one joint, with the reason where there is none."""
    if reason:
        return {"ratio": math.nan, "reason": reason}
    if values["change_random"] == 0:  # the model's decoding is coarse: small changes may leave it where it was
        return {"ratio": math.nan, "reason": "random_unchanged"}
    return {"ratio": values["change_attr"] / values["change_random"], "reason": ""}
