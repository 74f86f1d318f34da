"""Where along a path gradients are taken: every rule is a list of cells that tile [0, 1], each with one node.

IG = sum_n gradient(node_n) * [gamma(upper_n) - gamma(lower_n)].  Because increments are exact, a rule with the right
cells is complete for a linear function whatever its nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError, did_you_mean

RULES = ("riemann_left", "midpoint", "trapezoid", "gauss_legendre")


@dataclass(frozen=True)
class Cells:
    """Cells of [0, 1] and their nodes, each (n,) or (B, n), ascending; lower <= nodes <= upper."""

    nodes: Tensor
    lower: Tensor
    upper: Tensor

    def __len__(self) -> int:
        return self.nodes.shape[-1]


def fixed_cells(rule: str, n: int) -> Cells:
    """The cells of a fixed rule in float64.

    `riemann_left` (the published one, n = 50) and `midpoint`: n equal cells.  `trapezoid`: nodes 0, 1/(n-1), ..., 1
    with half cells at the ends.  `gauss_legendre`: n Legendre nodes; the cells' widths are the weights (each node lies
    inside its cell by the Chebyshev-Markov-Stieltjes inequalities).

    Raises:
        ConfigError: unknown rule, or n too small (1; 2 for the trapezoid).

    >>> fixed_cells('midpoint', 2).nodes.tolist()
    [0.25, 0.75]
    """
    if rule not in RULES:
        raise ConfigError(f"quadrature {rule!r} is unknown; {did_you_mean(rule, (*RULES, 'adaptive'))}")
    least = 2 if rule == "trapezoid" else 1
    if n < least:
        raise ConfigError(f"quadrature {rule!r} with {n} nodes; expected at least {least}")
    if rule == "gauss_legendre":
        x, w = np.polynomial.legendre.leggauss(n)
        nodes = torch.from_numpy((x + 1) / 2)
        edges = torch.cat([torch.zeros(1, dtype=torch.float64), torch.from_numpy(w / 2).cumsum(0)])
        edges[-1] = 1.0
    elif rule == "trapezoid":
        nodes = torch.linspace(0, 1, n, dtype=torch.float64)
        edges = torch.cat([nodes[:1], (nodes[:-1] + nodes[1:]) / 2, nodes[-1:]])
    else:
        edges = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        nodes = edges[:-1] if rule == "riemann_left" else (edges[:-1] + edges[1:]) / 2
    return Cells(nodes, edges[:-1], edges[1:])


def refinement_positions(n: int, level: int) -> tuple[Tensor, Tensor]:
    """Nodes and cell edges, in the measure's own coordinate u in [0, 1], of one pass of a nested refinement.

    Level 0: n cells, nodes at their middles.  Level 1: the n + 1 edges of those cells as nodes.  Level l >= 2: the
    middles between all earlier nodes.  The mean of the passes' results weighs all nodes alike: level 0 and 1 together
    are a rule of spacing 1 / (2 n), then each level halves it, and the newest pass and the mean of the older ones are
    the two interleaved half-rules of the finer rule.

    Returns:
        nodes (m,) and edges (m + 1,), float64.

    >>> refinement_positions(2, 1)[0].tolist(), refinement_positions(2, 1)[1].tolist()
    ([0.0, 0.5, 1.0], [0.0, 0.25, 0.75, 1.0])
    """
    if level == 0 or level >= 2:
        cells = n if level == 0 else n * 2 ** (level - 1)
        edges = torch.linspace(0, 1, cells + 1, dtype=torch.float64)
        return (edges[:-1] + edges[1:]) / 2, edges
    nodes = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    return nodes, torch.cat([nodes[:1], (nodes[:-1] + nodes[1:]) / 2, nodes[-1:]])


def measure_cells(grid: Tensor, mass: Tensor, nodes: Tensor, edges: Tensor) -> Cells:
    """Cells laid out evenly in a measure on [0, 1] that is known on a grid.

    Args:
        grid: (s + 1,) ascending from 0 to 1.
        mass: (B, s) >= 0, the measure of each grid cell; where a row sums to 0 the uniform measure is used.
        nodes, edges: (m,) and (m + 1,) positions in the normalised cumulated measure, see `refinement_positions`.

    Returns:
        Cells of (B, m), float64; the outer edges are exactly 0 and 1.

    >>> c = measure_cells(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([[3.0, 1.0]]), *refinement_positions(2, 0))
    >>> [round(v, 4) for v in c.nodes[0].tolist()]
    [0.1667, 0.5]
    """
    grid, mass = grid.double(), mass.double()
    # A sliver of uniform measure keeps the cumulated measure strictly ascending, hence invertible.
    total = mass.sum(1, keepdim=True)
    uniform = (grid[1:] - grid[:-1])[None]
    density = torch.where(total > 0, mass / total.clamp_min(1e-300), uniform) * (1 - 1e-6) + 1e-6 * uniform
    cumulated = torch.cat([torch.zeros_like(total), density.cumsum(1)], 1)
    cumulated = cumulated / cumulated[:, -1:]

    def invert(u: Tensor) -> Tensor:
        u = u.to(cumulated).expand(len(cumulated), -1).contiguous()
        right = torch.searchsorted(cumulated, u).clamp(1, grid.numel() - 1)
        c0, c1 = cumulated.gather(1, right - 1), cumulated.gather(1, right)
        g0, g1 = grid[right - 1], grid[right]
        return (g0 + (u - c0) / (c1 - c0) * (g1 - g0)).clamp(0, 1)

    cut = invert(edges)
    cut[:, 0], cut[:, -1] = 0, 1
    return Cells(invert(nodes), cut[:, :-1], cut[:, 1:])
