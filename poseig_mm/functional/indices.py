"""Indices read off attribution maps, for all joints of a batch at once (method section 5).

B images, K joints, (H, W) the input.  Maps are >= 0; whatever their scale, only DI depends on it, and only through the
published offset of 1e-7, meant for maps of maximum 1.  A map that is all zero or holds a NaN has NaN indices.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ShapeError

GINI_OFFSET = 1e-7  # added to every pixel by the published implementation
DILATION = 5  # px, side of the square the mask is dilated with
_BIT_PATTERN = {torch.float32: torch.int32, torch.float64: torch.int64}


def _check_maps(maps: Tensor) -> None:
    if maps.ndim != 4:
        raise ShapeError(f"maps have shape {tuple(maps.shape)}; expected (B, K, H, W)")


def _mass(maps: Tensor) -> Tensor:
    """Sum of each map, (B, K) in float64; NaN where it is not positive and finite."""
    total = maps.sum((2, 3), dtype=torch.float64)
    return torch.where((total > 0) & total.isfinite(), total, torch.nan)


def _ascending(rows: Tensor) -> Tensor:
    """Each row (..., n) sorted.  On a CPU by radix, twelve times faster than `torch.sort` of floats.

    Bit patterns of numbers >= 0 are ordered as the numbers are, and one-dimensional stable sorts of integers are radix
    sorts there.  With a gradient, on other devices and with negative numbers it is `torch.sort` itself.
    """
    if rows.device.type == "cpu" and rows.dtype in _BIT_PATTERN and not rows.requires_grad:
        bits = rows.contiguous().view(_BIT_PATTERN[rows.dtype])
        if bits.numel() and not bool((bits < 0).any()):
            ascending = torch.stack([row.sort(stable=True).values for row in bits.flatten(0, -2)])
            return ascending.view(rows.dtype).view_as(rows)
    return rows.sort(dim=-1).values


def gini(maps: Tensor, offset: float = 0.0) -> Tensor:
    """Gini coefficient of each map's pixels: 0 all alike, (n - 1) / n all in one pixel.

    Args:
        maps: (B, K, H, W) >= 0.
        offset: added to every pixel.

    Returns:
        (B, K) in [0, 1); NaN for a map that is all zero or holds a NaN.

    Raises:
        ShapeError: maps that are not (B, K, H, W).

    Source: sum_i (2 i - n - 1) a_(i) / (n sum a) over the pixels in ascending order, i = 1..n.

    >>> gini(torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]]])).item()
    0.75
    """
    _check_maps(maps)
    ascending = _ascending(maps.flatten(2))
    n = ascending.shape[2]
    # The ranks sum to 0, so that the offset drops out of the numerator.
    rank = 2 * torch.arange(1, n + 1, dtype=torch.float64, device=maps.device) - n - 1
    return ((ascending.double() @ rank) / (n * (_mass(maps) + n * offset))).to(maps)


def diffusion_index(maps: Tensor) -> Tensor:
    """DI = 100 (1 - Gini): 100 when the whole input matters alike, near 0 when one pixel does.

    Args:
        maps: (B, K, H, W) >= 0, maximum 1.  With the published offset of 1e-7 a pixel, a one-hot map at 256 x 192 has
            DI 0.49, not 0.002.

    Returns:
        (B, K) in (0, 100]; NaN for a map that is all zero or holds a NaN.

    Raises:
        ShapeError: maps that are not (B, K, H, W).

    >>> diffusion_index(torch.ones(1, 1, 4, 4)).item()
    100.0
    """
    return 100 * (1 - gini(maps, GINI_OFFSET))


def dilate_mask(mask: Tensor) -> Tensor:
    """The mask dilated by a 5 x 5 square, as published.

    Args:
        mask: (B, 1, H, W), bool or 0 / 1.

    Returns:
        (B, 1, H, W) float 0 / 1.

    >>> m = torch.zeros(1, 1, 7, 7); m[0, 0, 3, 3] = 1
    >>> dilate_mask(m).sum().item()
    25.0
    """
    return F.max_pool2d(mask.float(), DILATION, stride=1, padding=DILATION // 2)


def foreground_index(maps: Tensor, mask: Tensor) -> Tensor:
    """FI: share of the attribution on the dilated mask over the mask's share of the area; 1 is no preference.

    Args:
        maps: (B, K, H, W) >= 0.
        mask: (B, 1, H, W) bool or 0 / 1, the instance's pixels, not yet dilated.

    Returns:
        (B, K) >= 0; NaN where the mask is empty, or the map is all zero or holds a NaN.

    Raises:
        ShapeError: maps or mask of another shape.

    >>> mask = torch.zeros(1, 1, 10, 10); mask[..., :3] = 1  # dilated: 5 of 10 columns
    >>> maps = torch.zeros(1, 1, 10, 10); maps[..., 0] = 1
    >>> foreground_index(maps, mask).item()
    2.0
    """
    _check_maps(maps)
    if mask.shape != (maps.shape[0], 1, *maps.shape[2:]):
        raise ShapeError(
            f"mask has shape {tuple(mask.shape)}; expected (B, 1, H, W) = {(maps.shape[0], 1, *maps.shape[2:])}"
        )
    return _concentration(maps, dilate_mask(mask).to(maps))


def locality_index(maps: Tensor, heatmaps: Tensor) -> Tensor:
    """LI: mean of the joint's own heatmap under the map over its mean under a uniform one; 1: no preference.

    Args:
        maps: (B, K, H, W) >= 0.
        heatmaps: (B, K, H, W) >= 0, see `heatmaps.gaussian_heatmaps`.

    Returns:
        (B, K) >= 0; NaN where the heatmap is NaN or sums to 0, or the map is all zero or holds a NaN.

    Raises:
        ShapeError: maps that are not (B, K, H, W), or heatmaps of another shape than theirs.

    >>> locality_index(torch.ones(1, 1, 4, 4), torch.rand(1, 1, 4, 4)).item()
    1.0
    """
    _check_heatmaps(maps, heatmaps)
    return _concentration(maps, heatmaps)


def relation_index(maps: Tensor, heatmaps: Tensor) -> Tensor:
    """RI(k -> m): LI of joint k's map with joint m's heatmap.

    Args:
        maps, heatmaps: (B, K, H, W) as for `locality_index`.

    Returns:
        (B, K, K) >= 0, [b, k, m]; its diagonal is LI.  NaN where either is undefined.

    Raises:
        ShapeError: as `locality_index`.

    >>> maps = torch.rand(1, 3, 4, 4); heatmaps = torch.rand(1, 3, 4, 4)
    >>> torch.allclose(relation_index(maps, heatmaps).diagonal(dim1=1, dim2=2), locality_index(maps, heatmaps))
    True
    """
    _check_heatmaps(maps, heatmaps)
    product = torch.einsum("bkn,bmn->bkm", maps.flatten(2).double(), heatmaps.flatten(2).double())
    pixels = maps.shape[2] * maps.shape[3]
    return (product * pixels / (_mass(maps)[:, :, None] * _mass(heatmaps)[:, None, :])).to(maps)


def endpoint_error(coords: Tensor, keypoints: Tensor) -> Tensor:
    """EPE: Euclidean distance of each joint, (B, K, D) twice -> (B, K) in their unit; NaN where either is NaN.

    Raises:
        ShapeError: the two differ in shape.

    >>> endpoint_error(torch.tensor([[[3.0, 4.0]]]), torch.zeros(1, 1, 2)).item()
    5.0
    """
    if coords.shape != keypoints.shape:
        raise ShapeError(
            f"coords {tuple(coords.shape)} and keypoints {tuple(keypoints.shape)} must have the same shape"
        )
    distance: Tensor = torch.linalg.vector_norm(coords - keypoints, dim=-1)
    return distance


def _check_heatmaps(maps: Tensor, heatmaps: Tensor) -> None:
    _check_maps(maps)
    if heatmaps.shape != maps.shape:
        raise ShapeError(f"heatmaps have shape {tuple(heatmaps.shape)}; expected that of the maps, {tuple(maps.shape)}")


def _concentration(maps: Tensor, weights: Tensor) -> Tensor:
    """(B, K, H, W) and (B, K or 1, H, W) -> (B, K): mean of the weight under each map, over its mean under uniform."""
    product = (_single(maps) * _single(weights)).sum((2, 3), dtype=torch.float64)
    pixels = maps.shape[2] * maps.shape[3]
    return (product * pixels / (_mass(maps) * _mass(weights))).to(maps)


def _single(values: Tensor) -> Tensor:
    """At least float32: products of small numbers underflow in half precision."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
