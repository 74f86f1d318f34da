"""Losses on a mesh's faces (Pixel2Mesh's normals, Pose2Mesh's edges), as MobRecon, CMR and I2L-MeshNet are trained
with.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize

__all__ = ["edge_loss", "normal_loss"]


def normal_loss(found: Tensor, truth: Tensor, faces: Tensor) -> Tensor:
    """Mean |cosine| between the edges of a found face and the normal of the true one: 0 where they are parallel planes.

    Args:
        found, truth: (B, V, 3); faces with a true vertex that is NaN do not count.
        faces: (F, 3).

    >>> import torch
    >>> flat, face = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]]), torch.tensor([[0, 1, 2]])
    >>> upright = flat[..., [2, 0, 1]]  # one edge stays in the plane, one is normal to it, one halfway
    >>> normal_loss(2 * flat, flat, face).item(), round(normal_loss(upright, flat, face).item(), 4)
    (0.0, 0.569)
    """
    known = truth[:, faces].isfinite().all((-1, -2))  # (B, F)
    truth = truth.where(truth.isfinite(), found.detach())
    a, b, c = (truth[:, faces[:, i]] for i in range(3))
    normals = normalize((b - a).cross(c - a, dim=-1), dim=-1)[:, :, None]  # (B, F, 1, 3)
    edges = normalize(_edges(found, faces), dim=-1)
    return _mean((edges * normals).sum(-1).abs(), known)


def edge_loss(found: Tensor, truth: Tensor, faces: Tensor) -> Tensor:
    """Mean difference of the lengths of the faces' edges, in the vertices' unit; faces as in `normal_loss`.

    >>> import torch
    >>> flat = torch.tensor([[[0.0, 0, 0], [3, 0, 0], [0, 4, 0]]])
    >>> edge_loss(2 * flat, flat, torch.tensor([[0, 1, 2]])).item()  # 3, 4 and 5
    4.0
    """
    known = truth[:, faces].isfinite().all((-1, -2))
    truth = truth.where(truth.isfinite(), found.detach())
    return _mean((_edges(found, faces).norm(dim=-1) - _edges(truth, faces).norm(dim=-1)).abs(), known)


def _mean(values: Tensor, known: Tensor) -> Tensor:
    """Of values (B, F, 3), those of known (B, F) faces; 0 where none is."""
    return (values * known[..., None]).sum() / (3 * known.sum()).clamp_min(1)


def _edges(vertices: Tensor, faces: Tensor) -> Tensor:
    """(B, F, 3, 3): each face's three edges."""
    corners = vertices[:, faces]  # (B, F, 3, 3)
    return corners[:, :, [1, 2, 2]] - corners[:, :, [0, 0, 1]]
