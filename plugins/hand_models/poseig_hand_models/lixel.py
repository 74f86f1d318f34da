"""Lixels: a point's place from three one-dimensional heatmaps, along x, y and depth, and what is built around them.

Source: Moon and Lee, *I2L-MeshNet: Image-to-Lixel Prediction Network for Accurate 3D Human Pose and Mesh Estimation
from a Single RGB Image*, ECCV 2020.  All coordinates here are in grid cells: (x, y, z), cell centres at 0 .. n - 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LixelNet", "StemAndGaussians", "deconvolutions", "joint_gaussians", "sampled", "soft_argmax_1d"]


def soft_argmax_1d(lixels: Tensor) -> Tensor:
    """Expected cell under the softmax over the last dimension: (..., n) -> (...), from 0 to n - 1.

    >>> soft_argmax_1d(torch.tensor([0.0, 0.0, 100.0, 0.0])), soft_argmax_1d(torch.zeros(4))
    (tensor(2.), tensor(1.5000))
    """
    cells = torch.arange(lixels.shape[-1], dtype=lixels.dtype, device=lixels.device)
    return (lixels.softmax(-1) * cells).sum(-1)


def joint_gaussians(cells: Tensor, size: int, sigma: float) -> Tensor:
    """A three-dimensional Gaussian around each joint, 1 at its centre.

    Args:
        cells: (B, K, 3), (x, y, z), grid cells.
        size: n, of the grid along each direction.
        sigma: cells.

    Returns:
        (B, K, n, n, n), indexed by z, y, x.

    >>> found = joint_gaussians(torch.tensor([[[2.0, 1.0, 0.0]]]), 4, 2.5)
    >>> tuple(int(i) for i in (found == 1).nonzero()[0])
    (0, 0, 0, 1, 2)
    """
    axis = torch.arange(size, dtype=cells.dtype, device=cells.device)
    x, y, z = torch.exp(-(((axis - cells[..., None]) / sigma) ** 2) / 2).unbind(2)  # (B, K, n) each
    return torch.einsum("bkz,bky,bkx->bkzyx", z, y, x)


def deconvolutions(inputs: int, channels: int, count: int = 3) -> nn.Sequential:
    """Layers that double a map's size each: transposed convolution (4 x 4, stride 2, no bias), batch norm, ReLU."""
    layers: list[nn.Module] = []
    for i in range(count):
        layers += [
            nn.ConvTranspose2d(channels if i else inputs, channels, 4, 2, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


class LixelNet(nn.Module):
    """Places of many points from one feature map: `pose_net` (joints) and `mesh_net` (vertices) of I2L-MeshNet.

    The map, made eight times as large, is averaged over y for the lixels along x, and over x for those along y; the
    average of the map as it came is unfolded into a feature a cell of depth.

    Args:
        points: K.
        inputs: channels of the feature map.
        size: n, cells along each direction; eight times the feature map's size.
        channels: of the features that lixels are made from.
    """

    def __init__(self, points: int, inputs: int = 2048, size: int = 64, channels: int = 256) -> None:
        super().__init__()
        self.size, self.channels = size, channels
        self.deconv = deconvolutions(inputs, channels)
        self.conv_x = nn.Sequential(nn.Conv1d(channels, points, 1))
        self.conv_y = nn.Sequential(nn.Conv1d(channels, points, 1))
        self.conv_z_1 = nn.Sequential(nn.Conv1d(inputs, channels * size, 1), nn.BatchNorm1d(channels * size), nn.ReLU())
        self.conv_z_2 = nn.Sequential(nn.Conv1d(channels, points, 1))

    def forward(self, feature: Tensor) -> Tensor:
        """(B, inputs, n / 8, n / 8) -> (B, K, 3), (x, y, z), grid cells."""
        fine = self.deconv(feature)  # (B, channels, n, n)
        deep = self.conv_z_1(feature.mean((2, 3))[..., None])  # (B, channels n, 1)
        deep = deep.view(-1, self.channels, self.size)
        lixels = self.conv_x(fine.mean(2)), self.conv_y(fine.mean(3)), self.conv_z_2(deep)
        return torch.stack([soft_argmax_1d(x) for x in lixels], -1)


class StemAndGaussians(nn.Module):
    """`pose2feat`: the stem's feature and the joints' Gaussians, every depth of every joint a channel, as one feature.

    Args:
        joints: K.
        width: channels of the stem's feature, and of what comes out.
        size: n, cells along each direction.
    """

    def __init__(self, joints: int, width: int = 64, size: int = 64) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(width + joints * size, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, stem: Tensor, gaussians: Tensor) -> Tensor:
        """(B, width, n, n) and (B, K, n, n, n) -> (B, width, n, n)."""
        found: Tensor = self.conv(torch.cat([stem, gaussians.flatten(1, 2)], 1))
        return found


def sampled(feature: Tensor, places: Tensor) -> Tensor:
    """Features at places, bilinear, nought outside, differentiable in both.

    Args:
        feature: (B, C, h, w).
        places: (B, V, 2), (x, y), from -1 to 1 between the map's outer edges (`align_corners=False`).

    Returns:
        (B, V, C).
    """
    return F.grid_sample(feature, places[:, None], align_corners=False)[:, :, 0].transpose(1, 2)
