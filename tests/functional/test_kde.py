"""The KDE heatmap is scipy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import gaussian_kde

from poseig_mm.errors import ShapeError
from poseig_mm.functional.kde import kde_heatmap


def blob(height: int, width: int, seed: int) -> torch.Tensor:
    """A rough map with a correlated, anisotropic shape."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    u, v = (x - width / 3) / (width / 6), (y - height / 2) / (height / 4)
    return torch.from_numpy(np.exp(-(u**2) - v**2 + 1.4 * u * v) * rng.random((height, width)) ** 3)


def scipy_density(weights: torch.Tensor, points: np.ndarray) -> np.ndarray:
    height, width = weights.shape
    y, x = np.mgrid[:height, :width]
    kde = gaussian_kde(np.vstack([x.ravel(), y.ravel()]), weights=weights.numpy().ravel())
    return kde(points)


@pytest.mark.parametrize("seed", [0, 1])
def test_equal_to_scipy_everywhere(seed: int) -> None:
    """On a small map the density equals scipy's at every pixel to 1e-3 of its peak (in fact 1e-7)."""
    weights = blob(48, 36, seed)
    y, x = np.mgrid[:48, :36]
    expected = scipy_density(weights, np.vstack([x.ravel(), y.ravel()])).reshape(48, 36)
    assert np.abs(kde_heatmap(weights).numpy() - expected).max() < 1e-6 * expected.max()


def test_equal_to_scipy_at_full_size() -> None:
    """At 256 x 192 the density equals scipy's at 150 pixels, float32 in and out."""
    weights = blob(256, 192, 2)
    rng = np.random.default_rng(0)
    points = np.vstack([rng.integers(0, 192, 150), rng.integers(0, 256, 150)])
    expected = scipy_density(weights, points)
    found = kde_heatmap(weights.float())
    assert found.dtype == torch.float32
    assert np.abs(found.numpy()[points[1], points[0]] - expected).max() < 1e-3 * found.max().item()


def test_scale_does_not_matter() -> None:
    """A density does not depend on the map's scale."""
    weights = blob(30, 20, 3)
    assert torch.allclose(kde_heatmap(weights), kde_heatmap(5 * weights))


@pytest.mark.parametrize("kind", ["zero", "nan", "pixel", "line"])
def test_impossible_maps_are_nan(kind: str) -> None:
    """Where scipy has no inverse covariance, or there is no mass, the density is NaN."""
    weights = torch.zeros(20, 20)
    if kind == "nan":
        weights[:] = torch.nan
    elif kind == "pixel":
        weights[3, 3] = 1
    elif kind == "line":
        weights[3] = 1
    assert kde_heatmap(weights).isnan().all()


def test_an_oblique_line_is_degenerate_whatever_the_rounding() -> None:
    """The determinant of the covariance of one line is zero up to rounding, of either sign."""
    for seed in range(20):
        weights = torch.zeros(20, 20, dtype=torch.float64)
        weights[range(1, 10), range(0, 18, 2)] = torch.rand(9, generator=torch.Generator().manual_seed(seed)).double()
        assert kde_heatmap(weights).isnan().all()


def test_wrong_shape() -> None:
    """Batches are refused with the shape that was got."""
    with pytest.raises(ShapeError, match=r"expected \(H, W\)"):
        kde_heatmap(torch.ones(1, 3, 3))
