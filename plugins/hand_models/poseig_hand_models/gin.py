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
        return x if self.bn is None else _normalised(self.bn, x).relu()


def _normalised(norm: nn.Module, x: Tensor) -> Tensor:
    """(B, V, C): batch norm of each channel over images and vertices."""
    normalised: Tensor = norm(x.transpose(1, 2)).transpose(1, 2)
    return normalised


class GINResidual(nn.Module):
    """Twice a convolution, batch norm and ReLU, their input added to what comes out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = GINConv(channels, channels, channels), nn.BatchNorm1d(channels)
        self.conv2, self.bn2 = GINConv(channels, channels, channels), nn.BatchNorm1d(channels)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """(B, V, C) -> (B, V, C)."""
        y = _normalised(self.bn1, self.conv1(x, adjacency)).relu()
        return x + _normalised(self.bn2, self.conv2(y, adjacency)).relu()


class MeshRefinement(nn.Module):
    """Features of vertices -> an offset of each: a unit, three residual pairs, and a convolution to three numbers.

    Args:
        inputs: channels of the features.
        channels: inside.
        hidden: of the first unit's MLP; the last one's is half of `channels`.
    """

    def __init__(self, inputs: int, channels: int = 64, hidden: int = 256) -> None:
        super().__init__()
        self.head = GINUnit(inputs, hidden, channels)
        self.res1, self.res2, self.res3 = (GINResidual(channels) for _ in range(3))
        self.tail = GINUnit(channels, channels // 2, 3, plain=True)

    def forward(self, features: Tensor, adjacency: Tensor) -> Tensor:
        """(B, V, inputs) and (V, V) -> (B, V, 3)."""
        x = self.head(features, adjacency)
        for residual in (self.res1, self.res2, self.res3):
            x = residual(x, adjacency)
        offsets: Tensor = self.tail(x, adjacency)
        return offsets
