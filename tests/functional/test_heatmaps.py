"""Gaussian heatmaps: exact at every pixel, and the published ones as they were."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poseig_mm.errors import ShapeError
from poseig_mm.functional.heatmaps import gaussian_heatmaps, published_heatmaps, quantised_heatmaps

D = torch.float64


def test_each_pixel_is_the_gaussian() -> None:
    """exp(-d^2 / 2 sigma^2) of the distance to (x, y), between pixels and outside too, by a plain loop."""
    points = torch.tensor([[[3.25, 5.5], [0.0, 0.0]], [[-2.0, 4.0], [9.0, 6.0]]], dtype=D)
    found = gaussian_heatmaps(points, (7, 10), sigma=2.5)
    assert found.shape == (2, 2, 7, 10)
    for b in range(2):
        for k in range(2):
            px, py = points[b, k].tolist()
            for y in range(7):
                for x in range(10):
                    expected = math.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 2.5**2))
                    assert found[b, k, y, x].item() == pytest.approx(expected, rel=1e-12)


def test_the_default_is_two_heatmap_pixels_at_stride_four() -> None:
    """Sigma 8 input px: exp(-1/2) 8 px from the joint."""
    assert gaussian_heatmaps(torch.tensor([[[4.0, 3.0]]], dtype=D), (16, 16))[0, 0, 3, 12].item() == pytest.approx(
        math.exp(-0.5)
    )


def test_an_unknown_joint_is_nan_and_spoils_nothing() -> None:
    """One NaN coordinate is enough for a NaN heatmap; the others stand."""
    points = torch.tensor([[[1.0, torch.nan], [1.0, 2.0]]])
    for found in (gaussian_heatmaps(points, (8, 8)), published_heatmaps(points, (8, 8))):
        assert found[0, 0].isnan().all()
        assert found[0, 1].isfinite().all()


@given(st.floats(-40, 80), st.floats(-40, 80))
@settings(max_examples=25)
def test_values_lie_in_0_1(x: float, y: float) -> None:
    """Wherever the joint is, for both kinds."""
    point = torch.tensor([[[x, y]]], dtype=D)
    for found in (gaussian_heatmaps(point, (32, 24)), published_heatmaps(point, (32, 24))):
        assert bool(((found >= 0) & (found <= 1)).all())


def test_the_published_heatmap_is_the_resized_small_one() -> None:
    """Between the grid's points it is linear: with align_corners=False, input px i is heatmap px (i + 0.5) / 4 -
    0.5.
    """
    point = torch.tensor([[[22.0, 18.0]]], dtype=D)
    found = published_heatmaps(point, (48, 64))[0, 0]
    small = quantised_heatmaps(point / 4, (12, 16), 2.0)[0, 0]
    for y, x in [(18, 22), (21, 30), (3, 40)]:
        v, u = (y + 0.5) / 4 - 0.5, (x + 0.5) / 4 - 0.5
        i, j = math.floor(v), math.floor(u)
        a, b = v - i, u - j
        by_hand = (1 - a) * ((1 - b) * small[i, j] + b * small[i, j + 1]) + a * (
            (1 - b) * small[i + 1, j] + b * small[i + 1, j + 1]
        )
        assert found[y, x].item() == pytest.approx(by_hand.item(), rel=1e-12)


def test_a_quantised_heatmap_is_a_window_around_the_nearest_pixel() -> None:
    """(5.6, 3.5) is drawn around (6, 4), half a pixel goes up; 6 px away it is exp(-4.5), 7 px away nothing."""
    found = quantised_heatmaps(torch.tensor([[[5.6, 3.5], [30.0, 3.0]]], dtype=D), (12, 16), 2.0)[0]
    assert found[0].max() == found[0, 4, 6] == 1
    assert found[0, 4, 12].item() == pytest.approx(math.exp(-4.5))
    assert found[0, 4, 13].item() == found[0, 11, 6].item() == 0
    assert found[0, 10, 12].item() == pytest.approx(math.exp(-9))
    assert not found[1].any()


def test_gradients_reach_the_keypoints() -> None:
    """Autograd agrees with finite differences."""
    points = torch.tensor([[[2.3, 1.6]]], dtype=D, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: gaussian_heatmaps(p, (5, 6), 1.5), points)


def test_type_follows_the_keypoints() -> None:
    """float32 in, float32 out."""
    for dtype in (torch.float32, D):
        assert gaussian_heatmaps(torch.zeros(1, 1, 2, dtype=dtype), (4, 4)).dtype == dtype
        assert published_heatmaps(torch.zeros(1, 1, 2, dtype=dtype), (4, 4)).dtype == dtype


@pytest.mark.parametrize("shape", [(2,), (1, 2), (1, 3, 3)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    """What was got and expected is said, by both."""
    for function in (gaussian_heatmaps, published_heatmaps):
        with pytest.raises(ShapeError, match=r"expected \(B, K, 2\) as \(x, y\)"):
            function(torch.zeros(shape), (4, 4))
