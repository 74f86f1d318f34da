"""CMR as an MMPose backbone; the names of its parts are those of the official weights (github.com/SeanChenxy/HandMesh,
MIT).

Source: Chen et al., *Camera-Space Hand Mesh Recovery via Semantic Aggregation and Adaptive 2D-1D Registration*, CVPR
2021. The registration to the camera is an optimisation after the network, and not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError

from .encoders import Encoder, HeatmapDecoder
from .mesh_layers import SpiralConv, Upsampling, topology_tensors
from .template import mesh_levels

prepare_environment()

from mmengine.model import BaseModule  # noqa: E402  (needs a prepared environment)
from mmpose.registry import MODELS  # noqa: E402

__all__ = ["CMR", "PAIRS", "VARIANTS"]

JOINTS = 21
PAIRS = tuple(combinations((4, 8, 12, 16, 20), 2))  # of fingertips
FINGERS = tuple(tuple(range(i, i + 4)) for i in (1, 5, 9, 13, 17))
VARIANTS = ("g", "sg", "pg")
SHARP = 30.0  # beta of the soft-argmax of maps of peak 1 on 112 x 112 cells: e^30 stands above all of them together


class SelfAttention(nn.Module):
    """Attention among the values of one vector, each value a token; `gamma` times it is added to the vector."""

    def __init__(self, values: int) -> None:
        super().__init__()
        for name in ("query_conv", "key_conv", "value_conv"):
            layer = nn.Linear(values, values)
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
            self.add_module(name, layer)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N) -> (B, N)."""
        query, key, value = (self.get_submodule(f"{n}_conv")(x) for n in ("query", "key", "value"))
        attention = (query[:, :, None] * key[:, None]).softmax(-1)  # (B, N, N)
        found: Tensor = self.gamma * (attention @ value[:, :, None])[..., 0] + x
        return found


class ParallelStep(nn.Module):
    """Upsampling, then spirals of three lengths side by side, plus a linear map of the vertex alone; ReLU.

    Of the channels the longest spiral gives a half, those of two thirds and one third of its length a quarter each.
    """

    def __init__(self, inputs: int, outputs: int, length: int, spirals: Tensor | None, matrix: Tensor | None) -> None:
        super().__init__()
        third = length // 3
        self.conv = SpiralConv(inputs, outputs // 2, length, spirals)
        self.conv_2d3 = SpiralConv(inputs, outputs // 4, 2 * third, spirals)
        self.conv_d3 = SpiralConv(inputs, outputs // 4, third, spirals)
        self.conv1 = SpiralConv(inputs, outputs, 1, spirals)
        self.upsampling = Upsampling(matrix)

    def forward(self, x: Tensor) -> Tensor:
        """(B, W, inputs) -> (B, V, outputs)."""
        x = self.upsampling(x)
        return F.relu(self.conv1(x) + torch.cat([self.conv(x), self.conv_2d3(x), self.conv_d3(x)], -1))


@MODELS.register_module()
class CMR(BaseModule):  # type: ignore[misc]  # mmengine is untyped
    """`vertices` (B, V, 3) in units of 0.2 m, relative to the wrist; `uv` (B, 21, 2), fractions of the input's (w, h),
    by a soft-argmax of the last heatmaps, and `uv_decided`, by their argmax, as published (it has no gradient).

    Input: RGB, (x / 255 - 0.5) / 0.5, 224 x 224; right hands.

    Args:
        topology: HandMesh's `transform.pkl`, or 'synthetic' (`template.mesh_levels`); None: `uv` alone.
        variant: 'g' (two encoders; fingertip pairs and fingers as groups), 'sg' (mask first) or 'pg' (2D pose first).
        depth: 18 or 50, of each ResNet.
        attention: None: the published one's, without for 'g'.
        width: channels of the ResNets' stems.
        latent: values between encoder and mesh.
        decoder_channels: of the mesh's levels, the finest first.
        spiral_length: vertices of the longest spiral.
        coarsest: vertices of the coarsest level; with a topology, its own.
        uv_beta: sharpness of the soft-argmax.
        blocks: of each ResNet stage; None: of the depth.

    Raises:
        CheckpointError: no such topology.
        ConfigError: no such variant or depth.
    """

    def __init__(
        self,
        topology: str | None,
        variant: str = "pg",
        depth: int = 18,
        attention: bool | None = None,
        width: int = 64,
        latent: int = 1000,
        decoder_channels: Sequence[int] = (64, 128, 256, 512),
        spiral_length: int = 27,
        coarsest: int = 49,
        uv_beta: float = SHARP,
        blocks: Sequence[int] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if variant not in VARIANTS:
            raise ConfigError(f"variant {variant!r} of CMR; there are {', '.join(VARIANTS)}")
        self.variant, self.uv_beta = variant, uv_beta
        self.groups = (*PAIRS, *FINGERS) if variant == "g" else PAIRS
        levels = None if topology is None else mesh_levels(topology)
        self.gives_vertices = levels is not None
        self.coarsest = coarsest if levels is None else levels.counts[-1]
        gathered = width + JOINTS + len(self.groups)
        if variant == "g":
            self.backbone = Encoder(depth, width, blocks=blocks)
            self.backbone_mesh = Encoder(depth, width, gathered, latent, blocks)
            decoders = {"uv_": ("uv_delayer", "uv_head", JOINTS), "uvm_": ("uv_delayer2", "uv_head2", JOINTS + 1)}
            channels = self.backbone.channels
        else:
            self.backbone1 = Encoder(depth, width, blocks=blocks)
            self.backbone2 = Encoder(depth, width, width + (1 if variant == "sg" else JOINTS), latent, blocks)
            self.backbone3 = Encoder(depth, width, gathered, latent, blocks)
            first = "mask" if variant == "sg" else "uv_prior"
            decoders = {
                "first": (f"{first}_delayer", f"{first}_head", 1 if variant == "sg" else JOINTS),
                "uv": ("uv_delayer", "uv_head", JOINTS),
                "uvm": ("uvm_delayer", "uvm_head", JOINTS + 1),
            }
            channels = self.backbone1.channels
        self._decoders = list(decoders.values())
        for steps, head, outputs in self._decoders:
            for name, module in zip((steps, head), HeatmapDecoder.layers(channels, outputs), strict=True):
                self.add_module(name, module)
        with_attention = variant != "g" if attention is None else attention
        self.attention = SelfAttention(latent) if with_attention else None
        spirals, matrices = topology_tensors(levels, spiral_length, len(decoder_channels))
        widths = list(reversed(decoder_channels))
        inputs = [
            widths[0],
            *(w + 3 for w in widths[:-1]),
        ]  # behind the first: a level's prediction beside its features
        self.de_layers = nn.ModuleList(
            [
                nn.Linear(latent, self.coarsest * widths[0]),
                *(
                    ParallelStep(a, b, spiral_length, s, m)
                    for a, b, s, m in zip(inputs, widths, spirals, matrices, strict=True)
                ),
            ]
        )
        self.heads = nn.ModuleList(SpiralConv(w, 3, spiral_length, s) for w, s in zip(widths, spirals, strict=True))

    def forward(self, images: Tensor) -> dict[str, Any]:
        """Images (B, 3, n, n) -> `uv`, `uv_decided`, `heatmaps` (B, 21, n / 2, n / 2); with a topology `vertices`.

        In training also what else has a loss: `heatmaps_all`, each (B, 21, n / 2, n / 2), `masks_all`, each (B, n / 2,
        n / 2), and with a topology `levels`, the coarser meshes, each (B, V_i, 3), the finest first.
        """
        early: list[Tensor] = []
        if self.variant == "g":
            stem, maps = self.backbone(images)
            last = self.backbone_mesh
        else:
            stem, maps = self.backbone1(images)
            prior = self._heatmaps(0, maps)
            early.append(prior)
            second, maps = self.backbone2(torch.cat([stem, prior], 1))
            stem = second if self.variant == "sg" else stem
            last = self.backbone3
        uv = self._heatmaps(-2, maps)
        sums = [uv[:, list(group)].sum(1, keepdim=True) for group in self.groups]
        _, maps = last(torch.cat([stem, uv, *sums], 1))
        heatmaps, mask = self._heatmaps(-1, maps).split((JOINTS, 1), 1)
        predictions: dict[str, Any] = {
            "uv": _soft(heatmaps, self.uv_beta),
            "uv_decided": _hard(heatmaps),
            "heatmaps": heatmaps,
        }
        if self.training:
            every = [heatmaps, mask, uv, *early]
            predictions["heatmaps_all"] = [m for m in every if m.shape[1] == JOINTS]
            predictions["masks_all"] = [m[:, 0] for m in every if m.shape[1] == 1]
        if self.gives_vertices:
            levels = self._mesh(last.code(maps))
            predictions["vertices"] = levels[0]
            if self.training:
                predictions["levels"] = levels[1:]
        return predictions

    def _heatmaps(self, number: int, maps: tuple[Tensor, ...]) -> Tensor:
        steps, head, _ = self._decoders[number]
        return HeatmapDecoder.run(getattr(self, steps), getattr(self, head), maps)

    def _mesh(self, code: Tensor) -> list[Tensor]:
        """(B, latent) -> the levels' vertices (B, V_i, 3), the finest first."""
        if self.attention is not None:
            code = self.attention(code)
        x = self.de_layers[0](code).reshape(len(code), self.coarsest, -1)
        levels: list[Tensor] = []
        for step, head in zip(list(self.de_layers)[1:], self.heads, strict=True):
            assert isinstance(step, ParallelStep)
            x = step(x)
            level = head(x)
            levels.insert(0, (level + step.upsampling(levels[0])) / 2 if levels else level)
            x = torch.cat([x, levels[0]], -1)
        return levels


def _soft(heatmaps: Tensor, beta: float) -> Tensor:
    """(B, K, h, w) -> expected cell (B, K, 2), as a fraction of (w, h)."""
    h, w = heatmaps.shape[-2:]
    weights = (beta * heatmaps).flatten(2).softmax(-1).reshape(heatmaps.shape)
    x, y = (torch.arange(n, dtype=weights.dtype, device=weights.device) / n for n in (w, h))
    return torch.stack([(weights.sum(2) * x).sum(-1), (weights.sum(3) * y).sum(-1)], -1)


def _hard(heatmaps: Tensor) -> Tensor:
    """(B, K, h, w) -> the highest cell (B, K, 2), as a fraction of (w, h)."""
    h, w = heatmaps.shape[-2:]
    index = heatmaps.flatten(2).argmax(-1)
    return torch.stack([(index % w) / w, (index // w) / h], -1).to(heatmaps)
