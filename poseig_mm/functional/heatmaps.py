"""Gaussian heatmaps around keypoints: the weights of LI and RI, and the targets that models are trained on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ShapeError


def gaussian_heatmaps(keypoints: Tensor, size: tuple[int, int], sigma: float | Tensor = 8.0) -> Tensor:
    """A Gaussian of peak 1 around each keypoint, evaluated exactly at every pixel.

    Args:
        keypoints: (B, K, 2) as (x, y); a NaN keypoint gives a NaN heatmap.
        size: (H, W) of the frame the keypoints are in.
        sigma: standard deviation in pixels of that frame, or (B,) one an image, NaN where there is none; 8 input px are
            2 heatmap px at stride 4 (method section 5).

    Returns:
        (B, K, H, W) in [0, 1].

    Raises:
        ShapeError: keypoints of another shape.

    >>> h = gaussian_heatmaps(torch.tensor([[[2.0, 1.0]]]), (4, 5), sigma=1.0)
    >>> h[0, 0, 1, 2].item(), round(h[0, 0, 1, 3].item(), 4)  # 1 at (x, y) = (2, 1), exp(-1/2) beside it
    (1.0, 0.6065)
    """
    if keypoints.ndim != 3 or keypoints.shape[-1] != 2:
        raise ShapeError(f"keypoints have shape {tuple(keypoints.shape)}; expected (B, K, 2) as (x, y)")
    height, width = size
    if isinstance(sigma, Tensor):
        sigma = sigma.to(keypoints)[:, None, None]
    x = torch.arange(width, dtype=keypoints.dtype, device=keypoints.device) - keypoints[..., :1]  # (B, K, W)
    y = torch.arange(height, dtype=keypoints.dtype, device=keypoints.device) - keypoints[..., 1:]  # (B, K, H)
    return torch.exp(-0.5 * (y / sigma).square())[..., None] * torch.exp(-0.5 * (x / sigma).square())[..., None, :]


def quantised_heatmaps(keypoints: Tensor, size: tuple[int, int], sigma: float = 2.0) -> Tensor:
    """The targets that heatmap models are trained on: a Gaussian around the nearest pixel, cut off at 3 sigma.

    Args:
        keypoints: (B, K, 2) as (x, y), heatmap px; a NaN keypoint gives a NaN heatmap.
        size: (h, w) of the heatmap.
        sigma: heatmap px; what lies more than 3 sigma from the centre in x or in y is 0.

    Returns:
        (B, K, h, w) in [0, 1]; all zero for a keypoint that is farther than 3 sigma outside.

    >>> h = quantised_heatmaps(torch.tensor([[[2.3, 1.4]]]), (4, 5), sigma=1.0)
    >>> h[0, 0, 1, 2].item(), round(h[0, 0, 1, 3].item(), 4)  # the peak is at (2, 1)
    (1.0, 0.6065)
    """
    centres = (keypoints + 0.5).floor()
    heatmaps = gaussian_heatmaps(centres, size, sigma)
    x = torch.arange(size[1], dtype=keypoints.dtype, device=keypoints.device) - centres[..., :1]  # (B, K, w)
    y = torch.arange(size[0], dtype=keypoints.dtype, device=keypoints.device) - centres[..., 1:]  # (B, K, h)
    near = (y.abs() <= 3 * sigma)[..., None] & (x.abs() <= 3 * sigma)[..., None, :]
    return heatmaps.where(near | heatmaps.isnan(), 0.0)


def published_heatmaps(keypoints: Tensor, size: tuple[int, int], stride: float = 4.0, sigma: float = 2.0) -> Tensor:
    """The published weight: the training target of the heatmap's grid, resized to the input.

    `quantised_heatmaps` of size (H / stride, W / stride) around keypoint / stride, resized bilinearly
    (`align_corners=False`), which moves them by (stride - 1) / 2 input px to the lower right; `gaussian_heatmaps` has
    neither quantisation nor that shift nor the interpolation.

    Args:
        keypoints: (B, K, 2) as (x, y), input px.
        size: (H, W) of the input, px.
        stride: input px per heatmap px.
        sigma: heatmap px.

    Returns:
        (B, K, H, W) in [0, 1].

    >>> published_heatmaps(torch.tensor([[[8.0, 8.0]]]), (32, 32)).shape
    torch.Size([1, 1, 32, 32])
    """
    height, width = size
    grid = (round(height / stride), round(width / stride))
    return F.interpolate(
        quantised_heatmaps(keypoints / stride, grid, sigma), size, mode="bilinear", align_corners=False
    )
