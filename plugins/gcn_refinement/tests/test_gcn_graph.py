"""Graphs of joints against matrices worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from poseig_gcn_refinement.graph import (
    adjacency,
    chebyshev_polynomials,
    normalised_laplacian,
    random_adjacency,
    scaled_laplacian,
)
from torch import Tensor

from poseig_mm.errors import ConfigError, ShapeError

# MMPose's 19 links of COCO's 17 joints
COCO = [
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10), (1, 2),
    (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
]  # fmt: skip


def near(found: Tensor, expected: object) -> bool:
    return torch.allclose(found, torch.as_tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def coco() -> Tensor:
    return normalised_laplacian(adjacency(17, COCO))


def test_two_joints_by_hand() -> None:
    """A = ones, degrees 2: L = [[1/2, -1/2], [-1/2, 1/2]], eigenvalues 0 and 1, scaled [[0, -1], [-1, 0]]."""
    A = adjacency(2, [(1, 0)])
    assert near(A, [[1, 1], [1, 1]])
    L = normalised_laplacian(A)
    assert near(L, [[0.5, -0.5], [-0.5, 0.5]])
    scaled = scaled_laplacian(L)
    assert near(scaled, [[0, -1], [-1, 0]])
    assert near(
        chebyshev_polynomials(scaled, 4), [[[1, 0], [0, 1]], [[0, -1], [-1, 0]], [[1, 0], [0, 1]], [[0, -1], [-1, 0]]]
    )


def test_a_chain_of_three_by_hand() -> None:
    """Degrees 2, 3, 2: L = I - A / sqrt(d_i d_j), eigenvalues 0, 1/2 and 7/6 (trace 5/3)."""
    A = adjacency(3, [(0, 1), (1, 2)])
    assert near(A, [[1, 1, 0], [1, 1, 1], [0, 1, 1]])
    s = 1 / math.sqrt(6)
    L = normalised_laplacian(A)
    assert near(L, [[1 / 2, -s, 0], [-s, 2 / 3, -s], [0, -s, 1 / 2]])
    assert near(torch.linalg.eigvalsh(L), [0, 1 / 2, 7 / 6])
    t = 12 / 7  # 2 / lambda_max
    scaled = scaled_laplacian(L)
    assert near(scaled, [[t / 2 - 1, -t * s, 0], [-t * s, 2 * t / 3 - 1, -t * s], [0, -t * s, t / 2 - 1]])
    # T_2 = 2 L^2 - I; its corner is twice the way over the middle joint
    assert chebyshev_polynomials(scaled, 3)[2, 0, 2].item() == pytest.approx(2 * (t * s) ** 2, abs=1e-12)


def test_cocos_largest_eigenvalue() -> None:
    """The figure of the issue: 19 edges with loops, lambda_max = 1.41955; the scaled spectrum spans [-1, 1]."""
    L = coco()
    assert adjacency(17, COCO).triu(1).sum() == 19
    assert torch.linalg.eigvalsh(L)[-1].item() == pytest.approx(1.41955, abs=5e-6)
    spectrum = torch.linalg.eigvalsh(scaled_laplacian(L))
    assert near(spectrum[[0, -1]], [-1, 1])


def test_pose2meshs_code_spans_half_as_much() -> None:
    """L / (2 lambda_max) - I: [-1, -0.5]."""
    assert near(torch.linalg.eigvalsh(scaled_laplacian(coco(), pose2mesh_code=True))[[0, -1]], [-1, -0.5])


def test_a_given_largest_eigenvalue_is_used() -> None:
    """With lambda_max = 2, the bound of every graph, scaled L is L - I."""
    assert near(scaled_laplacian(coco(), 2.0), coco() - torch.eye(17, dtype=torch.float64))


def test_polynomials_are_cosines() -> None:
    """Eigenvalues of T_k are cos(k arccos t)."""
    scaled = scaled_laplacian(coco())
    t, vectors = torch.linalg.eigh(scaled)
    for k, polynomial in enumerate(chebyshev_polynomials(scaled, 5)):
        expected = torch.cos(k * torch.arccos(t.clamp(-1, 1)))
        # arccos magnifies rounding near -1 and 1
        assert torch.allclose(vectors.T @ polynomial @ vectors, torch.diag(expected), atol=1e-6)


def test_polynomials_reach_as_many_bones_as_their_order() -> None:
    """The ankle (15) is 2 bones from the hip (11), 3 from the shoulder (5)."""
    T = chebyshev_polynomials(scaled_laplacian(coco()), 4)
    assert T[1, 15, 11] == 0 != T[2, 15, 11]
    assert T[2, 15, 5] == 0 != T[3, 15, 5]


def test_without_edges_nothing_is_mixed() -> None:
    """A = I: L = 0, lambda_max = 0; all polynomials are diagonal and finite."""
    scaled = scaled_laplacian(normalised_laplacian(adjacency(3, [])))
    assert near(chebyshev_polynomials(scaled, 3), torch.stack([torch.eye(3), -torch.eye(3), torch.eye(3)]).double())


def test_a_random_graph_has_as_many_edges_and_a_seed() -> None:
    """19 pairs of joints, the same ones with the same seed, other ones with another."""
    first, again, other = (random_adjacency(17, 19, seed) for seed in (3, 3, 4))
    assert first.triu(1).sum() == 19
    assert near(first, first.T)
    assert near(first.diagonal(), torch.ones(17))
    assert near(first, again)
    assert not near(first, other)
    assert near(random_adjacency(4, 6), torch.ones(4, 4))


def test_bad_graphs_are_refused() -> None:
    """What was got and what was expected."""
    with pytest.raises(ConfigError, match=r"edge \(0, 3\).*0 to 2"):
        adjacency(3, [(0, 3)])
    with pytest.raises(ConfigError, match="num_joints is 0"):
        adjacency(0, [])
    with pytest.raises(ConfigError, match="4 edges between 3 joints; expected from 0 to 3"):
        random_adjacency(3, 4)
    with pytest.raises(ConfigError, match="row 1"):
        normalised_laplacian(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(ConfigError, match="order is 0"):
        chebyshev_polynomials(torch.eye(2), 0)
    for function in (normalised_laplacian, scaled_laplacian):
        with pytest.raises(ShapeError, match=r"\(2, 3\)"):
            function(torch.ones(2, 3))
