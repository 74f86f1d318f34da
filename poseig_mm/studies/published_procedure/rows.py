"""One person's indices, read off the same maps in other ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...types import Finding
from ..base import StudyContext

if TYPE_CHECKING:
    from torch import Tensor


def person_rows(finding: Finding, context: StudyContext) -> list[dict[str, Any]]:
    """A row for each joint that has a map."""
    import torch

    from ...functional.heatmaps import gaussian_heatmaps, published_heatmaps
    from ...functional.indices import diffusion_index, endpoint_error, foreground_index, locality_index

    sample, maps = finding.sample, finding.attribution.maps[None].cpu()
    size = (int(maps.shape[-2]), int(maps.shape[-1]))

    def region(given: Tensor | None, otherwise: bool) -> Tensor:
        pixels = torch.full(size, otherwise) if given is None else given.bool().cpu()
        return pixels[None, None]

    truth = sample.keypoints[None].to(maps)
    places = truth if sample.pixels is None else sample.pixels[None].to(maps)
    exact = gaussian_heatmaps(places, size)
    targets = published_heatmaps(places, size, context.adapter.stride or 4, context.adapter.target_sigma)
    image = region(sample.in_image, True)
    mask = region(sample.mask, False)
    own = region(sample.extra.get("own_mask", sample.mask), False)
    values = {
        "moved": endpoint_error(finding.reference[None].to(truth), truth),
        "epe_truth": endpoint_error(finding.prediction[None].to(truth), truth),
        "fi_own_mask": foreground_index(maps, own),
        "di_image": diffusion_index(maps, image),
        "fi_image": foreground_index(maps, mask, image),
        "li_image": locality_index(maps, targets, image),
        "li_truth": locality_index(maps, exact),
        "fi_mended": foreground_index(maps, own, image),
        "li_mended": locality_index(maps, exact, image),
    }
    columns = {name: value[0].double().tolist() for name, value in values.items()}
    return [
        {
            "sample_id": sample.sample_id,
            "joint": k,
            "joint_name": name,
            "group": context.groups.group_of[k],
            **{column: numbers[k] for column, numbers in columns.items()},
        }
        for k, name in enumerate(context.groups.keypoint_names)
        if bool(sample.visible[k]) and bool(maps[0, k].sum().isfinite())
    ]
