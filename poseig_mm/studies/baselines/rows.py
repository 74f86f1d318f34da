"""What is asked of a person: shares of the maps on it, painted black and white; its errors on an empty input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...types import Attribution, Finding, Sample
from ..base import StudyContext
from ..joints import visible_truth

if TYPE_CHECKING:
    from torch import Tensor


PAINTINGS = ("original", "black", "white")
BASELINES = ("black", "white", "blurry")
PATHS: dict[str, dict[str, Any]] = {
    "black": {"path": "linear", "path_settings": {"baseline": "black"}},
    "white": {"path": "linear", "path_settings": {"baseline": "white"}},
    "blurry": {"path": "blur", "path_settings": {}},
}


def why_not(sample: Sample, joints: Sequence[int]) -> str:
    """'' or the reason why nothing can be painted or explained."""
    if sample.mask is None:
        return "no_mask"
    if not bool(sample.mask.any()):
        return "empty_mask"
    return "" if joints else "not_visible"


def painted(sample: Sample, painting: str, context: StudyContext) -> tuple[Tensor, Any]:
    """The network input (C, H, W) and the picture (H, W, 3) with the mask's pixels in one colour."""
    assert sample.mask is not None
    image, display = sample.image.clone(), sample.display.copy()
    if painting != "original":
        colour = context.adapter.pixel_range()[painting == "white"]
        mask = sample.mask.to(image.device)
        image[:, mask] = image.new_tensor(colour)[:, None]
        display[sample.mask.cpu().numpy()] = 255 if painting == "white" else 0
    return image, display


def errors_without_evidence(finding: Finding, context: StudyContext) -> dict[str, dict[str, Any]]:
    """Columns of each baseline's rows: the mean error of the visible joints on the image, and where nothing is seen.

    `epe` is that of the image as it is, `epe_baseline` that of an input that is the baseline and nothing else.
    """
    import torch

    from ...functional.paths import LinearPath

    image, truth = finding.sample.image, visible_truth(finding)
    low, high = context.adapter.pixel_range()
    paths = {b: LinearPath("blur" if b == "blurry" else b, black=tuple(low), white=tuple(high)) for b in BASELINES}
    empty = torch.cat([path.baseline_of(image[None]) for path in paths.values()])
    predicted = torch.cat([finding.prediction.cpu()[None], context.predict(empty).cpu()]).double()
    epe, *others = (predicted - truth).norm(dim=-1).nanmean(1).tolist()
    return {
        baseline: {"epe": epe, "epe_baseline": other, "unit": context.unit}
        for baseline, other in zip(BASELINES, others, strict=True)
    }


def person_rows(
    sample: Sample, maps: Mapping[tuple[str, str], Attribution], joints: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """Rows of a person with a mask, from maps by painting and baseline, of some joints."""
    from ...functional.indices import diffusion_index
    from ...functional.regions import mass_share

    mask = sample.mask
    assert mask is not None
    area = float(mask.double().mean())
    for baseline in BASELINES:
        shares = {p: mass_share(maps[p, baseline].maps[joints], mask) for p in PAINTINGS}  # (J,) each
        both = shares["original"].isfinite() & shares["black"].isfinite() & shares["white"].isfinite()
        for painting in PAINTINGS:
            row = empty_row(sample, painting, baseline, "" if bool(both.any()) else "no_map", area)
            if bool(both.any()):
                attribution = maps[painting, baseline]
                row |= {
                    "n": int(both.sum()),
                    "share": float(shares[painting][both].mean()),
                    "share_original": float(shares["original"][both].mean()),
                    "di": float(diffusion_index(attribution.maps[None, joints])[0, both].mean()),
                    "map_error": float(attribution.map_error[joints][both].mean()),
                }
            yield row


def empty_row(sample: Sample, painting: str, baseline: str, reason: str, area: float = math.nan) -> dict[str, Any]:
    """A row without numbers."""
    return {
        **{"sample_id": sample.sample_id, "painting": painting, "baseline": baseline, "n": 0, "area": area},
        **dict.fromkeys(("share", "share_original", "di", "map_error"), math.nan),
        "reason": reason,
    }
