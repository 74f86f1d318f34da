"""Spirals on a mesh, and a mesh's coarser levels: what mesh decoders know about the hand's surface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from poseig_mm.errors import CheckpointError, ShapeError

from .half_edges import vertex_neighbours
from .mano_file import read_pickle

__all__ = ["MeshLevels", "read_transform", "spiral_indices"]

TRANSFORM = (
    "HandMesh's template/transform.pkl (github.com/SeanChenxy/HandMesh), made of MANO's mesh: MANO's licence holds "
    "(non-commercial research), so it is not shipped; 'synthetic' takes our own mesh, which no published weights fit"
)


@dataclass(frozen=True)
class MeshLevels:
    """A mesh and coarser versions of it, the finest first (published hands: 778, 389, 195, 98, 49 vertices)."""

    vertices: tuple[NDArray[np.float64], ...]  # (V_i, 3), metres
    faces: tuple[NDArray[np.int64], ...]  # (F_i, 3)
    up: tuple[Any, ...]  # scipy.sparse (V_i, V_i+1): level i + 1 -> i, one fewer than levels
    down: tuple[Any, ...]  # scipy.sparse (V_i+1, V_i)

    @property
    def counts(self) -> tuple[int, ...]:
        """Vertices of each level."""
        return tuple(len(v) for v in self.vertices)

    def spirals(self, lengths: Sequence[int]) -> tuple[Tensor, ...]:
        """`spiral_indices` of the levels but the coarsest, (V_i, lengths[i]) each."""
        return tuple(
            spiral_indices(self.faces[i], length, self.vertices[i])
            for i, length in zip(range(len(self.up)), lengths, strict=True)
        )

    def upsampling(self) -> tuple[Tensor, ...]:
        """Dense (V_i, V_i+1) float32: vertices of level i = matrix @ those of level i + 1."""
        return tuple(torch.from_numpy(np.asarray(m.toarray(), dtype=np.float32)) for m in self.up)


def read_transform(path: str | Path) -> MeshLevels:
    """HandMesh's `template/transform.pkl`, read without running what is in it (`mano_file.read_pickle`).

    Raises:
        CheckpointError: there is no such file, it holds more than arrays, or its levels do not fit together.
    """
    return read_pickle(path, TRANSFORM, _levels)


def _levels(content: Any) -> MeshLevels:
    names = ("vertices", "face", "up_transform", "down_transform")
    missing = [n for n in names if n not in content] if isinstance(content, Mapping) else list(names)
    if missing:
        raise CheckpointError(f"it has no {', '.join(missing)}")
    vertices = tuple(np.asarray(v, dtype=np.float64) for v in content["vertices"])
    faces = tuple(np.asarray(f).astype(np.int64) for f in content["face"])
    up, down = tuple(content["up_transform"]), tuple(content["down_transform"])
    counts = [len(v) for v in vertices]
    shapes = list(pairwise(counts))
    if [m.shape for m in up] != shapes or [m.shape[::-1] for m in down] != shapes or len(faces) != len(vertices):
        raise CheckpointError(f"levels of {counts} vertices do not fit matrices {[m.shape for m in up]}")
    return MeshLevels(vertices, faces, up, down)


def spiral_indices(faces: ArrayLike, length: int, vertices: ArrayLike | None = None) -> Tensor:
    """The first `length` vertices of the spiral around each vertex, (V, length) int64 (SpiralNet++, Gong et al. 2019).

    A spiral is the vertex, its neighbours in the walk's order (`half_edges`), then ring after ring: for each vertex of
    the last ring its new neighbours, the walk begun behind one that lies in the last ring.  Where the mesh ends before
    the spiral is long enough, it is the nearest vertices instead; a mesh with fewer vertices than `length` is padded by
    the vertex itself.

    Args:
        faces: (F, 3), see `half_edges.vertex_neighbours`.
        length: vertices of a spiral.
        vertices: (V, 3), for the nearest ones; None: the spiral found, padded by the vertex itself.

    Raises:
        ShapeError: a length below 1, or faces that are no manifold.

    >>> fan = [[0, i, i + 1] for i in range(1, 6)] + [[0, 6, 1]] + [[i, i + 6, i % 6 + 1] for i in range(1, 7)]
    >>> fan += [[i % 6 + 1, i + 6, i % 6 + 7] for i in range(1, 7)]  # two rings of six
    >>> sorted(spiral_indices(fan, 7)[0].tolist()), sorted(spiral_indices(fan, 13)[0].tolist()[7:])
    ([0, 1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12])
    """
    if length < 1:
        raise ShapeError(f"a spiral of {length} vertices; expected at least 1, the vertex itself")
    points = None if vertices is None else np.asarray(vertices, dtype=np.float64)
    rings = vertex_neighbours(faces, None if points is None else len(points))
    found = [_spiral(v, length, rings, points) for v in range(len(rings))]
    return torch.tensor([s[:length] + [s[0]] * (length - len(s)) for s in found])


def _spiral(vertex: int, length: int, rings: list[list[int]], points: NDArray[np.float64] | None) -> list[int]:
    spiral, last = [vertex, *rings[vertex]], rings[vertex]
    ring = _next_ring(last, [vertex], rings)
    while ring and len(spiral) + len(ring) < length:
        spiral += ring
        last, ring = ring, _next_ring(ring, spiral, rings)
    if ring or points is None:
        return spiral + ring
    distance = np.linalg.norm(points - points[vertex], axis=1)
    distance[vertex] = -1
    return [int(i) for i in np.argsort(distance, kind="stable")[:length]]


def _next_ring(last: list[int], seen: list[int], rings: list[list[int]]) -> list[int]:
    inner, known, found = set(last), {*seen, *last}, list[int]()
    for vertex in last:
        walk = rings[vertex]
        start = next((i for i, n in enumerate(walk) if n in inner), len(walk))
        for n in walk[start:] + walk[:start]:
            if n not in known:
                known.add(n)
                found.append(n)
    return found
