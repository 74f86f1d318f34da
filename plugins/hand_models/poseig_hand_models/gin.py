"""Graph isomorphism networks on a mesh, whose graph never changes.

Source: Xu, Hu, Leskovec, Jegelka, *How Powerful are Graph Neural Networks?*, ICLR 2019, equation 4.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["GINConv", "GINResidual", "GINUnit", "MeshRefinement", "adjacency_of"]


def adjacency_of(faces: Tensor, vertices: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """(V, V): 1 where two vertices share an edge of a triangle, symmetric, nought on the diagonal.

    Args:
        faces: (F, 3) indices.
        vertices: V.
        dtype: of the result.

    >>> adjacency_of(torch.tensor([[0, 1, 2], [2, 1, 3]]), 4).int().tolist()
    [[0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 0]]
    """
    found = torch.zeros(vertices, vertices, dtype=dtype, device=faces.device)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        found[faces[:, a], faces[:, b]] = 1
        found[faces[:, b], faces[:, a]] = 1
    return found


class GINConv(nn.Module):
    """x -> MLP((1 + eps) x + sum of the neighbours' x), the MLP of one hidden layer with ReLU.

    Args:
        inputs, hidden, outputs: channels.
    """

    eps: Tensor

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.nn = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
        self.register_buffer("eps", torch.zeros(1))

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """(B, V, inputs) and (V, V) -> (B, V, outputs)."""
        found: Tensor = self.nn((1 + self.eps) * x + adjacency @ x)
        return found


class GINUnit(nn.Module):
    """A convolution, batch norm over images and vertices, ReLU; or the convolution alone.

    Args:
        inputs, hidden, outputs: channels.
        plain: without norm and ReLU.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, plain: bool = False) -> None:
        super().__init__()
        self.conv = GINConv(inputs, hidden, outputs)
        self.bn = None if plain else nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """(B, V, inputs) -> (B, V, outputs)."""
        x = self.conv(x, adjacency)
        return x if self.bn is None else self.bn(x.transpose(1, 2)).transpose(1, 2).relu()


class GINResidual(nn.Module):
    """Two units, their input added to what comes out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(GINUnit(channels, channels, channels) for _ in range(2))

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """(B, V, C) -> (B, V, C)."""
        y = x
        for unit in self.units:
            y = unit(y, adjacency)
        return x + y


class MeshRefinement(nn.Module):
    """Features of vertices -> an offset of each: a unit, residual pairs, and a convolution to three numbers.

    Args:
        inputs: channels of the features.
        channels: inside.
        hidden: of the first unit's MLP; the last one's is half of `channels`.
        residuals: pairs.
    """

    def __init__(self, inputs: int, channels: int = 64, hidden: int = 256, residuals: int = 3) -> None:
        super().__init__()
        self.head = GINUnit(inputs, hidden, channels)
        self.blocks = nn.ModuleList(GINResidual(channels) for _ in range(residuals))
        self.tail = GINUnit(channels, channels // 2, 3, plain=True)

    def forward(self, features: Tensor, adjacency: Tensor) -> Tensor:
        """(B, V, inputs) and (V, V) -> (B, V, 3)."""
        x = self.head(features, adjacency)
        for block in self.blocks:
            x = block(x, adjacency)
        found: Tensor = self.tail(x, adjacency)
        return found
