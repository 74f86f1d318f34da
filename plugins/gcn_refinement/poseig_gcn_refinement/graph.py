"""Graphs of joints: adjacency, Laplacians and Chebyshev polynomials of them.

After Defferrard et al., Convolutional Neural Networks on Graphs with Fast Localized Spectral Filtering (NeurIPS 2016),
as used by Choi et al., Pose2Mesh (ECCV 2020).  All matrices are (K, K) and symmetric; K joints.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from poseig_mm.errors import ConfigError, ShapeError

__all__ = ["adjacency", "chebyshev_polynomials", "normalised_laplacian", "random_adjacency", "scaled_laplacian"]


def adjacency(num_joints: int, edges: Iterable[tuple[int, int]], *, dtype: torch.dtype = torch.float64) -> Tensor:
    """A_ij = 1 where i = j or where a bone joins i and j, else 0.

    Args:
        num_joints: K.
        edges: pairs of joints, in either direction; repeated ones and (i, i) change nothing.
        dtype: of the result.

    Returns:
        (K, K), symmetric, ones on the diagonal.

    Raises:
        ConfigError: no joints, or an edge to a joint that there is not.

    >>> adjacency(3, [(0, 1)]).tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    if num_joints < 1:
        raise ConfigError(f"num_joints is {num_joints}; expected at least 1")
    matrix = torch.eye(num_joints, dtype=dtype)
    for a, b in edges:
        if not (0 <= a < num_joints and 0 <= b < num_joints):
            raise ConfigError(f"edge ({a}, {b}): expected joints from 0 to {num_joints - 1}, as there are {num_joints}")
        matrix[a, b] = matrix[b, a] = 1.0
    return matrix


def random_adjacency(num_joints: int, num_edges: int, seed: int = 0, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """A graph of as many edges drawn from all pairs of joints alike: what a skeleton is to be compared with.

    Args:
        num_joints: K.
        num_edges: different pairs, loops not counted.
        seed: the same one gives the same graph.
        dtype: of the result.

    Returns:
        (K, K), symmetric, ones on the diagonal.  It need not be connected, and may share edges with a skeleton.

    Raises:
        ConfigError: more edges than pairs.

    >>> int(random_adjacency(5, 4, seed=1).triu(1).sum())
    4
    """
    pairs = torch.triu_indices(num_joints, num_joints, offset=1).T  # (K (K - 1) / 2, 2)
    if not 0 <= num_edges <= len(pairs):
        raise ConfigError(f"{num_edges} edges between {num_joints} joints; expected from 0 to {len(pairs)}")
    drawn = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed))[:num_edges]
    return adjacency(num_joints, [(int(a), int(b)) for a, b in pairs[drawn]], dtype=dtype)


def normalised_laplacian(adjacency_matrix: Tensor) -> Tensor:
    """L = I - D^-1/2 A D^-1/2, with D the row sums of A.

    Eigenvalues lie in [0, 2).  With loops on the diagonal no row sum is 0.

    Args:
        adjacency_matrix: (K, K) >= 0, symmetric.

    Raises:
        ShapeError: not square.
        ConfigError: a row without any entry.

    >>> normalised_laplacian(adjacency(2, [(0, 1)])).round(decimals=3).tolist()
    [[0.5, -0.5], [-0.5, 0.5]]
    """
    _check_square(adjacency_matrix, "adjacency matrix")
    degree = adjacency_matrix.sum(1)
    if not bool((degree > 0).all()):
        alone = int((degree <= 0).nonzero()[0])
        raise ConfigError(
            f"row {alone} of the adjacency matrix sums to {float(degree[alone])}; expected loops (A_ii = 1)"
        )
    half = degree.rsqrt()
    return torch.eye(len(degree)).to(adjacency_matrix) - half[:, None] * adjacency_matrix * half


def scaled_laplacian(laplacian: Tensor, lambda_max: float | None = None, *, pose2mesh_code: bool = False) -> Tensor:
    """2 L / lambda_max - I: eigenvalues from -1 to 1, where Chebyshev's polynomials live.

    Args:
        laplacian: (K, K), symmetric, eigenvalues from 0 on.
        lambda_max: None: its largest eigenvalue.  Where that is 0 (no edges, so L = 0), the result is -I: nothing is
            mixed.
        pose2mesh_code: as Pose2Mesh's published code has it, L / (2 lambda_max) - I, with eigenvalues from -1 to -0.5;
            its paper has the formula above.

    Raises:
        ShapeError: not square.

    >>> L = normalised_laplacian(adjacency(2, [(0, 1)]))  # eigenvalues 0 and 1
    >>> scaled_laplacian(L).round(decimals=3).tolist()
    [[0.0, -1.0], [-1.0, 0.0]]
    >>> torch.linalg.eigvalsh(scaled_laplacian(L, pose2mesh_code=True)).round(decimals=3).tolist()
    [-1.0, -0.5]
    """
    _check_square(laplacian, "Laplacian")
    identity = torch.eye(len(laplacian)).to(laplacian)
    largest = float(torch.linalg.eigvalsh(laplacian)[-1]) if lambda_max is None else lambda_max
    if largest <= 1e-9:  # rounding of a Laplacian that is 0
        return -identity
    return (0.5 if pose2mesh_code else 2.0) * laplacian / largest - identity


def chebyshev_polynomials(scaled: Tensor, order: int) -> Tensor:
    """T_0 = I, T_1 = L, T_k = 2 L T_(k-1) - T_(k-2) of a scaled Laplacian: the first `order` of them.

    T_k has L's eigenvectors, and for an eigenvalue t the eigenvalue cos(k arccos t); it mixes joints up to k bones
    apart.

    Args:
        scaled: (K, K), eigenvalues from -1 to 1.
        order: how many, at least 1.

    Returns:
        (order, K, K)

    Raises:
        ShapeError: not square.
        ConfigError: order below 1.

    >>> chebyshev_polynomials(torch.tensor([[0.5]]), 3).flatten().tolist()  # cos(k 60 degrees)
    [1.0, 0.5, -0.5]
    """
    _check_square(scaled, "scaled Laplacian")
    if order < 1:
        raise ConfigError(f"order is {order}; expected at least 1")
    polynomials = [torch.eye(len(scaled)).to(scaled), scaled]
    while len(polynomials) < order:
        polynomials.append(2 * scaled @ polynomials[-1] - polynomials[-2])
    return torch.stack(polynomials[:order])


def _check_square(matrix: Tensor, what: str) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(f"the {what} has shape {tuple(matrix.shape)}; expected (K, K)")
