"""MobRecon's encoder: two small hourglasses of densely connected mobile units (Chen et al., CVPR 2022, "DenseStack").

Names of the parts are those of the official weights (github.com/SeanChenxy/HandMesh, MIT).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DenseStackEncoder"]


def convolution(inputs: int, outputs: int, size: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU."""
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


class MobileUnit(nn.Module):
    """Depth-wise 3 x 3 convolutions, then a 1 x 1; around them a shortcut where the channels stay as many."""

    def __init__(self, inputs: int, outputs: int, depthwise: int = 1) -> None:
        super().__init__()
        self.conv3x3 = nn.Sequential(*(convolution(inputs, inputs, 3, groups=inputs) for _ in range(depthwise)))
        self.conv1x1 = convolution(inputs, outputs)
        self.shortcut = inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv1x1(self.conv3x3(x))
        return found + x if self.shortcut else found


class DenseBlock(nn.Module):
    """Units `conv1`, `conv2` ..., each of which sees the input and all that came before it.

    Args:
        inputs: channels.
        growth: channels that each unit adds.
        keep: whether the input is part of the output.
    """

    def __init__(self, inputs: int, growth: Sequence[int], keep: bool = True) -> None:
        super().__init__()
        self.keep, self.inputs, self.units = keep, inputs, len(growth)
        for i, outputs in enumerate(growth):
            self.add_module(f"conv{i + 1}", MobileUnit(inputs + sum(growth[:i]), outputs))

    def forward(self, x: Tensor) -> Tensor:
        for i in range(self.units):
            x = torch.cat([x, self.get_submodule(f"conv{i + 1}")(x)], 1)
        return x if self.keep else x[:, self.inputs :]


class Gate(nn.Module):
    """Each channel times a factor in [0, 1] that depends on all channels' means (squeeze and excitation)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = min(channels // 2, 256)
        self.fc1 = nn.Sequential(nn.Linear(channels, inner, bias=False), nn.BatchNorm1d(inner), nn.Hardtanh(0, 4))
        self.fc2 = nn.Sequential(nn.Linear(inner, channels, bias=False), nn.BatchNorm1d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(self.fc1(x.mean((2, 3)))))[:, :, None, None]


class Stack(nn.Module):
    """An hourglass: down to an eighth of its input's size, up to a half.

    Args:
        channels: of the input; the innermost map has 8 times as many.
        outputs: channels of the output.
        first: the first of the two stacks: its output is as large as its input, and three of its parts (`senet3`,
            `dense4`, `dense5`) have weights in the official files, but no use.
    """

    def __init__(self, channels: int, outputs: int, first: bool) -> None:
        super().__init__()
        c, self.first = channels, first
        self.dense1, self.senet1 = DenseBlock(c, (c // 2, c // 2)), Gate(2 * c)
        self.dense2, self.senet2 = DenseBlock(2 * c, (c // 2,) * 4), Gate(4 * c)
        self.dense3, self.senet3 = DenseBlock(4 * c, (c,) * 4), Gate(8 * c)
        self.dense4 = DenseBlock(8 * c, (6 * c, 2 * c), keep=False)
        self.dense5 = DenseBlock(8 * c, (6 * c, 2 * c), keep=False)
        self.thrink1, self.senet4 = nn.Sequential(MobileUnit(8 * c, 4 * c), MobileUnit(4 * c, 4 * c, 2)), Gate(4 * c)
        self.thrink2, self.senet5 = nn.Sequential(MobileUnit(4 * c, 2 * c), MobileUnit(2 * c, 2 * c, 2)), Gate(2 * c)
        self.thrink3, self.senet6 = (
            nn.Sequential(MobileUnit(2 * c, 2 * c), MobileUnit(2 * c, outputs, 2)),
            Gate(outputs),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, c, n, n) -> (B, outputs, n / 2, n / 2), of the first stack (B, outputs, n, n); and (B, 8 c, n / 8, n /
        8).
        """
        half = F.avg_pool2d(self.senet1(self.dense1(x)), 2)
        quarter = F.avg_pool2d(self.senet2(self.dense2(half)), 2)
        inner = self.dense3(quarter)
        if not self.first:
            inner = self.senet3(inner)
        inner = F.avg_pool2d(inner, 2)
        if not self.first:
            inner = self.dense5(self.dense4(inner))
        up = quarter + _doubled(self.senet4(self.thrink1(inner)))
        up = half + _doubled(self.senet5(self.thrink2(up)))
        up = self.senet6(self.thrink3(up))
        if self.first:
            up = F.interpolate(up, scale_factor=2, mode="bilinear", align_corners=True)
        return up, inner


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


class DenseStackEncoder(nn.Module):
    """An image's feature map, and where the joints appear.

    Args:
        size: of the square input, px; a multiple of 32 (128 in the official one).
        channels: 128 in the official one; a multiple of 4.
        latent: channels of the feature map.
        maps: channels of the stacks' outputs.
        joints: K.
    """

    def __init__(
        self, size: int = 128, channels: int = 128, latent: int = 256, maps: int = 24, joints: int = 21
    ) -> None:
        super().__init__()
        c = channels
        self.pre_layer = nn.Sequential(convolution(3, c // 2, 3, 2), MobileUnit(c // 2, c))
        self.thrink = convolution(4 * c, c)
        self.dense_stack1 = Stack(c, maps, first=True)
        self.stack1_remap = convolution(maps, maps)
        self.thrink2 = convolution(maps + c, c)
        self.dense_stack2 = Stack(c, maps, first=False)
        self.mid_proj = nn.Sequential(nn.Conv2d(8 * c, latent, 1, bias=False))
        self.conv = nn.Sequential(nn.Conv2d(maps, joints, 1, bias=False))
        widths = ((size // 8) ** 2, 128, 64, 2)
        layers = [nn.Sequential(nn.Linear(a, b, bias=False), nn.Hardtanh(0, 4)) for a, b in pairwise(widths)]
        self.uv_reg = nn.Sequential(*layers[:-1], layers[-1][:1])  # the last is linear

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, n, n) -> features (B, latent, n / 32, n / 32), and uv (B, K, 2), fractions of the input's (w,
        h).
        """
        x = self.thrink(F.pixel_unshuffle(self.pre_layer(images), 2))
        first = self.stack1_remap(self.dense_stack1(x)[0])
        maps, inner = self.dense_stack2(self.thrink2(torch.cat([first, x], 1)))
        return self.mid_proj(inner), self.uv_reg(self.conv(maps).flatten(2))
