"""Scalars read off a joint's heatmap, in the place of a likelihood of coordinates (method section 2)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ...errors import ShapeError
from ...functional.heatmaps import gaussian_heatmaps


def heatmap_value(heatmaps: Tensor, points: Tensor) -> Tensor:
    """Each heatmap at its joint's point, bilinear; beyond the outermost pixel centres the value at the border.

    Args:
        heatmaps: (B, K, h, w), any unit.
        points: (B, K, 2) as (x, y), heatmap px, pixel centres at integers; a NaN point counts as (0, 0).

    Returns:
        (B, K) in the heatmaps' unit, differentiable.

    Raises:
        ShapeError: shapes that do not fit.

    >>> import torch
    >>> h = torch.tensor([[[[0.0, 4.0], [0.0, 8.0]]]])
    >>> heatmap_value(h, torch.tensor([[[0.5, 0.0]]])).item(), heatmap_value(h, torch.tensor([[[1.0, 0.25]]])).item()
    (2.0, 5.0)
    """
    _check(heatmaps, points)
    b, k, h, w = heatmaps.shape
    last = points.new_tensor([max(w - 1, 1), max(h - 1, 1)])
    grid = (2 * points.nan_to_num() / last - 1).to(heatmaps).reshape(b * k, 1, 1, 2)
    value = F.grid_sample(heatmaps.reshape(b * k, 1, h, w), grid, padding_mode="border", align_corners=True)
    return value.reshape(b, k)


def negative_heatmap_mse(heatmaps: Tensor, points: Tensor, sigma: float = 2.0) -> Tensor:
    """Minus the mean squared error of each heatmap against a Gaussian of peak 1 around its joint's point.

    Args:
        heatmaps: (B, K, h, w), of a model trained on such Gaussians.
        points: (B, K, 2) as (x, y), heatmap px; not rounded to pixels, as MMPose's MSRA targets are; NaN: (0, 0).
        sigma: standard deviation, heatmap px.

    Returns:
        (B, K) <= 0, differentiable.

    Raises:
        ShapeError: shapes that do not fit.

    >>> import torch
    >>> negative_heatmap_mse(torch.zeros(1, 1, 1, 2), torch.tensor([[[0.0, 0.0]]]), sigma=1e-3).item()
    -0.5
    """
    _check(heatmaps, points)
    size = (int(heatmaps.shape[-2]), int(heatmaps.shape[-1]))
    wanted = gaussian_heatmaps(points.nan_to_num().to(heatmaps), size, sigma)
    return -(heatmaps - wanted).square().mean((-2, -1))


def _check(heatmaps: Tensor, points: Tensor) -> None:
    if heatmaps.ndim != 4 or points.shape != (*heatmaps.shape[:2], 2):
        raise ShapeError(
            f"heatmaps have shape {tuple(heatmaps.shape)}, points {tuple(points.shape)}; expected (B, K, h, w) and "
            "(B, K, 2)"
        )
