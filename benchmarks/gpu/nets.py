"""Three kinds of pose networks in plain torch, with random weights: what is measured needs neither MMPose nor
torchvision.

Each maps images (B, 3, H, W) to heatmaps (B, 17, H / 4, W / 4).  `build` puts a soft-argmax behind them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poseig_mm.adapters.folding import fold_batch_norm
from poseig_mm.functional import soft_argmax

__all__ = ["JOINTS", "NETS", "VISIBLE", "Case", "build", "coordinates"]

JOINTS = 17
VISIBLE = 11  # the mean of a COCO person
STRIDE = 4  # input px a heatmap px
PEAK = 4.0  # standard deviations of a heatmap times the soft-argmax's beta: neither flat nor one pixel
OFFSET = (5.0, -3.0)  # input px from the prediction to the keypoint that is asked for


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """With batch norm, without activation."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


def deconvolution(inputs: int, outputs: int) -> nn.Sequential:
    """Twice the size, with batch norm and ReLU."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """ResNet's block: two 3 x 3 convolutions, or a bottleneck that ends in four times as many channels."""

    def __init__(self, inputs: int, width: int, stride: int = 1, *, bottleneck: bool = False) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        layers = [convolution(inputs, width, 3, stride), convolution(width, width)]
        if bottleneck:
            layers = [
                convolution(inputs, width, 1),
                convolution(width, width, 3, stride),
                convolution(width, outputs, 1),
            ]
        parts: list[nn.Module] = []
        for layer in layers:
            parts += [layer, nn.ReLU(inplace=True)]
        self.branch = nn.Sequential(*parts[:-1])
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else convolution(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(x) + self.shortcut(x))


class SimpleBaseline(nn.Module):
    """Xiao et al. 2018: ResNet-50 and three deconvolutions."""

    def __init__(self, blocks: tuple[int, ...] = (3, 4, 6, 3), width: int = 64, head: int = 256) -> None:
        super().__init__()
        stem = [convolution(3, width, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
        stages, inputs = [], width
        for stage, count in enumerate(blocks):
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                stages.append(Residual(inputs, width * 2**stage, stride, bottleneck=True))
                inputs = 4 * width * 2**stage
        deconvolutions = [deconvolution(inputs if i == 0 else head, head) for i in range(3)]
        self.layers = nn.Sequential(*stem, *stages, *deconvolutions, nn.Conv2d(head, JOINTS, 1))

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.layers(images)
        return output


class Branches(nn.Module):
    """In the manner of HRNet: branches of stride 4, 8 and 16 that exchange what they have after every module."""

    def __init__(self, modules: int = 4, blocks: int = 4, width: int = 32) -> None:
        super().__init__()
        self.widths = [width, 2 * width, 4 * width]
        relu = nn.ReLU(inplace=True)
        self.stem = nn.Sequential(convolution(3, 64, 3, 2), relu, convolution(64, width, 3, 2), relu)
        down = [convolution(a, b, 3, 2) for a, b in itertools.pairwise(self.widths)]
        self.start = nn.ModuleList(down)
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Sequential(*(Residual(w, w) for _ in range(blocks))) for w in self.widths)
            for _ in range(modules)
        )
        self.exchange = nn.ModuleList(
            nn.ModuleList(nn.ModuleList(self._between(i, j) for i in range(3)) for j in range(3))
            for _ in range(modules)
        )
        self.head = nn.Conv2d(width, JOINTS, 1)

    def _between(self, source: int, target: int) -> nn.Module:
        """From one branch's size to another's."""
        inputs, outputs = self.widths[source], self.widths[target]
        if source == target:
            return nn.Identity()
        if source > target:
            larger = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
            return nn.Sequential(convolution(inputs, outputs, 1), larger)
        steps: list[nn.Module] = []
        for step in range(target - source):
            last = step == target - source - 1
            steps += [
                convolution(inputs, outputs if last else inputs, 3, 2),
                *([] if last else [nn.ReLU(inplace=True)]),
            ]
        return nn.Sequential(*steps)

    def forward(self, images: Tensor) -> Tensor:
        scales = [self.stem(images)]
        for down in self.start:
            scales.append(F.relu(down(scales[-1])))
        for blocks, exchange in zip(self.blocks, self.exchange, strict=True):
            scales = [branch(x) for branch, x in zip(blocks, scales, strict=True)]
            scales = [F.relu(sum(path(x) for path, x in zip(paths, scales, strict=True))) for paths in exchange]
        heatmaps: Tensor = self.head(scales[0])
        return heatmaps


class Attention(nn.Module):
    """A transformer's block: attention and a perceptron of four times the width, each behind a layer norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:  # (B, patches, width)
        q, k, v = self.mix(self.norms[0](x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        output: Tensor = x + self.perceptron(self.norms[1](x))
        return output


class Transformer(nn.Module):
    """In the manner of ViTPose: patches of 16 px, a plain transformer, two deconvolutions."""

    def __init__(
        self, size: tuple[int, int], depth: int = 12, width: int = 384, heads: int = 6, head: int = 256
    ) -> None:
        super().__init__()
        self.grid = (size[1] // 16, size[0] // 16)
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.position = nn.Parameter(0.02 * torch.randn(1, self.grid[0] * self.grid[1], width))
        self.blocks = nn.Sequential(*(Attention(width, heads) for _ in range(depth)), nn.LayerNorm(width))
        self.head = nn.Sequential(deconvolution(width, head), deconvolution(head, head), nn.Conv2d(head, JOINTS, 1))

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2) + self.position
        heatmaps: Tensor = self.head(self.blocks(x).transpose(1, 2).unflatten(2, self.grid))
        return heatmaps


class Coordinates(nn.Module):
    """Heatmaps' soft-argmax in input px: images (B, 3, H, W) -> (B, 17, 2)."""

    def __init__(self, heatmaps: nn.Module) -> None:
        super().__init__()
        self.heatmaps, self.beta = heatmaps, 1.0

    def forward(self, images: Tensor) -> Tensor:
        return STRIDE * soft_argmax(self.heatmaps(images), self.beta)


NETS: dict[str, Callable[[tuple[int, int], bool], nn.Module]] = {
    "SB-R50": lambda size, small: SimpleBaseline((1, 1, 1, 1), 8, 16) if small else SimpleBaseline(),
    "HRNet-like": lambda size, small: Branches(1, 1, 8) if small else Branches(),
    "ViT-like": lambda size, small: Transformer(size, 2, 32, 2, 16) if small else Transformer(size),
}
"""By name: (input size (w, h), small) -> images to heatmaps."""


@dataclass(frozen=True)
class Case:
    """A network and persons to explain.

    `exact` is the network as it is, `fast` the same with batch norms folded, channels last, or as it is where that
    changes what it gives (torch 2.0 on a CPU); both map images (B, 3, H, W) to coordinates (B, 17, 2) in input px.
    Keypoints (B, 17, 2) are near the predictions; those that are not visible are NaN.
    """

    exact: nn.Module
    fast: nn.Module
    images: Tensor
    keypoints: Tensor

    @property
    def folded(self) -> bool:
        """Whether `fast` is another network."""
        return self.fast is not self.exact

    def persons(self, count: int, joints: int = VISIBLE) -> tuple[Tensor, Tensor]:
        """The first `count` images and keypoints, of which the first `joints` are asked for."""
        keypoints = self.keypoints[:count].clone()
        keypoints[:, joints:] = torch.nan
        return self.images[:count], keypoints


def build(name: str, persons: int, device: torch.device, *, small: bool = False) -> Case:
    """A case by the name of its network; the same weights and images on every device, in float32."""
    size = (64, 64) if small else (192, 256)
    torch.manual_seed(0)
    net = Coordinates(NETS[name](size, small)).eval().requires_grad_(False)
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(layer.weight)
    coarse = F.interpolate(torch.randn(persons, 3, size[1] // 8, size[0] // 8), size[::-1], mode="bilinear")
    images = coarse + 0.2 * torch.randn(coarse.shape)
    with torch.no_grad():
        net.beta = PEAK / net.heatmaps(images[:1]).std().item()
        keypoints = torch.cat([net(image[None]) for image in images]) + torch.tensor(OFFSET)
    net, images = net.to(device), images.to(device)
    fast = fold_batch_norm(net, coordinates, images[:1])
    return Case(net, net if fast is None else fast, images, keypoints.to(device))


def coordinates(net: nn.Module, images: Tensor) -> Tensor:
    """What a network of `build` gives for images, in the layout that suits it."""
    output: Tensor = net(images)
    return output
