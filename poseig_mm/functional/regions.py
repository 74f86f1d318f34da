"""Regions of a map: how much of it lies in one, and the one around a box."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import ShapeError


def box_region(
    box: tuple[float, float, float, float], size: tuple[int, int], margin: float = 1.25
) -> tuple[slice, slice]:
    """The pixels of a map whose centres lie in a box that is made larger around its centre.

    Args:
        box: (x0, y0, x1, y1), px of the map, pixel centres at integers.
        size: (H, W) of the map.
        margin: factor of both sides; MMPose crops persons with 1.25.

    Returns:
        Rows and columns, at least one pixel each, inside the map.

    >>> box_region((10.0, 20.0, 18.0, 28.0), (100, 100))  # 8 px become 10
    (slice(19, 30, None), slice(9, 20, None))
    >>> box_region((-50.0, 0.0, 50.0, 4.0), (100, 100), margin=1.0)
    (slice(0, 5, None), slice(0, 51, None))
    """
    slices = []
    for low, high, length in ((box[1], box[3], size[0]), (box[0], box[2], size[1])):
        centre, half = (low + high) / 2, margin * (high - low) / 2
        first = min(max(0, math.ceil(centre - half)), length - 1)
        last = min(max(first, math.floor(centre + half)), length - 1)
        slices.append(slice(first, last + 1))
    return slices[0], slices[1]


def mass_share(maps: Tensor, region: Tensor) -> Tensor:
    """Share of each map's mass on the region's pixels.

    Args:
        maps: (..., H, W) >= 0, any scale.
        region: (H, W) bool.

    Returns:
        (...) in [0, 1], float64; NaN for a map that is all zero or holds a NaN.

    Raises:
        ShapeError: maps and region differ in size.

    >>> mass_share(torch.tensor([[[1.0, 3.0]]]), torch.tensor([[True, False]])).item()
    0.25
    """
    if maps.shape[-2:] != region.shape:
        raise ShapeError(f"maps have shape {tuple(maps.shape)}, the region {tuple(region.shape)}; expected (..., H, W)")
    mass = maps.double()
    total = mass.sum((-2, -1))
    inside = (mass * region.to(mass)).sum((-2, -1))
    return torch.where((total > 0) & total.isfinite(), inside / total, torch.nan)
