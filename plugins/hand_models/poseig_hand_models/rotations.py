"""Rotations as six numbers, as matrices, and as axis-angle vectors: gradients are finite everywhere but at a half
turn.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["axis_angles", "rotations_from_6d", "rotations_from_axis_angles"]

SMALL = 1e-4  # squared sine or angle below which a series is as exact as float64


def rotations_from_6d(sixes: Tensor) -> Tensor:
    """Two vectors made orthonormal one after the other, and their cross product, as the columns of a matrix.

    Source: Zhou et al., *On the Continuity of Rotation Representations in Neural Networks*, CVPR 2019, section B.

    Args:
        sixes: (..., 6), the first vector before the second.

    Returns:
        (..., 3, 3) rotations.

    >>> (rotations_from_6d(torch.tensor([0.0, 2.0, 0.0, -3.0, 5.0, 0.0])) + 0.0).tolist()  # a quarter turn about z
    [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    first = F.normalize(sixes[..., :3], dim=-1)
    second = sixes[..., 3:]
    second = F.normalize(second - (first * second).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def rotations_from_axis_angles(vectors: Tensor) -> Tensor:
    """Rodrigues' formula: R = 1 + sin(t)/t K + (1 - cos t)/t^2 K^2; t is the vector's length, K its cross product
    matrix.

    Args:
        vectors: (..., 3), axis times angle, radians.

    Returns:
        (..., 3, 3) rotations.

    >>> rotations_from_axis_angles(torch.tensor([0.0, 0.0, torch.pi / 2])).round(decimals=6).abs().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    squared = (vectors * vectors).sum(-1)
    small = squared < SMALL
    angle = torch.where(small, 1.0, squared).sqrt()  # never the root of nought, whose gradient is not finite
    sine = torch.where(small, 1 - squared / 6 + squared**2 / 120, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - squared / 24 + squared**2 / 720, 2 * ((angle / 2).sin() / angle) ** 2)
    x, y, z = vectors.unbind(-1)
    nought = torch.zeros_like(x)
    cross = torch.stack([nought, -z, y, z, nought, -x, -y, x, nought], -1).unflatten(-1, (3, 3))
    one = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    found: Tensor = one + sine[..., None, None] * cross + cosine[..., None, None] * (cross @ cross)
    return found


def axis_angles(rotations: Tensor) -> Tensor:
    """The inverse of `rotations_from_axis_angles`, with angles from 0 to pi; by way of quaternions.

    Args:
        rotations: (..., 3, 3).

    Returns:
        (..., 3), axis times angle, radians.  At a half turn, where two axes serve, it is either.

    >>> vector = torch.tensor([0.3, -1.0, 2.0])
    >>> torch.allclose(axis_angles(rotations_from_axis_angles(vector)), vector)
    True
    """
    real, imaginary = _quaternions(rotations)
    squared = (imaginary * imaginary).sum(-1, keepdim=True)
    small = squared < SMALL
    sine = torch.where(small, 1.0, squared).sqrt()
    near = torch.where(small, real, 1.0)  # there the real part is nearly 1
    ratio = squared / near**2
    series = (1 - ratio / 3 + ratio**2 / 5) / near
    return 2 * torch.where(small, series, torch.atan2(sine, real) / sine) * imaginary


def _quaternions(rotations: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations (..., 3, 3) -> real part (..., 1) >= 0 and imaginary part (..., 3).

    4 q_i q, a row of the table for each component, is made of sums of the matrix's entries; the row of the largest
    component is normalised, so that nothing is divided by little.
    """
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in rotations.unbind(-2))
    table = torch.stack(
        [
            torch.stack([1 + a + e + i, h - f, c - g, d - b], -1),
            torch.stack([h - f, 1 + a - e - i, b + d, c + g], -1),
            torch.stack([c - g, b + d, 1 - a + e - i, f + h], -1),
            torch.stack([d - b, c + g, f + h, 1 - a - e + i], -1),
        ],
        -2,
    )
    largest = table.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None].expand(*table.shape[:-2], 1, 4)
    quaternion = F.normalize(table.gather(-2, largest)[..., 0, :], dim=-1)
    quaternion = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    return quaternion[..., :1], quaternion[..., 1:]
