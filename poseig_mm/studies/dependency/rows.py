"""What is asked of a person: every joint's error where the evidence of one joint is erased, or as much elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...types import Finding
from ..base import StudyContext
from ..choice import chosen_joints
from ..joints import joint_columns, visible_truth, why_missing

if TYPE_CHECKING:
    from torch import Tensor


_AT_ONCE = 64  # erased images held at once; limits memory, changes nothing


def dependency_rows(
    finding: Finding, context: StudyContext, fraction: float, baseline: str, n_random: int, most: int
) -> list[dict[str, Any]]:
    """Rows of a person: a pair of joints each, or a joint without a map with its reason."""
    import torch

    from ...functional.paths import LinearPath
    from ...functional.perturbation import shifted_masks, strongest_pixels
    from ...seeding import generator_of

    maps, identity = finding.attribution.maps, (context.seed, finding.sample.sample_id, "dependency")
    image, truth = finding.sample.image.to(maps), visible_truth(finding)
    reasons = why_missing(finding, truth)
    chosen = chosen_joints(finding, most)
    rows: list[dict[str, Any]] = [
        {**joint_columns(finding, context, k), "reason": reasons[k]} for k in chosen if reasons[k]
    ]
    sources = [k for k in chosen if not reasons[k]]
    if not sources:
        return rows
    masks = []
    for k in sources:
        generator = generator_of(*identity, k)
        evidence = strongest_pixels(maps[k], fraction, generator)
        masks += [evidence[None], shifted_masks(evidence, n_random, generator)]
    replaced = LinearPath(baseline).baseline_of(image[None])[0]
    predicted = torch.cat([
        context.predict(torch.where(part[:, None], replaced, image)) for part in torch.cat(masks).split(_AT_ONCE)
    ]).double()  # fmt: skip
    errors = (predicted - truth).norm(dim=-1).view(len(sources), 1 + n_random, -1)  # (A, erased and controls, B)
    original = (finding.prediction.double().cpu() - truth).norm(dim=-1)
    for source, of_source in zip(sources, errors, strict=True):
        about = {**joint_columns(finding, context, source), "unit": context.unit, "reason": ""}
        for other in truth.isfinite().all(1).nonzero()[:, 0].tolist():
            name = context.groups.keypoint_names[other]
            numbers = _numbers(original[other], of_source[:, other], context.alpha)
            rows.append({**about, "other": other, "other_name": name, **numbers})
    return rows


def _numbers(original: Tensor, errors: Tensor, alpha: float) -> dict[str, float]:
    """Of one pair, from the error on the image, and those (1 + draws,) without the evidence and without the control."""
    likelihood = (-alpha * errors).exp()
    return {
        "error": float(original),
        "error_erased": float(errors[0]),
        "error_control": float(errors[1:].mean()),
        "effect": float(errors[0] - errors[1:].mean()),
        "likelihood": float((-alpha * original).exp()),
        "likelihood_erased": float(likelihood[0]),
        "likelihood_control": float(likelihood[1:].mean()),
        "likelihood_effect": float(likelihood[0] - likelihood[1:].mean()),
    }
