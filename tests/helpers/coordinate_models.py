"""Two models whose maps are known or smooth, on a small batch: four joints whose x depends on the image."""

from __future__ import annotations

import torch
from torch import Tensor

D = torch.float64
G = torch.Generator().manual_seed(3)
IMAGES = torch.rand(2, 3, 40, 36, generator=G, dtype=D)
WEIGHT = torch.randn(4, 3, 40, 36, generator=G, dtype=D)  # four joints
KEYPOINTS = torch.zeros(2, 4, 2, dtype=D)


def linear_coords(images: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 4, 2): x is a linear function of the image, y is 0."""
    x = torch.einsum("bchw,kchw->bk", images, WEIGHT.to(images))
    return torch.stack([x, torch.zeros_like(x)], -1)


def first(coords: Tensor, reference: Tensor) -> Tensor:
    """A likelihood that is linear in the coordinates."""
    return coords[..., 0]


def smooth_coords(images: Tensor) -> Tensor:
    """A smooth non-linear model, (B, C, H, W) -> (B, 4, 2)."""
    x = torch.einsum("bchw,kchw->bk", images, WEIGHT.to(images)) / 20
    return torch.stack([3 * torch.tanh(x), x.sin()], -1)
