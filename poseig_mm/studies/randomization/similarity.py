"""How alike two maps are: Spearman's rank correlation of their pixels, and the structural similarity index."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import Tensor

from ...errors import ShapeError
from ...functional.paths import gaussian_kernels


def average_ranks(values: Tensor) -> Tensor:
    """Ranks 1 .. n along the last dimension, (..., n) in float64; equal values share the mean of their ranks.

    >>> average_ranks(torch.tensor([10.0, 30.0, 10.0, 20.0])).tolist()
    [1.5, 4.0, 1.5, 3.0]
    """
    return torch.from_numpy(rankdata(values.numpy(force=True), axis=-1)).to(values.device)


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's correlation of the pixels of each pair of maps, ties with average ranks.

    Args:
        first, second: (..., H, W), any unit.

    Returns:
        (...) in [-1, 1], float64; NaN where a map is constant or holds a value that is not finite.

    >>> rank_correlation(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 4.0, 9.0]])).item()
    1.0
    """
    _check(first, second)
    a, b = (average_ranks(m.flatten(-2)) for m in (first, second))
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    correlation = (a * b).sum(-1) / (a.square().sum(-1) * b.square().sum(-1)).sqrt()
    return torch.where(_finite(first) & _finite(second), correlation, torch.nan)


def structural_similarity(
    first: Tensor,
    second: Tensor,
    *,
    data_range: float = 1.0,
    size: int = 11,
    sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Tensor:
    """SSIM of each pair of maps, averaged over the windows that lie wholly inside (Wang et al. 2004, eq. 13).

    Args:
        first, second: (..., H, W) in [0, data_range].
        data_range: the values' range, L in C1 = (k1 L)^2 and C2 = (k2 L)^2.
        size, sigma: of the Gaussian window, px.  Variances are the window's own (no n - 1).

    Returns:
        (...) in [-1, 1], float64; NaN where a map holds a value that is not finite.

    Raises:
        ShapeError: shapes that differ, or maps smaller than the window.

    >>> black, grey = torch.zeros(16, 16), torch.full((16, 16), 0.5)
    >>> round(structural_similarity(black, grey).item() * (0.25 + 1e-4), 9)  # C1 / (0.5^2 + C1)
    0.0001
    """
    _check(first, second)
    if min(first.shape[-2:]) < size:
        raise ShapeError(f"maps of {tuple(first.shape[-2:])} px are smaller than the window of {size} px")
    kernel = gaussian_kernels(torch.tensor([sigma], dtype=torch.float64, device=first.device), size)[0]
    x, y = (m.double().reshape(-1, 1, *m.shape[-2:]) for m in (first, second))

    def windowed(values: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(values, kernel[None, None, None, :]), kernel[None, None, :, None])

    mx, my = windowed(x), windowed(y)
    vx, vy, cov = windowed(x * x) - mx * mx, windowed(y * y) - my * my, windowed(x * y) - mx * my
    c1, c2 = (k1 * data_range) ** 2, (k2 * data_range) ** 2
    local = (2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    means = local.mean((1, 2, 3)).reshape(first.shape[:-2])
    return torch.where(_finite(first) & _finite(second), means, torch.nan)


def _check(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape or first.ndim < 2:
        raise ShapeError(f"maps have shapes {tuple(first.shape)} and {tuple(second.shape)}; expected twice (..., H, W)")


def _finite(maps: Tensor) -> Tensor:
    return maps.isfinite().flatten(-2).all(-1)
