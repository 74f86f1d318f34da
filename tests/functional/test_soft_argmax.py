"""Soft-argmax: analytic positions, limits in beta, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from poseig_mm.errors import ShapeError
from poseig_mm.functional.soft_argmax import expected_position, soft_argmax, soft_argmax_1d, spatial_softmax

D = torch.float64


def gaussian_logits(x: float, y: float, height: int = 64, width: int = 48, sigma: float = 2.0) -> Tensor:
    """-(squared distance) / (2 sigma^2): their softmax at beta 1 is a Gaussian around (x, y).  (1, 1, h, w)."""
    rows, columns = torch.arange(height, dtype=D)[:, None], torch.arange(width, dtype=D)
    return -((columns - x) ** 2 + (rows - y) ** 2)[None, None] / (2 * sigma**2)


@pytest.mark.parametrize(("x", "y"), [(20.0, 31.0), (17.3, 40.75)])
def test_the_mean_of_a_gaussian_is_its_centre_in_x_y_order(x: float, y: float) -> None:
    """With the logarithm of a Gaussian as scores the result is the Gaussian's centre, also between pixels."""
    assert torch.allclose(soft_argmax(gaussian_logits(x, y), 1.0), torch.tensor([[[x, y]]], dtype=D), atol=1e-9)


def test_two_peaks_share_by_their_softmax() -> None:
    """Two single-pixel peaks on a very low floor: the position lies between them, weighted by exp(beta * height)."""
    heatmaps = torch.full((1, 1, 3, 11), -1e3, dtype=D)
    heatmaps[0, 0, 1, 2], heatmaps[0, 0, 1, 10] = 1.0, 0.5
    share = 1 / (1 + math.exp(-2.0 * 0.5))  # of the higher peak, beta 2
    expected = torch.tensor([[[2 * share + 10 * (1 - share), 1.0]]], dtype=D)
    assert torch.allclose(soft_argmax(heatmaps, 2.0), expected)


def test_weak_peaks_are_pulled_to_the_centre_as_published() -> None:
    """Beta 10 on a 64 x 48 map with a Gaussian of sigma 2 at (10, 12): the values in the dossier, section 1."""
    gaussian = gaussian_logits(10, 12).exp()
    for peak, expected in [(1.0, (10.6, 12.9)), (0.8, (12.9, 16.3)), (0.5, (20.3, 26.9))]:
        found = soft_argmax(peak * gaussian, 10.0)[0, 0].tolist()
        assert found == pytest.approx(expected, abs=0.06)


@given(st.integers(0, 2**31 - 1), st.floats(0.0, 100.0))
def test_positions_stay_inside_the_map(seed: int, beta: float) -> None:
    """x in [0, w - 1] and y in [0, h - 1], whatever the scores; a constant added to the scores changes nothing."""
    heatmaps = torch.randn(1, 2, 5, 7, generator=torch.Generator().manual_seed(seed), dtype=D)
    found = soft_argmax(heatmaps, beta)
    assert (found >= -1e-9).all()
    assert (found <= torch.tensor([6.0, 4.0], dtype=D) + 1e-9).all()
    assert torch.allclose(found, soft_argmax(heatmaps + 3.0, beta), atol=1e-9)


def test_large_beta_is_the_argmax_and_does_not_overflow() -> None:
    """At beta 1e6 the result is the argmax, in float32 too."""
    heatmaps = torch.rand(2, 3, 9, 8, generator=torch.Generator().manual_seed(0))
    flat = heatmaps.flatten(2).argmax(2)
    expected = torch.stack([flat % 8, flat // 8], -1).float()
    assert torch.equal(soft_argmax(heatmaps, 1e6), expected)


def test_a_beta_per_joint_broadcasts() -> None:
    """beta (1, K, 1, 1) gives each joint its own sharpness."""
    heatmaps = torch.rand(2, 2, 6, 5, generator=torch.Generator().manual_seed(1), dtype=D)
    both = soft_argmax(heatmaps, torch.tensor([3.0, 30.0], dtype=D).view(1, 2, 1, 1))
    assert torch.allclose(both[:, 0], soft_argmax(heatmaps, 3.0)[:, 0])
    assert torch.allclose(both[:, 1], soft_argmax(heatmaps, 30.0)[:, 1])


def test_two_dimensions_separate_for_a_sum_of_scores() -> None:
    """With heatmap(x, y) = f(x) + g(y) the 2-D result is the pair of 1-D results on f and g."""
    g = torch.Generator().manual_seed(2)
    f, h = torch.randn(1, 3, 7, generator=g, dtype=D), torch.randn(1, 3, 9, generator=g, dtype=D)
    pair = torch.stack([soft_argmax_1d(f, 2.5), soft_argmax_1d(h, 2.5)], -1)
    assert torch.allclose(soft_argmax(f[:, :, None, :] + h[:, :, :, None], 2.5), pair)


def test_gradients() -> None:
    """Autograd agrees with finite differences, with respect to the scores and to beta."""
    g = torch.Generator().manual_seed(3)
    heatmaps = torch.randn(1, 2, 4, 3, generator=g, dtype=D, requires_grad=True)
    logits = torch.randn(1, 2, 6, generator=g, dtype=D, requires_grad=True)
    beta = torch.tensor(1.7, dtype=D, requires_grad=True)
    assert torch.autograd.gradcheck(soft_argmax, (heatmaps, beta))
    assert torch.autograd.gradcheck(soft_argmax_1d, (logits, beta))


def test_the_parts_make_the_whole() -> None:
    """spatial_softmax sums to 1 and, through expected_position, is soft_argmax."""
    heatmaps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(4), dtype=D)
    weights = spatial_softmax(heatmaps, 3.0)
    assert torch.allclose(weights.sum((2, 3)), torch.ones(2, 3, dtype=D))
    assert torch.allclose(expected_position(weights), soft_argmax(heatmaps, 3.0))


def test_wrong_shapes_are_named() -> None:
    """A missing dimension is a ShapeError that says what was got and expected."""
    with pytest.raises(ShapeError, match=r"\(3, 4, 5\); expected \(B, K, h, w\)"):
        soft_argmax(torch.zeros(3, 4, 5), 1.0)
    with pytest.raises(ShapeError, match=r"\(4, 5\); expected \(B, K, n\)"):
        soft_argmax_1d(torch.zeros(4, 5), 1.0)
