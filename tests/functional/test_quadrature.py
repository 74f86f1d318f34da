"""Quadrature rules: cells tile [0, 1], each holds its node, polynomials integrate as they must."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from poseig_mm.errors import ConfigError
from poseig_mm.functional.quadrature import RULES, Cells, fixed_cells, measure_cells, refinement_positions


def check_tiling(cells: Cells) -> None:
    lower, upper, nodes = cells.lower, cells.upper, cells.nodes
    assert (lower[..., 0] == 0).all()
    assert torch.allclose(upper[..., -1], torch.ones_like(upper[..., -1]), atol=1e-12)
    assert torch.equal(lower[..., 1:], upper[..., :-1])
    assert (lower <= nodes + 1e-12).all()
    assert (nodes <= upper + 1e-12).all()


@pytest.mark.parametrize("rule", RULES)
@given(n=st.integers(2, 60))
def test_cells_tile_the_path_and_hold_their_nodes(rule: str, n: int) -> None:
    """Every rule's cells tile [0, 1]; each node lies inside its cell."""
    check_tiling(fixed_cells(rule, n))


@pytest.mark.parametrize(
    ("rule", "degree", "exact"),
    [("riemann_left", 0, True), ("riemann_left", 1, False), ("midpoint", 1, True), ("midpoint", 2, False),
     ("trapezoid", 1, True), ("trapezoid", 2, False), ("gauss_legendre", 9, True), ("gauss_legendre", 10, False)],
)  # fmt: skip
def test_degree_of_exactness(rule: str, degree: int, exact: bool) -> None:
    """With 5 nodes each rule integrates t^d exactly up to its degree, and not beyond (Gauss-Legendre: 2 n - 1 = 9)."""
    c = fixed_cells(rule, 5)
    value = (c.nodes**degree * (c.upper - c.lower)).sum().item()
    assert (abs(value - 1 / (degree + 1)) < 1e-12) == exact


def test_refinement_levels_make_evenly_spaced_nodes() -> None:
    """After levels 0..l the nodes are the multiples of 1 / (n 2^l), each taken once, and every pass tiles [0, 1]."""
    n = 4
    for last in (1, 2, 3):
        nodes = torch.cat([refinement_positions(n, level)[0] for level in range(last + 1)]).sort().values
        assert torch.allclose(nodes, torch.arange(n * 2**last + 1, dtype=torch.float64) / (n * 2**last))
    for level in range(4):
        positions, edges = refinement_positions(n, level)
        check_tiling(Cells(positions, edges[:-1], edges[1:]))


@given(st.lists(st.floats(0, 100), min_size=4, max_size=4))
def test_measure_cells_tile_for_any_measure(mass: list[float]) -> None:
    """Whatever the measure, zero included, the cells tile [0, 1] and hold their nodes."""
    grid = torch.linspace(0, 1, 5)
    check_tiling(measure_cells(grid, torch.tensor([mass]), *refinement_positions(6, 0)))


def test_measure_cells_hold_equal_measure() -> None:
    """Cells of a known piecewise constant density hold equal shares of it."""
    grid, mass = torch.tensor([0.0, 0.25, 1.0]), torch.tensor([[9.0, 3.0]])
    c = measure_cells(grid, mass, *refinement_positions(8, 0))

    def cumulated(t: torch.Tensor) -> torch.Tensor:
        return torch.where(t < 0.25, 36 * t, 9 + 4 * (t - 0.25))

    assert torch.allclose(
        cumulated(c.upper) - cumulated(c.lower), torch.full((1, 8), 1.5, dtype=torch.float64), atol=1e-4
    )


def test_errors_name_what_is_wrong() -> None:
    """Unknown rules and too few nodes are named."""
    with pytest.raises(ConfigError, match="did you mean 'midpoint'"):
        fixed_cells("midpont", 3)
    with pytest.raises(ConfigError, match="at least 2"):
        fixed_cells("trapezoid", 1)
