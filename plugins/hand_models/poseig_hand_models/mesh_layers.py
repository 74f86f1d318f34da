"""Layers on a mesh: spiral convolutions, plain and depth-wise, and the step to a finer level.

The topology (which vertices a spiral visits, the matrices between levels) is no part of the published weights: it comes
from a file, so its buffers are not saved with the model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from poseig_mm.errors import ConfigError

from .topology import MeshLevels

__all__ = ["DepthwiseSpiralConv", "SpiralConv", "Upsampling", "topology_tensors"]

Topology = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]


def topology_tensors(
    levels: MeshLevels | None, length: int, steps: int = 4
) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """Spirals (V_i, length) and upsampling matrices (V_i, V_i+1) of a decoder's steps, the coarsest first.

    All None where the topology is not at hand.

    Raises:
        ConfigError: the mesh has another number of levels than the decoder has steps, plus one.
    """
    if levels is None:
        return [None] * steps, [None] * steps
    if len(levels.up) != steps:
        raise ConfigError(f"the mesh has {len(levels.counts)} levels; the decoder of {steps} steps needs {steps + 1}")
    return [*reversed(levels.spirals([length] * steps))], [*reversed(levels.upsampling())]


class SpiralConv(nn.Module):
    """A linear map of each vertex's spiral, its values one after the other (Gong et al., SpiralNet++, 2019).

    Args:
        inputs, outputs: channels.
        length: of the spirals.
        spirals: (V, at least `length`) indices; None: not at hand, and the layer cannot run.

    >>> layer = SpiralConv(1, 1, 2, torch.tensor([[0, 1], [1, 2], [2, 0]]))
    >>> _ = nn.init.constant_(layer.layer.bias, 0), layer.layer.weight.data.copy_(torch.tensor([[1.0, 10.0]]))
    >>> layer(torch.tensor([[[1.0], [2.0], [3.0]]])).flatten().tolist()
    [21.0, 32.0, 13.0]
    """

    spirals: Tensor

    def __init__(self, inputs: int, outputs: int, length: int, spirals: Tensor | None) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs * length, outputs)
        nn.init.xavier_uniform_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        self.register_buffer("spirals", None if spirals is None else spirals[:, :length].clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, V, inputs) -> (B, V, outputs)."""
        found: Tensor = self.layer(x[:, self.spirals].flatten(2))  # (B, V, length * inputs)
        return found


class DepthwiseSpiralConv(nn.Module):
    """Each channel's spiral weighted alone, then a linear map of the channels (MobRecon's DSConv; no biases).

    The weights over the spiral are kept as a convolution's, (inputs, 1, n, n) with n * n the spiral's length.

    Args: as `SpiralConv`; `length` a square number.
    """

    spirals: Tensor

    def __init__(self, inputs: int, outputs: int, length: int, spirals: Tensor | None) -> None:
        super().__init__()
        side = math.isqrt(length)
        if side * side != length:
            raise ConfigError(
                f"spirals of {length} vertices; a depth-wise spiral convolution needs a square number, e.g. 9"
            )
        self.spatial_layer = nn.Conv2d(inputs, inputs, side, groups=inputs, bias=False)
        self.channel_layer = nn.Linear(inputs, outputs, bias=False)
        nn.init.xavier_uniform_(self.spatial_layer.weight)
        nn.init.xavier_uniform_(self.channel_layer.weight)
        self.register_buffer("spirals", None if spirals is None else spirals[:, :length].clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, V, inputs) -> (B, V, outputs)."""
        weights = self.spatial_layer.weight.flatten(1)  # (inputs, length)
        found: Tensor = self.channel_layer(torch.einsum("bvlc,cl->bvc", x[:, self.spirals], weights))
        return found


class Upsampling(nn.Module):
    """From a level to the next finer one.

    Args:
        matrix: (V, W); None: not at hand.
    """

    matrix: Tensor

    def __init__(self, matrix: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, W, C) -> (B, V, C)."""
        return self.matrix @ x
