"""A hand of our own making with MANO's numbers (778 vertices, 16 joints): for tests and demonstrations, no published
weights fit it.  Its surface is two sheets over a silhouette drawn on a grid, joined at the rim and open at the wrist.

"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .decimate import collapse, upsampling_matrix
from .joints import FINGERS, MANO_FINGERS, MANO_PARENTS
from .mano_file import ManoData
from .topology import MeshLevels, read_transform

__all__ = ["SyntheticHand", "mesh_levels", "synthetic_hand"]

CELL = 0.006  # m
# Finger -> first cell (x, y), its direction, its length in cells; three cells wide
LAYOUT = {
    "thumb": ((-8, 5), (-1, 0), 8),
    "index": ((0, 14), (0, 1), 13),
    "middle": ((4, 14), (0, 1), 14),
    "ring": ((8, 14), (0, 1), 13),
    "little": ((12, 14), (0, 1), 11),
}
PALM = (15, 14)  # cells


@dataclass(frozen=True)
class SyntheticHand:
    """A mesh with all that belongs to it; metres, palm in the x-y plane, fingers along y, wrist at the origin."""

    mano: ManoData
    tips: Mapping[str, int]  # finger -> vertex
    levels: MeshLevels  # 778, 389, 195, 98, 49 vertices


@lru_cache(maxsize=4)
def synthetic_hand(vertices: int = 778, levels: int = 5) -> SyntheticHand:
    """The hand, always the same.

    Args:
        vertices: of the finest level.
        levels: each has half the vertices of the one before, rounded up.

    >>> synthetic_hand().levels.counts
    (778, 389, 195, 98, 49)
    """
    points, faces = _surface()
    kept, faces = collapse(points, faces, vertices)
    points = points[kept]
    joints, tips = _joints()
    regressor = np.exp(-(np.linalg.norm(points[None, :, :2] - joints[:, None, :2], axis=2) ** 2) / (2 * 0.005**2))
    bones = np.stack([_distance(points, joints[i], _end_of_bone(i, joints, tips)) for i in range(16)], 1)  # (V, 16)
    weights = np.exp(-(bones**2) / (2 * 0.006**2)) + 1e-12
    random = np.random.default_rng(0)
    mano = ManoData(
        v_template=points,
        shapedirs=_smooth(points, 10, 2e-3, random),
        posedirs=_smooth(points, 135, 5e-4, random),
        joint_regressor=regressor / regressor.sum(1, keepdims=True),
        weights=weights / weights.sum(1, keepdims=True),
        hands_mean=random.normal(0, 0.1, 45),
        faces=faces,
        parents=MANO_PARENTS,
    )
    nearest = {f: int(np.linalg.norm(points - tips[f], axis=1).argmin()) for f in FINGERS}
    return SyntheticHand(mano, nearest, _levels(points, faces, levels))


def mesh_levels(source: str | Path) -> MeshLevels:
    """The levels of a user's `transform.pkl`, or, for 'synthetic', of our own mesh.

    Raises:
        CheckpointError: see `topology.read_transform`.
    """
    if str(source) == "synthetic":
        return synthetic_hand().levels
    return read_transform(source)


def _surface() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    cells = {(x, y) for x in range(PALM[0]) for y in range(PALM[1])}
    for (x, y), (dx, dy), length in LAYOUT.values():
        cells |= {
            (x + i * abs(dx) + j * abs(dy), y + i * abs(dy) + j * abs(dx)) for i in range(length) for j in range(3)
        }
    corners = sorted({(x + i, y + j) for x, y in cells for i in (0, 1) for j in (0, 1)})
    rim = [
        c for c in corners if not _wrist(c) and not all((c[0] - i, c[1] - j) in cells for i in (0, 1) for j in (0, 1))
    ]
    depth = np.linalg.norm(np.array(corners)[:, None] - np.array(rim)[None], axis=2).min(1)  # cells to the rim
    height = 0.009 * np.sqrt(1 - (1 - np.minimum(depth, 2) / 2) ** 2)
    on_rim = set(rim)
    number: dict[tuple[int, int, int], int] = {}  # corner and side (1 front, -1 back, 0 both) -> vertex
    points: list[tuple[float, float, float]] = []
    for corner, h in zip(corners, height, strict=True):
        for side in (0,) if corner in on_rim else (1, -1):
            number[(*corner, side)] = len(points)
            points.append(((corner[0] - PALM[0] / 2) * CELL, corner[1] * CELL, side * h))
    faces = []
    for x, y in sorted(cells):
        quad = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)]  # anticlockwise from the front
        if quad[0] in on_rim and quad[2] in on_rim:  # no edge through the hand from rim to rim
            quad = quad[1:] + quad[:1]
        for side in (1, -1):
            a, b, c, d = (number[(*q, 0 if q in on_rim else side)] for q in quad[::side])
            faces += [(a, b, c), (a, c, d)] if side == 1 else [(a, b, d), (b, c, d)]
    return np.array(points), np.array(faces)


def _wrist(corner: tuple[int, int]) -> bool:
    """Whether the two sheets are apart there, though it is an edge of the silhouette."""
    return corner[1] == 0 and 0 < corner[0] < PALM[0]


def _joints() -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]]]:
    """The 16 joints in MANO's order, (16, 3), and the fingertips."""
    found, tips = [np.array([0.0, 0.0])], {}
    for finger in MANO_FINGERS:
        (x, y), (dx, dy), length = LAYOUT[finger]
        first = np.array([x + (length if dx else 1.5), y + (0 if dy else 1.5)])
        along = np.array([dx, dy])
        cell = [first + along * length * share for share in (0.0, 0.4, 0.7, 1.0)]
        places = [(c - [PALM[0] / 2, 0]) * CELL for c in cell]
        found += places[:3]
        tips[finger] = np.array([*places[3], 0.0])
    return np.pad(np.array(found), ((0, 0), (0, 1))), tips


def _end_of_bone(
    joint: int, joints: NDArray[np.float64], tips: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    if joint and joint % 3 == 0:
        return tips[MANO_FINGERS[joint // 3 - 1]]
    end: NDArray[np.float64] = joints[joint + 1 if joint else 4]
    return end


def _distance(points: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(V,) of points (V, 3) to the segment from a to b."""
    share = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)[:, None]
    return np.asarray(np.linalg.norm(points - a - share * (b - a), axis=1))


def _smooth(points: NDArray[np.float64], count: int, size: float, random: np.random.Generator) -> NDArray[np.float64]:
    """(V, 3, count) waves over the hand, each as long as a finger or longer, metres."""
    waves, phases = random.normal(0, 40, (3, 3, count)), random.uniform(0, 2 * np.pi, (3, count))  # rad / m
    return np.asarray(size * np.sin(np.einsum("vd,dkc->vkc", points, waves) + phases))


def _levels(points: NDArray[np.float64], faces: NDArray[np.int64], count: int) -> MeshLevels:
    vertices, triangles, up, down = [points], [faces], [], []
    for _ in range(count - 1):
        kept, coarse = collapse(vertices[-1], triangles[-1], (len(vertices[-1]) + 1) // 2)
        small = vertices[-1][kept]
        up.append(sparse.csr_matrix(upsampling_matrix(vertices[-1], small, coarse)))
        pick = (np.ones(len(kept)), (np.arange(len(kept)), kept))
        down.append(sparse.csr_matrix(pick, shape=(len(kept), len(vertices[-1]))))
        vertices.append(small)
        triangles.append(coarse)
    return MeshLevels(tuple(vertices), tuple(triangles), tuple(up), tuple(down))
