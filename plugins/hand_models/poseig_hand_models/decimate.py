"""Coarser versions of a mesh, and the matrices between them: for meshes that come without any."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

__all__ = ["collapse", "upsampling_matrix"]

Floats = NDArray[np.float64]
Faces = NDArray[np.int64]


def collapse(vertices: Floats, faces: Faces, count: int) -> tuple[NDArray[np.int64], Faces]:
    """Shorten a manifold mesh to `count` of its vertices: the shortest edges first, one end moving to the other.

    Args:
        vertices: (V, 3).
        faces: (F, 3).
        count: vertices to keep.

    Returns:
        Which vertices are kept, (count,) ascending; and the faces between them, (F', 3), numbered anew.

    Raises:
        ValueError: it cannot be made so small without ceasing to be a manifold.
    """
    triangles: dict[int, tuple[int, ...]] = {i: tuple(f) for i, f in enumerate(faces.tolist())}
    at: dict[int, set[int]] = {v: set() for v in range(len(vertices))}
    for i, face in triangles.items():
        for v in face:
            at[v].add(i)

    def near(v: int) -> set[int]:
        return {n for i in at[v] for n in triangles[i]} - {v}

    def length(a: int, b: int) -> float:
        return float(np.linalg.norm(vertices[a] - vertices[b]))

    heap = [(length(a, b), a, b) for a in at for b in near(a)]
    heapq.heapify(heap)
    while len(at) > count:
        if not heap:
            raise ValueError(f"the mesh stays at {len(at)} vertices; {count} were asked for")
        _, a, b = heapq.heappop(heap)  # a goes to b
        if a not in at or b not in at or b not in near(a):
            continue
        shared = at[a] & at[b]
        edges_of_a = [len(at[a] & at[n]) for n in near(a)]
        if 1 in edges_of_a and len(shared) == 2:  # a rim's vertex moves along the rim only
            continue
        opposite = {n for i in shared for n in triangles[i]} - {a, b}
        if near(a) & near(b) != opposite or len(at[a] | at[b]) - len(shared) < 3:
            continue
        for i in at.pop(a):
            for v in triangles[i]:
                if i in shared and v != a:
                    at[v].discard(i)
            if i in shared:
                del triangles[i]
            else:
                triangles[i] = tuple(b if v == a else v for v in triangles[i])
                at[b].add(i)
        for n in near(b):
            heapq.heappush(heap, (length(b, n), b, n))
            heapq.heappush(heap, (length(n, b), n, b))
    kept = np.array(sorted(at))
    number = {int(v): i for i, v in enumerate(kept)}
    return kept, np.array([[number[v] for v in triangles[i]] for i in sorted(triangles)])


def upsampling_matrix(fine: Floats, coarse: Floats, faces: Faces) -> Floats:
    """(V, W): each fine vertex as a mean of the corners of the nearest coarse face, three non-zeros a row, rows sum to
    1.

    Args:
        fine: (V, 3).
        coarse: (W, 3).
        faces: (F, 3) of the coarse mesh.
    """
    matrix = np.zeros((len(fine), len(coarse)))
    a, b, c = (coarse[faces[:, i]] for i in range(3))
    for v, point in enumerate(fine):
        weights = _barycentric(point, a, b, c)  # (F, 3)
        nearest = np.einsum("fk,fkd->fd", weights, np.stack([a, b, c], 1))
        best = int(np.argmin(np.linalg.norm(nearest - point, axis=1)))
        np.add.at(matrix[v], faces[best], weights[best])
    return matrix


def _barycentric(point: Floats, a: Floats, b: Floats, c: Floats) -> Floats:
    """Weights (F, 3) of the point of each triangle nearest to `point`; negative ones are cut off, which errs at
    corners.
    """
    u, v, w = b - a, c - a, point - a
    uu, uv, vv, wu, wv = ((p * q).sum(1) for p, q in ((u, u), (u, v), (v, v), (w, u), (w, v)))
    det = np.maximum(uu * vv - uv * uv, 1e-18)
    s, t = (vv * wu - uv * wv) / det, (uu * wv - uv * wu) / det
    weights = np.clip(np.stack([1 - s - t, s, t], 1), 1e-6, None)  # three non-zeros in every row
    return np.asarray(weights / weights.sum(1, keepdims=True))
