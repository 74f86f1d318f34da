"""HandOccNet's feature pyramid, and the gate that parts its feature into what looks like hand and the rest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .resnet import RESNET50, BottleneckResNet

__all__ = ["FPN", "SpatialGate"]


class SpatialGate(nn.Module):
    """One weight a cell, from the channels' largest value and their mean: 7 x 7 convolution, batch norm, sigmoid.

    Source: Woo et al., *CBAM: Convolutional Block Attention Module*, ECCV 2018, section 3.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.ModuleDict({"conv": nn.Conv2d(2, 1, 7, 1, 3, bias=False), "bn": nn.BatchNorm2d(1)})

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) -> x s and x (1 - s), with s (B, 1, h, w) in (0, 1)."""
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        weight = self.spatial["bn"](self.spatial["conv"](pooled)).sigmoid()
        return x * weight, x * (1 - weight)


class FPN(nn.Module):
    """A ResNet with LeakyReLU, its maps summed from the coarsest to that of a quarter of the image, then halved and
    gated.

    Args:
        blocks, width: of the ResNet.
        channels: of the pyramid.
    """

    def __init__(self, blocks: Sequence[int] = RESNET50, width: int = 64, channels: int = 256) -> None:
        super().__init__()
        resnet = BottleneckResNet(blocks, width, F.leaky_relu)
        self.layer0 = nn.Sequential(resnet.conv1, resnet.bn1, nn.LeakyReLU(), nn.MaxPool2d(3, 2, 1))
        self.layer1, self.layer2 = nn.Sequential(resnet.layer1), nn.Sequential(resnet.layer2)
        self.layer3, self.layer4 = nn.Sequential(resnet.layer3), nn.Sequential(resnet.layer4)
        self.toplayer = nn.Conv2d(32 * width, channels, 1)
        self.latlayer1 = nn.Conv2d(16 * width, channels, 1)
        self.latlayer2 = nn.Conv2d(8 * width, channels, 1)
        self.latlayer3 = nn.Conv2d(4 * width, channels, 1)
        self.smooth2 = nn.Conv2d(channels, channels, 3, 1, 1)  # in the files, but of a map that nothing uses
        self.smooth3 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.attention_module = SpatialGate()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> primary and secondary feature, (B, channels, H / 8, W / 8) each."""
        c2 = self.layer1(self.layer0(images))
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        p = self.toplayer(self.layer4(c4))
        for lateral, c in ((self.latlayer1, c4), (self.latlayer2, c3), (self.latlayer3, c2)):
            p = F.interpolate(p, c.shape[2:], mode="bilinear", align_corners=False) + lateral(c)
        primary, secondary = self.attention_module(F.avg_pool2d(self.smooth3(p), 2))
        return primary, secondary
