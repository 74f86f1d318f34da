"""HandOccNet's heatmaps: an hourglass of pre-activation bottlenecks, and a soft-argmax with a sharpness a joint.

Source: Newell, Yang, Deng, *Stacked Hourglass Networks for Human Pose Estimation*, ECCV 2016.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["HeatmapJoints", "Hourglass", "PreActivation", "Residual"]


class PreActivation(nn.Module):
    """x + 1 x 1, 3 x 3 and 1 x 1 convolution, each behind its own batch norm and LeakyReLU; half the channels
    inside.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, inner, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(inner), nn.Conv2d(inner, inner, 3, 1, 1)
        self.bn3, self.conv3 = nn.BatchNorm2d(inner), nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        y = self.conv1(F.leaky_relu(self.bn1(x)))
        y = self.conv2(F.leaky_relu(self.bn2(y)))
        found: Tensor = x + self.conv3(F.leaky_relu(self.bn3(y)))
        return found


class Residual(nn.Module):
    """The same as `PreActivation` under the names that the encoder of heatmaps has in the files."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.bn, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, inner, 1)
        self.bn1, self.conv2 = nn.BatchNorm2d(inner), nn.Conv2d(inner, inner, 3, 1, 1)
        self.bn2, self.conv3 = nn.BatchNorm2d(inner), nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        y = self.conv1(F.leaky_relu(self.bn(x)))
        y = self.conv2(F.leaky_relu(self.bn1(y)))
        found: Tensor = x + self.conv3(F.leaky_relu(self.bn2(y)))
        return found


class Hourglass(nn.Module):
    """Down by halves and up again, each level's own branch added on the way up.

    `hg[n]` is the level n + 1 above the coarsest: its branch, the way down, the way up, and in `hg[0]` the turning
    point.

    Args:
        channels: throughout.
        depth: how many times the map is halved.
    """

    def __init__(self, channels: int, depth: int = 4) -> None:
        super().__init__()
        self.hg = nn.ModuleList(
            nn.ModuleList(nn.Sequential(PreActivation(channels)) for _ in range(4 if level == 0 else 3))
            for level in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w); h and w are divisible by 2 ** depth."""
        return self._level(len(self.hg) - 1, x)

    def _level(self, level: int, x: Tensor) -> Tensor:
        parts: nn.ModuleList = self.hg[level]  # type: ignore[assignment]
        low = parts[1](F.max_pool2d(x, 2))
        low = parts[2](self._level(level - 1, low) if level else parts[3](low))
        found: Tensor = parts[0](x) + F.interpolate(low, scale_factor=2.0, mode="nearest")
        return found


class HeatmapJoints(nn.Module):
    """`hand_regHead`: a heatmap a joint, its soft-argmax, and the feature that heatmaps are made of.

    Args:
        size: n, cells along each direction.
        channels: of the feature.
        joints: K.
        depth: of the hourglass.
    """

    uu: Tensor
    vv: Tensor

    def __init__(self, size: int = 32, channels: int = 256, joints: int = 21, depth: int = 4) -> None:
        super().__init__()
        self.betas = nn.Parameter(torch.ones(joints, 1))
        centres = (torch.arange(size, dtype=torch.get_default_dtype()) + 0.5) / size
        self.register_buffer("uu", centres.expand(size, size).clone())
        self.register_buffer("vv", centres[:, None].expand(size, size).clone())
        self.hg = nn.ModuleList([Hourglass(channels, depth)])
        self.res = nn.ModuleList([nn.Sequential(PreActivation(channels))])
        block = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.LeakyReLU())
        self.fc = nn.ModuleList([nn.Sequential(OrderedDict(block=block))])
        self.score = nn.ModuleList([nn.Conv2d(channels, joints, 1)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C, n, n) -> heatmaps (B, K, n, n) that sum to 1, (u, v) (B, K, 2) in [0, 1], feature (B, C, n, n)."""
        feature = self.fc[0](self.res[0](self.hg[0](x)))
        scores = self.score[0](feature)
        heatmaps = (scores.flatten(2) * self.betas).softmax(-1).unflatten(-1, scores.shape[2:])
        places = torch.stack([(heatmaps * self.uu).sum((2, 3)), (heatmaps * self.vv).sum((2, 3))], -1)
        return heatmaps, places, feature
