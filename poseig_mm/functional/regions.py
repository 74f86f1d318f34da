"""How much of a map lies in a region."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ShapeError

__all__ = ["mass_share"]


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
