"""The neighbours of each vertex of a triangle mesh, in the order in which one walks around it.

The order decides which weight of a trained spiral convolution meets which neighbour, so it must be that of OpenMesh,
with which the published models were trained: its half-edge structure, faces inserted one by one, each vertex's
neighbours visited clockwise from its outgoing half-edge (a boundary one where there is one).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from poseig_mm.errors import ShapeError

__all__ = ["vertex_neighbours"]


def vertex_neighbours(faces: ArrayLike, vertices: int | None = None) -> list[list[int]]:
    """Neighbours of each vertex in OpenMesh's order.

    Args:
        faces: (F, 3), corners anticlockwise seen from outside, in the file's order (it matters).
        vertices: how many there are; None: up to the highest that a face names.

    Raises:
        ShapeError: faces of another shape, or a surface that is not a manifold.

    >>> vertex_neighbours([[0, 1, 2], [0, 2, 3]])  # a square: seen from its front; at the rim the walk begins there
    [[3, 2, 1], [0, 2], [1, 0, 3], [2, 0]]
    """
    triangles = np.asarray(faces)
    if triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ShapeError(f"faces have shape {triangles.shape}; expected (F, 3)")
    count = int(triangles.max()) + 1 if vertices is None else vertices
    mesh = _Mesh(count)
    for face in triangles.tolist():
        mesh.add(face)
    return [mesh.neighbours(v) for v in range(count)]


class _Mesh:
    """Half-edges 2 e and 2 e + 1 are the two directions of edge e; -1 is none."""

    def __init__(self, vertices: int) -> None:
        self.outgoing = [-1] * vertices
        self.target: list[int] = []
        self.next: list[int] = []
        self.previous: list[int] = []
        self.inside: list[bool] = []  # whether a face lies on the half-edge
        self.found: dict[tuple[int, int], int] = {}  # (from, to) -> half-edge

    def neighbours(self, vertex: int) -> list[int]:
        return [self.target[h] for h in self.around(vertex)]

    def around(self, vertex: int) -> list[int]:
        """Outgoing half-edges, clockwise."""
        start = self.outgoing[vertex]
        if start < 0:
            return []
        walk = [start]
        while (h := self.next[walk[-1] ^ 1]) != start:
            if len(walk) > len(self.target):
                raise ShapeError(f"the faces around vertex {vertex} are not a manifold")
            walk.append(h)
        return walk

    def add(self, face: Sequence[int]) -> None:
        """Insert a face; each of its corners lies between the edge that comes in (i) and the one that goes out (j)."""
        edges = [self.found.get((a, b), -1) for a, b in zip(face, (*face[1:], face[0]), strict=True)]
        new = [h < 0 for h in edges]
        if any(h >= 0 and self.inside[h] for h in edges):
            raise ShapeError(
                f"the face {tuple(face)} lies on an edge that has two faces, or is turned the other way round"
            )
        pairs = [(i, (i + 1) % 3) for i in range(3)]
        for i, j in pairs:
            if not new[i] and not new[j] and self.next[edges[i]] != edges[j]:
                self._relink(edges[i], edges[j])
        for i, j in pairs:
            if new[i]:
                edges[i] = self._edge(face[i], face[j])
        links: list[tuple[int, int]] = []
        adjust = []
        for i, j in pairs:
            vertex, before, after = face[j], edges[i], edges[j]
            outer_before, outer_after = after ^ 1, before ^ 1
            if new[i] and new[j]:
                rim = self.outgoing[vertex]
                if rim < 0:
                    self.outgoing[vertex] = outer_after
                    links.append((outer_before, outer_after))
                else:  # two fans meet in this vertex
                    links += [(self.previous[rim], outer_after), (outer_before, rim)]
            elif new[i]:
                links.append((self.previous[after], outer_after))
                self.outgoing[vertex] = outer_after
            elif new[j]:
                links.append((outer_before, self.next[before]))
                self.outgoing[vertex] = self.next[before]
            elif self.outgoing[vertex] == after:
                adjust.append(vertex)
            if new[i] or new[j]:
                links.append((before, after))
            self.inside[before] = True
        for a, b in links:
            self._link(a, b)
        for vertex in adjust:  # its outgoing half-edge has a face now: take one on the rim, where there is one
            self.outgoing[vertex] = next((h for h in self.around(vertex) if not self.inside[h]), self.outgoing[vertex])

    def _relink(self, before: int, after: int) -> None:
        """Both edges exist, with other faces between them: move those into another gap of the vertex."""
        gap = after ^ 1
        while True:
            gap = self.next[gap] ^ 1
            if not self.inside[gap]:
                break
        if gap == before:
            raise ShapeError("the faces around a vertex are not a manifold")
        start, end, rest = self.next[before], self.previous[after], self.next[gap]
        self._link(gap, start)
        self._link(end, rest)
        self._link(before, after)

    def _edge(self, a: int, b: int) -> int:
        h = len(self.target)
        self.target += [b, a]
        self.next += [-1, -1]
        self.previous += [-1, -1]
        self.inside += [False, False]
        self.found[a, b], self.found[b, a] = h, h + 1
        return h

    def _link(self, a: int, b: int) -> None:
        self.next[a], self.previous[b] = b, a
