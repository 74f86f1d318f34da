"""Similarity of maps: Spearman against scipy, SSIM against values by hand and against a plain loop over windows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from poseig_mm.errors import ShapeError
from poseig_mm.studies.randomization.similarity import rank_correlation, structural_similarity

C1, C2 = 0.01**2, 0.03**2


def maps(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rank_correlation_equals_scipy_with_ties() -> None:
    """Average ranks: the same as scipy's, map by map, also where half of the pixels are equal."""
    a, b = (maps(2, 3, 12, 9, seed=s).mul(6).round() for s in (1, 2))
    found = rank_correlation(a, b + 0.5 * a)
    for i, j in np.ndindex(2, 3):
        expected = spearmanr(a[i, j].flatten(), (b + 0.5 * a)[i, j].flatten()).statistic
        assert found[i, j].item() == pytest.approx(expected, abs=1e-12)


def test_rank_correlation_of_any_increasing_function_is_one() -> None:
    """Only the order of the pixels counts; a decreasing function gives -1."""
    a = maps(4, 10, 10)
    torch.testing.assert_close(rank_correlation(a, a.exp()), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(rank_correlation(a, -(a**3)), -torch.ones(4, dtype=torch.float64))


def test_rank_correlation_is_undefined_for_a_constant_or_missing_map() -> None:
    """NaN, not 0; the other maps of the batch keep their number."""
    a = maps(3, 8, 8)
    b = a.clone()
    b[0], b[1, 2, 3] = 0.7, math.nan
    found = rank_correlation(a, b)
    assert found[:2].isnan().all()
    assert found[2].item() == pytest.approx(1.0)


def plain_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """The definition, window by window."""
    r = np.arange(11) - 5
    w = np.exp(-(r[:, None] ** 2 + r[None] ** 2) / (2 * 1.5**2))
    w /= w.sum()
    values = []
    for i in range(x.shape[0] - 10):
        for j in range(x.shape[1] - 10):
            p, q = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            mp, mq = (w * p).sum(), (w * q).sum()
            vp, vq, c = (w * (p - mp) ** 2).sum(), (w * (q - mq) ** 2).sum(), (w * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + C1) * (2 * c + C2) / ((mp**2 + mq**2 + C1) * (vp + vq + C2)))
    return float(np.mean(values))


def test_ssim_equals_the_definition_window_by_window() -> None:
    """1e-6, map by map (gaussian_kernels adds 1e-5 to sigma); maps that are not square."""
    x, y = maps(2, 17, 23, seed=3), maps(2, 17, 23, seed=4)
    y = 0.5 * x + 0.5 * y
    found = structural_similarity(x, y)
    for i in range(2):
        assert found[i].item() == pytest.approx(plain_ssim(x[i].numpy(), y[i].numpy()), abs=1e-5)
    assert 0.3 < found[0].item() < 0.9


def test_ssim_of_a_map_with_itself_is_one() -> None:
    """Exactly the same structure."""
    x = maps(3, 20, 20)
    torch.testing.assert_close(structural_similarity(x, x), torch.ones(3, dtype=torch.float64))


def test_ssim_of_constant_maps_is_the_luminance_term() -> None:
    """(2 a b + C1) / (a^2 + b^2 + C1), by hand."""
    a, b = torch.full((12, 12), 0.2, dtype=torch.float64), torch.full((12, 12), 0.6, dtype=torch.float64)
    assert structural_similarity(a, b).item() == pytest.approx((0.24 + C1) / (0.4 + C1), abs=1e-12)


def test_ssim_of_a_shifted_texture_is_near_zero() -> None:
    """Independent pixels of one distribution share their mean, not their structure."""
    x = maps(64, 64, seed=5)
    moved = x.roll(7, 1)
    assert abs(structural_similarity(x, moved).item()) < 0.1
    assert structural_similarity(x.roll(3, 0), moved.roll(3, 0)).item() == pytest.approx(
        structural_similarity(x, moved).item(), abs=0.02
    )


def test_ssim_depends_on_the_data_range_alone_through_its_constants() -> None:
    """Maps and range ten times as large: the same number."""
    x, y = maps(15, 15, seed=6), maps(15, 15, seed=7)
    scaled = structural_similarity(10 * x, 10 * y, data_range=10.0)
    assert scaled.item() == pytest.approx(structural_similarity(x, y).item(), abs=1e-12)


def test_ssim_is_undefined_for_a_missing_map() -> None:
    """NaN for that joint alone."""
    x = maps(2, 12, 12)
    y = x.clone()
    y[0, 0, 0] = math.nan
    found = structural_similarity(x, y)
    assert found[0].isnan()
    assert found[1].item() == pytest.approx(1.0)


def test_shapes_that_do_not_fit_are_refused() -> None:
    """Two sizes; maps smaller than the window."""
    with pytest.raises(ShapeError, match="expected twice"):
        rank_correlation(maps(4, 4), maps(4, 5))
    with pytest.raises(ShapeError, match="smaller than the window"):
        structural_similarity(maps(10, 20), maps(10, 20))
