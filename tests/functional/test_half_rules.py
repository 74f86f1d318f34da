"""The map error estimate: two half-rules, each over the whole path, of which one cell has none."""

from __future__ import annotations

import math

import pytest
import torch
from coordinate_models import IMAGES, KEYPOINTS, D, first, linear_coords, smooth_coords
from torch import Tensor

from poseig_mm.errors import ConfigError
from poseig_mm.functional.maps import half_rule_distance, smoothed
from poseig_mm.functional.path_attribution import path_attribution
from poseig_mm.functional.paths import BlurPath, LinearPath


def test_half_rules_agree_when_the_gradient_is_constant_and_not_when_it_flips() -> None:
    """map_error is 0 for a linear model, and 1 when even and odd cells see disjoint pixels."""
    a = path_attribution(linear_coords, IMAGES, KEYPOINTS, quadrature="midpoint", nodes=8, likelihood=first)
    assert a.map_error.max() < 1e-9
    image = torch.ones(1, 1, 1, 2, dtype=D)

    def alternating(images: Tensor) -> Tensor:
        """The gradient lies on the left pixel in even cells and on the right one in odd cells (4 cells, midpoints)."""
        t = images.detach().mean((1, 2, 3))
        even = (torch.floor(t * 4).long() % 2 == 0).to(images)
        return (images[:, 0, 0, 0] * even + images[:, 0, 0, 1] * (1 - even))[:, None, None]

    a = path_attribution(
        alternating, image, torch.zeros(1, 1, 1), path="linear", quadrature="midpoint", nodes=4, likelihood=first
    )
    assert a.map_error.item() == pytest.approx(1.0)


@pytest.mark.parametrize("quadrature", ["riemann_left", "midpoint", "gauss_legendre"])
def test_one_cell_has_no_second_half(quadrature: str) -> None:
    """Nothing to compare: the map error is unknown, and nobody may call the map converged."""
    a = path_attribution(smooth_coords, IMAGES, KEYPOINTS + 1, path="linear", quadrature=quadrature, nodes=1)
    assert a.maps.isfinite().all()
    assert a.map_error.isnan().all()
    assert not a.converged.any()


@pytest.mark.parametrize("chunk", [1, 2, 4, 100])
@pytest.mark.parametrize("nodes", [3, 5, 7])
def test_a_spare_cell_belongs_to_one_half_only(nodes: int, chunk: int) -> None:
    """Each cell's gradient lies on a pixel of its own: halves share none, and each tiles the whole path.

    On the path t^2 cell i is (2 i + 1) / n^2 long.  Even half: pairs, then the spare cell by itself; odd half: pairs,
    and its last node takes the spare cell too.  The map error is 1; were the spare cell in both, it would be less.
    """

    class Squared:
        def __call__(self, images: Tensor, t: Tensor) -> Tensor:
            return images[:, None] * t.to(images).expand(len(images), -1).square()[:, :, None, None, None]

    def seen(images: Tensor) -> Tensor:
        t = images.detach().amax((1, 2, 3)).sqrt()
        cell = (t * nodes).floor().long().clamp(max=nodes - 1)
        return images[:, 0, 0].gather(1, cell[:, None])[:, None]

    image = torch.ones(1, 1, 1, nodes, dtype=D)
    settings = {"path": Squared(), "quadrature": "midpoint", "likelihood": first, "chunk": chunk}
    a = path_attribution(seen, image, torch.zeros(1, 1, 1), nodes=nodes, signed=True, **settings)
    assert a.map_error.item() == pytest.approx(1.0)
    assert a.signed is not None
    expected = torch.tensor([(2 * i + 1) / nodes**2 for i in range(nodes)], dtype=D)
    assert torch.allclose(a.signed.flatten(), expected)

    def hidden(images: Tensor) -> Tensor:
        """The odd nodes see the first pixel, the even ones half of each of the first two."""
        t = images.detach().amax((1, 2, 3)).sqrt()
        odd = ((t * nodes).floor().long() % 2).to(images)
        x = images[:, 0, 0]
        return (odd * x[:, 0] + (1 - odd) * (x[:, 0] + x[:, 1]) / 2)[:, None, None]

    a = path_attribution(hidden, image, torch.zeros(1, 1, 1), nodes=nodes, **settings)
    assert a.map_error.item() == pytest.approx(0.5)  # (1, 0) against (1/2, 1/2), whatever the cells weigh


@pytest.mark.parametrize("chunk", [2, 4, 100])
@pytest.mark.parametrize("path", [BlurPath(), LinearPath("white")])
def test_both_halves_of_an_odd_rule_are_complete(path: BlurPath | LinearPath, chunk: int) -> None:
    """For a linear model they are the same map, on a curved path too: the odd half leaves no part of it out."""
    settings = {"path": path, "quadrature": "midpoint", "likelihood": first, "chunk": chunk}
    a = path_attribution(linear_coords, IMAGES, KEYPOINTS, nodes=5, **settings)
    assert a.map_error.max() < 1e-9
    assert a.converged.all()


def test_three_cells_of_a_model_that_turns_are_not_converged() -> None:
    """dT/dx = (1 - t, t) along x = x' + t: exact map (1, 1).

    Even half: nodes 1/6 and 5/6 over 2/3 and 1/3 of the path, (11, 7) / 18; odd half: node 1/2 over all of it,
    (9, 9) / 18.  Half the L1 distance is 1/9.
    """

    def turning(images: Tensor) -> Tensor:
        t = images.detach().mean((1, 2, 3))
        return ((1 - t) * images[:, 0, 0, 0] + t * images[:, 0, 0, 1])[:, None, None]

    image, where = torch.ones(1, 1, 1, 2, dtype=D), torch.zeros(1, 1, 1)
    settings = {"path": "linear", "quadrature": "midpoint", "likelihood": first, "tol": 0.1, "tol_scale": 0}
    a = path_attribution(turning, image, where, nodes=3, **settings)
    assert a.map_error.item() == pytest.approx(1 / 9)
    assert not a.converged.any()


def test_at_two_pixels_neighbours_are_nearly_one() -> None:
    """Even cells see the left of two pixels, odd ones the right: 1 pixel by pixel, tanh(1 / 16) at a Gaussian of 2 px.

    Each pixel's mass stays in the picture: 1 / (1 + w) of it where it was and w / (1 + w) beside, w = exp(-1 / 8).
    """

    def alternating(images: Tensor) -> Tensor:
        t = images.detach().mean((1, 2, 3))
        even = (torch.floor(t * 4).long() % 2 == 0).to(images)
        return (images[:, 0, 0, 0] * even + images[:, 0, 0, 1] * (1 - even))[:, None, None]

    image, where = torch.ones(1, 1, 1, 2, dtype=D), torch.zeros(1, 1, 1)
    settings = {"path": "linear", "quadrature": "midpoint", "nodes": 4, "likelihood": first, "tol": 0.1}
    fine = path_attribution(alternating, image, where, tol_scale=0, **settings)
    assert fine.map_error.item() == pytest.approx(1.0)
    assert fine.map_error_2px is not None
    assert fine.map_error_2px.item() == pytest.approx(math.tanh(1 / 16), abs=1e-12)
    assert not fine.converged.any()
    coarse = path_attribution(alternating, image, where, tol_scale=2, halves=True, **settings)
    assert coarse.converged.all()
    assert coarse.halves is not None
    assert coarse.halves[0, :, 0, 0].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert fine.halves is None


@pytest.mark.parametrize("size", [(1, 7), (5, 4), (40, 30)])
def test_smoothing_keeps_the_sum_and_never_widens_a_distance(size: tuple[int, int]) -> None:
    """What a Gaussian would put outside stays inside, so that two maps can only come nearer."""
    random = torch.Generator().manual_seed(0)
    even, odd = (torch.randn(20, *size, dtype=D, generator=random) ** 3 for _ in range(2))
    assert torch.allclose(smoothed(even.abs(), 2.0).sum((-2, -1)), even.abs().sum((-2, -1)))
    raw, seen = half_rule_distance(even, odd), half_rule_distance(even, odd, 2.0)
    assert (seen < raw).all()
    assert (seen > 0).all()


def test_the_rule_stops_sooner_where_only_the_picture_is_asked_for() -> None:
    """Noise from pixel to pixel along the path: at 2 px the first pass serves, pixel by pixel it is refined."""

    def noisy(images: Tensor) -> Tensor:
        t = images.detach().amax((1, 2, 3))
        phase = torch.arange(images[0].numel()).to(images) * math.pi + (8 * t[:, None] + 0.5) * math.pi
        return ((1.5 + torch.cos(phase)) * images.flatten(1)).sum(1)[:, None, None]

    image, where = torch.ones(1, 1, 4, 8, dtype=D), torch.zeros(1, 1, 1)
    settings = {"path": "linear", "likelihood": first, "nodes": 8, "max_nodes": 64, "tol": 0.1}
    fine, coarse = (path_attribution(noisy, image, where, tol_scale=scale, **settings) for scale in (0, 2))
    assert coarse.converged.all()
    assert int(coarse.evaluations) == 8
    assert fine.converged.all()
    assert int(fine.evaluations) > 8
    with pytest.raises(ConfigError, match=r"tol_scale is 1; expected 0 or 2"):
        path_attribution(noisy, image, where, tol_scale=1, **settings)
