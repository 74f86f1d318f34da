"""Walks around vertices, spirals, levels of a mesh, and our own mesh that has them all."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from poseig_hand_models.decimate import collapse, upsampling_matrix
from poseig_hand_models.half_edges import vertex_neighbours
from poseig_hand_models.joints import FINGERS
from poseig_hand_models.mesh_layers import DepthwiseSpiralConv, SpiralConv, topology_tensors
from poseig_hand_models.template import mesh_levels, synthetic_hand
from poseig_hand_models.topology import read_transform, spiral_indices
from scipy import sparse

from poseig_mm.errors import CheckpointError, ConfigError, ShapeError


def grid(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A flat mesh seen from its front: vertices (n, 3), faces anticlockwise, in an order of no system."""
    at = {(x, y): y * width + x for y in range(height) for x in range(width)}
    faces = []
    for x in range(width - 1):
        for y in range(height - 1):
            a, b, c, d = at[x, y], at[x + 1, y], at[x + 1, y + 1], at[x, y + 1]
            faces += [(a, b, c), (a, c, d)]
    order = np.random.default_rng(1).permutation(len(faces))
    return np.array([(x, y, 0.0) for x, y in at]), np.array(faces)[order]


def test_the_walk_is_clockwise_and_begins_at_the_rim() -> None:
    """On a flat mesh: angles fall; a vertex of the rim begins with the neighbour that has the outside on its left."""
    points, faces = grid(5, 4)
    for v, walk in enumerate(vertex_neighbours(faces)):
        assert set(walk) == {int(n) for f in faces for n in f if v in f} - {v}
        angles = [math.atan2(*(points[n] - points[v])[1::-1]) for n in walk]
        steps = [(a - b) % (2 * math.pi) for a, b in pairwise(angles)]
        assert all(0 < step < math.pi for step in steps)  # clockwise, never back
        x, y = v % 5, v // 5
        if x in (0, 4) or y in (0, 3):
            assert sum(steps) <= math.pi + 1e-9  # so the way from the last to the first lies outside
        else:
            assert len(walk) == 6


def test_the_beginning_is_the_last_face_that_closed_the_fan() -> None:
    """OpenMesh's bookkeeping by hand: around vertex 0 of a closed fan, faces (0, i, i + 1) inserted in order.

    The first face makes 0 -> 2 its outgoing half-edge (on the rim); each further one the next rim edge, 0 -> 3, 0 -> 4;
    the last one, which finds both edges there, leaves no rim, and so 0 -> 4 remains.
    """
    assert vertex_neighbours([[0, 1, 2]])[0] == [2, 1]
    assert vertex_neighbours([[0, 1, 2], [0, 2, 3]])[0] == [3, 2, 1]
    assert vertex_neighbours([[0, 1, 2], [0, 2, 3], [0, 3, 4]])[0] == [4, 3, 2, 1]
    assert vertex_neighbours([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1]])[0] == [4, 3, 2, 1]


def test_fans_that_meet_later_are_joined() -> None:
    """Faces around a vertex inserted out of turn: two fans, then what lies between."""
    faces = [[0, 1, 2], [0, 3, 4], [0, 5, 6], [0, 4, 5], [0, 2, 3], [0, 6, 1]]
    walk = vertex_neighbours(faces)[0]
    turned = walk[walk.index(6) :] + walk[: walk.index(6)]
    assert turned == [6, 5, 4, 3, 2, 1]


def test_what_is_no_manifold_is_refused() -> None:
    """A third face on an edge, a face turned round, and another shape."""
    with pytest.raises(ShapeError, match="has two faces, or is turned"):
        vertex_neighbours([[0, 1, 2], [1, 0, 3], [0, 1, 4]])
    with pytest.raises(ShapeError, match="is turned the other way"):
        vertex_neighbours([[0, 1, 2], [0, 1, 3]])
    with pytest.raises(ShapeError, match=r"\(2, 4\); expected \(F, 3\)"):
        vertex_neighbours(np.zeros((2, 4), dtype=int))


def test_spirals_go_ring_by_ring() -> None:
    """Breadth-first distances never fall along a spiral, each ring is whole before the next begins, none is met
    twice.
    """
    _, faces = grid(7, 7)
    near = vertex_neighbours(faces)
    middle = 24
    distance = {middle: 0}
    for v in iter(queue := [middle]):
        for n in near[v]:
            if n not in distance:
                distance[n] = distance[v] + 1
                queue.append(n)
    spiral = spiral_indices(faces, 30)[middle].tolist()
    assert spiral[:7] == [middle, *near[middle]]
    assert len(set(spiral)) == 30
    rings = [distance[n] for n in spiral]
    assert rings == sorted(rings)
    for ring in range(rings[-1]):
        assert rings.count(ring) == sum(d == ring for d in distance.values())
    assert torch.equal(spiral_indices(faces, 9), spiral_indices(faces, 30)[:, :9])


def test_the_next_ring_begins_behind_the_last() -> None:
    """The published rule, written down plainly, on a mesh of irregular valences, where a walk may begin anywhere.

    Around each vertex of the last ring: first what comes after one of that ring, then the rest.
    """
    levels = synthetic_hand().levels
    near = vertex_neighbours(levels.faces[2])
    plain, ruled = [], []
    for v, ring in enumerate(near):
        second: list[int] = []
        for member in ring:
            after, before, passed = [], [], False
            for n in near[member]:
                new = n != v and n not in ring and n not in second
                if new and passed and n not in after:
                    after.append(n)
                elif new and not passed and n not in before:
                    before.append(n)
                passed = passed or n in ring
            second += after + before
        ruled.append([v, *ring, *second][:15])
        plain.append([v, *ring, *dict.fromkeys(n for m in ring for n in near[m] if n != v and n not in ring)][:15])
    enough = [i for i, r in enumerate(ruled) if len(r) == 15]
    found = spiral_indices(levels.faces[2], 15, levels.vertices[2])
    assert len(enough) > 100
    assert all(found[i].tolist() == ruled[i] for i in enough)
    assert sum(plain[i] != ruled[i] for i in enough) > 20  # so the rule makes a difference


def test_where_the_mesh_ends_the_nearest_come_instead() -> None:
    """A spiral longer than the mesh: all vertices by distance, then itself again; without places, as far as it goes."""
    points, faces = grid(3, 2)
    found = spiral_indices(faces, 8, points)[0].tolist()
    assert found[:2] == [0, 1]
    assert sorted(found[:6]) == list(range(6))
    assert found[6:] == [0, 0]
    assert sorted(spiral_indices(faces, 8)[0].tolist()) == [0, 0, 0, 1, 2, 3, 4, 5]


def test_spirals_of_no_length_are_refused() -> None:
    """At least the vertex itself."""
    with pytest.raises(ShapeError, match="at least 1"):
        spiral_indices([[0, 1, 2]], 0)


@pytest.mark.parametrize("layer", [SpiralConv, DepthwiseSpiralConv])
def test_a_renumbered_mesh_gives_renumbered_values(layer: type[SpiralConv]) -> None:
    """A spiral convolution depends on the mesh's shape alone, not on its vertices' numbers."""
    _, faces = grid(5, 5)
    new = torch.randperm(25, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    first = layer(3, 4, 9, spiral_indices(faces, 9)).double()
    second = layer(3, 4, 9, spiral_indices(new.numpy()[faces], 9)).double()
    second.load_state_dict(first.state_dict())
    x = torch.randn(2, 25, 3, dtype=torch.float64)
    moved = torch.empty_like(x)
    moved[:, new] = x
    assert torch.allclose(second(moved)[:, new], first(x))
    assert not torch.allclose(second(x), first(x))


def test_our_own_mesh_is_a_hand_with_a_hole_at_the_wrist() -> None:
    """778 vertices, every level a disc (V - E + F = 1), parts of the sizes that MANO's have."""
    hand = synthetic_hand()
    m, levels = hand.mano, hand.levels
    assert levels.counts == (778, 389, 195, 98, 49)
    for points, faces in zip(levels.vertices, levels.faces, strict=True):
        edges = {frozenset((f[i], f[(i + 1) % 3])) for f in faces for i in range(3)}
        assert len(points) - len(edges) + len(faces) == 1
        assert all(len(walk) >= 2 for walk in vertex_neighbours(faces, len(points)))  # a manifold, and nobody is alone
    shapes = [a.shape for a in (m.v_template, m.shapedirs, m.posedirs, m.joint_regressor, m.weights)]
    assert shapes == [(778, 3), (778, 3, 10), (778, 3, 135), (16, 778), (778, 16)]
    assert np.allclose(m.joint_regressor.sum(1), 1)
    assert np.allclose(m.weights.sum(1), 1)
    assert np.ptp(m.v_template[:, 1]) == pytest.approx(0.168, abs=0.01)  # m, from wrist to tip
    joints = m.joint_regressor @ m.v_template
    for i, finger in enumerate(("index", "middle", "little", "ring", "thumb")):
        chain = [*joints[1 + 3 * i : 4 + 3 * i], m.v_template[hand.tips[finger]]]
        away = [np.linalg.norm(p - joints[0]) for p in chain]
        assert away == sorted(away)  # a finger leads away from the wrist
        assert m.weights[hand.tips[finger]].argmax() == 3 + 3 * i  # and its tip hangs on its last bone
    assert len({hand.tips[f] for f in FINGERS}) == 5


def test_levels_are_made_of_one_another() -> None:
    """Upsampling: three corners a vertex, exact for what is linear where the coarse mesh has the vertex; down picks."""
    levels = synthetic_hand().levels
    for i, (up, down) in enumerate(zip(levels.up, levels.down, strict=True)):
        fine, coarse = levels.vertices[i], levels.vertices[i + 1]
        assert set(np.diff(up.indptr)) == {3}
        assert np.allclose(np.asarray(up.sum(1)), 1)
        assert np.array_equal(down @ fine, coarse)
        assert np.abs(down @ (up @ coarse) - coarse).max() < 1e-6
        assert np.abs(up @ coarse - fine).max() < 0.012  # m


def test_upsampling_finds_the_nearest_face() -> None:
    """A point over a triangle: its barycentric weights, by hand."""
    corners = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0], [9, 9, 9]])
    matrix = upsampling_matrix(np.array([[1.0, 2.0, 0.5]]), corners, np.array([[1, 2, 3], [0, 1, 2]]))
    assert np.allclose(matrix, [[0.25, 0.25, 0.5, 0]])


def test_collapsing_stops_where_the_surface_would_break() -> None:
    """A tetrahedron cannot lose a vertex."""
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    with pytest.raises(ValueError, match="stays at 4"):
        collapse(np.eye(4, 3), faces, 3)


def written(folder: Path, protocol: int, **changes: object) -> Path:
    """A transform.pkl as HandMesh's is, of our own mesh."""
    levels = synthetic_hand().levels
    content = {
        "vertices": list(levels.vertices),
        "face": [f.astype(np.uint32) for f in levels.faces],
        "adj": [sparse.csc_matrix(np.eye(n)) for n in levels.counts],
        "down_transform": [sparse.coo_matrix(m) for m in levels.down],
        "up_transform": [sparse.csc_matrix(m) for m in levels.up],
        **changes,
    }
    path = folder / "transform.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_transform_file_is_read(protocol: int, tmp_path: Path) -> None:
    """Of any pickle protocol; spirals and matrices are those of the mesh it was made of."""
    found, own = mesh_levels(written(tmp_path, protocol)), mesh_levels("synthetic")
    assert found.counts == own.counts
    assert all(torch.equal(a, b) for a, b in zip(found.spirals([9] * 4), own.spirals([9] * 4), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(found.upsampling(), own.upsampling(), strict=True))


def test_transform_files_that_are_none_are_refused(tmp_path: Path) -> None:
    """Absent, of other content, of levels that do not fit; the message names the file, its source and its licence."""
    with pytest.raises(
        CheckpointError, match=r"nothing.pkl does not exist; expected HandMesh's .*MANO's licence holds"
    ):
        read_transform(tmp_path / "nothing.pkl")
    (tmp_path / "other.pkl").write_bytes(pickle.dumps({"face": []}))
    with pytest.raises(CheckpointError, match="has no vertices, up_transform, down_transform"):
        read_transform(tmp_path / "other.pkl")
    path = written(tmp_path, 4, up_transform=list(synthetic_hand().levels.up)[::-1])
    with pytest.raises(CheckpointError, match="do not fit matrices"):
        read_transform(path)
    with pytest.raises(ConfigError, match="has 3 levels; the decoder of 4 steps needs 5"):
        topology_tensors(synthetic_hand(levels=3).levels, 9)
