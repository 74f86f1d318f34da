"""ResNets of bottlenecks with every stage's map at hand, under the names that most checkpoints give their parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["RESNET50", "Bottleneck", "BottleneckResNet"]

RESNET50 = (3, 4, 6, 3)
Activation = Callable[[Tensor], Tensor]


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 (which strides) and 1 x 1 convolution around a shortcut; He et al., CVPR 2016.

    Args:
        inputs: channels that come in.
        width: channels inside; 4 times as many go out.
        stride: of the 3 x 3 convolution and of the shortcut.
        activation: after each sum and each batch norm but the last.
    """

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int = 1, activation: Activation = F.relu) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.activation = activation
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, 4 width, h / stride, w / stride)."""
        short = x if self.downsample is None else self.downsample(x)
        x = self.activation(self.bn1(self.conv1(x)))
        x = self.activation(self.bn2(self.conv2(x)))
        return self.activation(self.bn3(self.conv3(x)) + short)


class BottleneckResNet(nn.Module):
    """The stem and the four stages of a ResNet, each callable by itself; names: conv1, bn1, layer1 ... layer4.

    Args:
        blocks: bottlenecks of each of the four stages.
        width: channels of the stem, 64 in all published ones; the last stage gives 32 times as many.
        activation: throughout.
    """

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(self, blocks: Sequence[int] = RESNET50, width: int = 64, activation: Activation = F.relu) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        self.activation = activation
        inputs = width
        for i, count in enumerate(blocks):
            inner = width * 2**i
            stage = [
                Bottleneck(inputs if j == 0 else 4 * inner, inner, 2 if i and j == 0 else 1, activation)
                for j in range(count)
            ]
            self.add_module(f"layer{i + 1}", nn.Sequential(*stage))
            inputs = 4 * inner
        self.out_channels = inputs

    def early(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, width, H / 2, W / 2)."""
        return self.activation(self.bn1(self.conv1(images)))

    @staticmethod
    def pool(early: Tensor) -> Tensor:
        """The stem's last step: (B, width, H / 2, W / 2) -> (B, width, H / 4, W / 4)."""
        return F.max_pool2d(early, 3, 2, 1)

    def stages(self, stem: Tensor) -> tuple[Tensor, ...]:
        """(B, width, H / 4, W / 4) -> maps after each stage, (B, 4 width, H / 4, W / 4) first."""
        found = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            stem = stage(stem)
            found.append(stem)
        return tuple(found)
