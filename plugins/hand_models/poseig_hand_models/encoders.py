"""CMR's parts on the image side: ResNet encoders that give every stage, and decoders of heatmaps over them.

Names of the parts are those of the official weights (github.com/SeanChenxy/HandMesh, MIT).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poseig_mm.errors import ConfigError

from .resnet import Bottleneck

__all__ = ["DEPTHS", "BasicBlock", "ConvBlock", "Encoder", "HeatmapDecoder"]

Maps = tuple[Tensor, ...]


class ConvBlock(nn.Module):
    """Convolution (with bias), then perhaps batch norm, perhaps ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int = 3, norm: bool = True, relu: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=size // 2)
        self.norm = nn.BatchNorm2d(outputs) if norm else None
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return F.relu(x) if self.relu else x


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut; He et al., CVPR 2016."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != width:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, width, h / stride, w / stride)."""
        short = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + short)


DEPTHS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, ...]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    50: (Bottleneck, (3, 4, 6, 3)),
}


class Encoder(nn.Module):
    """A ResNet whose stem sees the image, or whose stem is replaced by three convolutions (`reduce`) of another map.

    Args:
        depth: 18 or 50.
        width: channels of the stem, 64 in the official one.
        inputs: channels of the other map; None: the image.
        latent: values of the last layer (`fc`), 1000 in the official one; None: without it.
        blocks: a stage; None: of the depth.

    Raises:
        ConfigError: no such depth.
    """

    def __init__(
        self,
        depth: int,
        width: int,
        inputs: int | None = None,
        latent: int | None = None,
        blocks: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if depth not in DEPTHS:
            raise ConfigError(f"depth {depth} of CMR; there are {', '.join(map(str, DEPTHS))}")
        block, own = DEPTHS[depth]
        self.image = inputs is None
        if inputs is None:
            self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        else:
            self.reduce = nn.Sequential(
                ConvBlock(inputs, inputs), ConvBlock(inputs, 2 * width), ConvBlock(2 * width, width, 1, relu=False)
            )
        channels = width
        for i, count in enumerate(blocks or own):
            inner, stage = width * 2**i, []
            for j in range(count):
                stage.append(block(channels, inner, 2 if i and not j else 1))
                channels = inner * block.expansion
            self.add_module(f"layer{i + 1}", nn.Sequential(*stage))
        self.channels = tuple(width * 2**i * block.expansion for i in range(4))  # of the four stages
        self.fc = nn.Linear(channels, latent) if latent is not None else None

    def forward(self, x: Tensor) -> tuple[Tensor, Maps]:
        """(B, C, n, n) -> the stem's map (n / 2 for an image, else n), and those of the four stages, the coarsest
        first.
        """
        stem = F.relu(self.bn1(self.conv1(x))) if self.image else self.reduce(x)
        x, found = F.max_pool2d(stem, 3, 2, 1), list[Tensor]()
        for i in range(4):
            x = self.get_submodule(f"layer{i + 1}")(x)
            found.insert(0, x)
        return stem, tuple(found)

    def code(self, maps: Maps) -> Tensor:
        """(B, latent), from the last stage's mean."""
        assert self.fc is not None
        found: Tensor = self.fc(maps[0].mean((2, 3)))
        return found


class HeatmapDecoder:
    """The layers of one heatmap decoder, which lie in the model itself, as the official names will have it.

    Args:
        channels: of the encoder's four stages, the finest first.
        outputs: maps.
    """

    @staticmethod
    def layers(channels: Sequence[int], outputs: int) -> tuple[nn.ModuleList, ConvBlock]:
        """`..._delayer` and `..._head`."""
        c1, c2, c3, c4 = channels
        steps = (ConvBlock(c4 + c3, c3), ConvBlock(c3 + c2, c2), ConvBlock(c2 + c1, c1), ConvBlock(c1, c1))
        return nn.ModuleList(steps), ConvBlock(c1, outputs, norm=False, relu=False)

    @staticmethod
    def run(steps: nn.ModuleList, head: nn.Module, maps: Maps) -> Tensor:
        """Stages, the coarsest first -> (B, outputs, h, w) in [0, 1], twice as large as the finest stage."""
        x = maps[0]
        for i, step in enumerate(steps):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = step(x if i == 3 else torch.cat([x, maps[i + 1]], 1))
        return torch.sigmoid(head(x))
