"""Insertion and deletion of an image's pixels in the order of a map (after Petsiuk et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import ShapeError


def deletion_images(image: Tensor, baseline: Tensor, fractions: Sequence[float], order: Tensor) -> Tensor:
    """The image with the first fraction of its pixels replaced by the baseline's, all channels of a pixel together.

    Args:
        image: (C, H, W).
        baseline: (C, H, W), e.g. gamma(0) of the path.
        fractions: (F,) in [0, 1]; round(fraction * H W) pixels are replaced.
        order: (H W,) indices of the pixels, the first to be replaced first: `ranked_order` of a map, or `random_order`.

    Returns:
        (F, C, H, W).

    Raises:
        ShapeError: shapes that do not fit.

    >>> deleted = deletion_images(torch.ones(1, 1, 4), torch.zeros(1, 1, 4), [0, 0.5, 1], torch.tensor([1, 3, 2, 0]))
    >>> deleted[:, 0, 0].tolist()
    [[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    if image.ndim != 3 or baseline.shape != image.shape:
        raise ShapeError(
            f"image has shape {tuple(image.shape)}, baseline {tuple(baseline.shape)}; expected (C, H, W) of both"
        )
    size = image[0].numel()
    if order.shape != (size,):
        raise ShapeError(f"the order has shape {tuple(order.shape)}; expected one index a pixel, ({size},)")
    rank = torch.empty_like(order)
    rank[order] = torch.arange(size, device=order.device)
    counts = torch.tensor([round(float(f) * size) for f in fractions], device=order.device)
    gone = (rank < counts[:, None]).view(-1, 1, *image.shape[1:]).to(image.device)  # (F, 1, H, W)
    return torch.where(gone, baseline, image)


def insertion_images(image: Tensor, baseline: Tensor, fractions: Sequence[float], order: Tensor) -> Tensor:
    """The baseline with the first fraction of its pixels replaced by the image's; arguments as in `deletion_images`.

    >>> insertion_images(torch.ones(1, 1, 2), torch.zeros(1, 1, 2), [0.5], torch.tensor([1, 0])).flatten().tolist()
    [0.0, 1.0]
    """
    return deletion_images(baseline, image, fractions, order)


def ranked_order(map: Tensor, shuffled: Tensor) -> Tensor:
    """Pixels of a map (H, W) by falling value, (H W,).

    Equal ones stand in the order of `shuffled` (H W,), not row by row: a map may be 0 in most places, and the top of an
    image is not like its bottom.

    >>> ranked_order(torch.tensor([[0.0, 2.0], [0.0, 1.0]]), torch.tensor([2, 3, 0, 1])).tolist()
    [1, 3, 2, 0]
    """
    shuffled = shuffled.to(map.device)
    return shuffled[map.flatten()[shuffled].argsort(descending=True, stable=True)]


def random_order(size: int, generator: torch.Generator) -> Tensor:
    """`size` pixels in random order, (size,).

    >>> random_order(3, torch.Generator()).sort().values.tolist()
    [0, 1, 2]
    """
    return torch.randperm(size, generator=generator)


def area_under(values: Tensor, fractions: Sequence[float]) -> Tensor:
    """Trapezoid areas of curves (..., F) over fractions that rise from 0 to 1: the mean height of each, (...).

    >>> area_under(torch.tensor([1.0, 0.0, 0.0]), [0.0, 0.5, 1.0]).item()
    0.25
    """
    area: Tensor = torch.trapezoid(values, values.new_tensor(list(fractions)), dim=-1)
    return area
