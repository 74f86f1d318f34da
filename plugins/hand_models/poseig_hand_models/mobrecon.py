"""MobRecon (Chen et al., *MobRecon: Mobile-Friendly Hand Mesh Reconstruction from Monocular Image*, CVPR 2022) as an
MMPose backbone; the names of its parts are those of the official weights (github.com/SeanChenxy/HandMesh, MIT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError, did_you_mean

from .dense_stack import DenseStackEncoder
from .mesh_layers import DepthwiseSpiralConv, SpiralConv, Upsampling, topology_tensors
from .template import mesh_levels
from .topology import MeshLevels

prepare_environment()

from mmengine.model import BaseModule  # noqa: E402  (needs a prepared environment)
from mmpose.registry import MODELS  # noqa: E402

__all__ = ["MobRecon", "mobrecon_name"]

CONVOLUTIONS: Mapping[str, type[SpiralConv] | type[DepthwiseSpiralConv]] = {
    "spiral": SpiralConv,
    "dsconv": DepthwiseSpiralConv,
}


def mobrecon_name(official: str) -> str:
    """An official weight's name in the MMPose model; the later training code calls `conv` `reduce`.

    >>> mobrecon_name('backbone.reduce.0.weight')
    'backbone.backbone.conv.0.weight'
    """
    return "backbone." + official.replace("backbone.reduce.", "backbone.conv.", 1)


class _Step(nn.Module):
    """To the next finer level of the mesh: upsampling, spiral convolution, ReLU."""

    def __init__(self, conv: nn.Module, matrix: Tensor | None) -> None:
        super().__init__()
        self.conv = conv
        self.upsampling = Upsampling(matrix)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(self.upsampling(x)))


class MeshDecoder(nn.Module):
    """The feature map looked up at the joints, lifted to the coarsest mesh, refined level by level.

    Args:
        latent: channels of the feature map.
        channels: of the levels, the finest first.
        levels: the mesh; None: not at hand (then it has no forward pass).
        coarsest: vertices of the coarsest level.
        convolution: 'spiral' or 'dsconv'.
        length: of the spirals.
        projection: whether a 1 x 1 convolution stands before it, as in the later training code.
        joints: K.
    """

    def __init__(
        self,
        latent: int,
        channels: Sequence[int],
        levels: MeshLevels | None,
        coarsest: int,
        convolution: str,
        length: int,
        projection: bool,
        joints: int,
    ) -> None:
        super().__init__()
        if convolution not in CONVOLUTIONS:
            raise ConfigError(f"convolution {convolution!r} of MobRecon; {did_you_mean(convolution, CONVOLUTIONS)}")
        layer = CONVOLUTIONS[convolution]
        widths = [channels[-1], *reversed(channels)]
        if not projection and latent != channels[-1]:
            raise ConfigError(
                f"latent is {latent} and channels end with {channels[-1]}; without a projection they are the same"
            )
        spirals, matrices = topology_tensors(levels, length, len(channels))
        self.de_layer_conv: nn.Module | None = None
        if projection:
            self.de_layer_conv = nn.Sequential(nn.Conv2d(latent, channels[-1], 1, bias=False))
        self.upsample = nn.Parameter(torch.full((coarsest, joints), 0.01))
        self.de_layer = nn.ModuleList(
            _Step(layer(a, b, length, s), m) for a, b, s, m in zip(widths, widths[1:], spirals, matrices, strict=False)
        )
        self.head = layer(channels[0], 3, length, spirals[-1])

    def forward(self, uv: Tensor, features: Tensor) -> Tensor:
        """uv (B, K, 2) in [0, 1], features (B, latent, h, w) -> vertices (B, V, 3)."""
        if self.de_layer_conv is not None:
            features = self.de_layer_conv(features)
        places = (2 * uv - 1).clamp(-1, 1)[:, :, None]  # (B, K, 1, 2); no gradient from outside the image
        x = self.upsample @ F.grid_sample(features, places, align_corners=True)[..., 0].transpose(1, 2)
        for layer in self.de_layer:
            x = layer(x)
        found: Tensor = self.head(x)
        return found


@MODELS.register_module()
class MobRecon(BaseModule):  # type: ignore[misc]  # mmengine is untyped
    """`vertices` (B, V, 3) in units of 0.2 m, relative to the wrist, and `uv` (B, 21, 2), fractions of the input's (w,
    h).

    Input: RGB, (x / 255 - 0.5) / 0.5; right hands.

    Args:
        topology: HandMesh's `transform.pkl`, or 'synthetic' (`template.mesh_levels`); None: `uv` alone, and the head
            falls back to 2D.
        size: of the square input, px.
        channels: of the encoder.
        latent: channels of its feature map.
        decoder_channels: of the mesh's levels, the finest first.
        convolution: 'spiral' (`mobrecon_densestack.pt`) or 'dsconv' (`mobrecon_densestack_dsconv.pt`).
        spiral_length: vertices of a spiral.
        projection: the weights have `decoder3d.de_layer_conv`, as the later training code writes them.
        coarsest: vertices of the coarsest level; with a topology, its own.

    Raises:
        CheckpointError: no such topology.
        ConfigError: settings that do not fit together.
    """

    def __init__(
        self,
        topology: str | None,
        size: int = 128,
        channels: int = 128,
        latent: int = 256,
        decoder_channels: Sequence[int] = (32, 64, 128, 256),
        convolution: str = "spiral",
        spiral_length: int = 9,
        projection: bool = False,
        coarsest: int = 49,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if size % 32 or channels % 4:
            raise ConfigError(f"size {size} and channels {channels} of MobRecon; expected multiples of 32 and of 4")
        levels = None if topology is None else mesh_levels(topology)
        coarsest = coarsest if levels is None else levels.counts[-1]
        self.gives_vertices = levels is not None
        self.backbone = DenseStackEncoder(size, channels, latent)
        self.decoder3d = MeshDecoder(
            latent, decoder_channels, levels, coarsest, convolution, spiral_length, projection, joints=21
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (B, 3, size, size) -> `uv`, and `vertices` where the topology is at hand."""
        features, uv = self.backbone(images)
        return {"uv": uv, **({"vertices": self.decoder3d(uv, features)} if self.gives_vertices else {})}
