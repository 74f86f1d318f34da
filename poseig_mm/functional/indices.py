"""Indices read off attribution maps, for all joints of a batch at once (method section 5).

B images, K joints, (H, W) the input.  Maps are >= 0; whatever their scale, only DI depends on it, and only through the
published offset of 1e-7, meant for maps of maximum 1.  A map that is all zero or holds a NaN has NaN indices.

`in_image` (B, 1, H, W) bool says which pixels of the input show the image; where it is given, the others (padding,
which holds no evidence) count neither as area nor as mass.  None: all pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import ShapeError

GINI_OFFSET = 1e-7  # added to every pixel by the published implementation
DILATION = 5  # px, side of the square the mask is dilated with
_BIT_PATTERN = {torch.float32: torch.int32, torch.float64: torch.int64}


def _check_maps(maps: Tensor, in_image: Tensor | None = None) -> None:
    if maps.ndim != 4:
        raise ShapeError(f"maps have shape {tuple(maps.shape)}; expected (B, K, H, W)")
    if in_image is not None:
        _check_region("in_image", in_image, maps)


def _check_region(name: str, region: Tensor, maps: Tensor) -> None:
    expected = (maps.shape[0], 1, *maps.shape[2:])
    if region.shape != expected:
        raise ShapeError(f"{name} has shape {tuple(region.shape)}; expected (B, 1, H, W) = {expected}")


def _counted(in_image: Tensor | None, *values: Tensor) -> tuple[Tensor, ...]:
    """(B, K, H, W) each, cut to the rows and columns that count in some image, and 0 where the others' do not."""
    if in_image is None:
        return values
    somewhere = in_image.bool().any(0)[0]
    rows, columns = (_span(somewhere.any(dim)) for dim in (1, 0))
    beside = ~in_image.bool()[..., rows, columns]
    cut = [value[..., rows, columns] for value in values]
    return tuple(value.masked_fill(beside.to(value.device), 0) for value in cut) if bool(beside.any()) else tuple(cut)


def _span(line: Tensor) -> slice:
    """From the first to the last that is true."""
    where = line.nonzero()
    return slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 0)


def _area(maps: Tensor, in_image: Tensor | None) -> Tensor:
    """How many pixels count in each image, (B, 1) in float64."""
    if in_image is None:
        return torch.full((1, 1), maps.shape[2] * maps.shape[3], dtype=torch.float64, device=maps.device)
    return in_image.to(maps.device).sum((2, 3), dtype=torch.float64)


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


def gini(maps: Tensor, offset: float = 0.0, in_image: Tensor | None = None) -> Tensor:
    """Gini coefficient of each map's pixels: 0 all alike, (n - 1) / n all in one pixel.

    Args:
        maps: (B, K, H, W) >= 0.
        offset: added to every pixel.
        in_image: (B, 1, H, W) bool, the pixels that count; None: all.

    Returns:
        (B, K) in [0, 1); NaN for a map that is all zero or holds a NaN.

    Raises:
        ShapeError: maps that are not (B, K, H, W), or pixels of another shape.

    Source: sum_i (2 i - n - 1) a_(i) / (n sum a) over the pixels in ascending order, i = 1..n.

    >>> gini(torch.tensor([[[[0.0, 0.0], [0.0, 1.0]]]])).item()
    0.75
    """
    _check_maps(maps, in_image)
    n = _area(maps, in_image)
    (maps,) = _counted(in_image, maps)
    ascending = _ascending(maps.flatten(2))
    size = ascending.shape[2]
    # The ranks sum to 0, so that the offset drops out of the numerator.
    rank = 2 * torch.arange(1, size + 1, dtype=torch.float64, device=maps.device) - size - 1
    mass = _mass(maps)
    # What does not count is 0 and comes first: among the n others, a pixel's 2 i - n - 1 is less by size - n.
    return ((ascending.double() @ rank - (size - n) * mass) / (n * (mass + n * offset))).to(maps)


def diffusion_index(maps: Tensor, in_image: Tensor | None = None) -> Tensor:
    """DI = 100 (1 - Gini): 100 when the whole image matters alike, near 0 when one pixel does.

    Args:
        maps: (B, K, H, W) >= 0, maximum 1.  With the published offset of 1e-7 a pixel, a one-hot map at 256 x 192 has
            DI 0.49, not 0.002.
        in_image: as `gini`.

    Returns:
        (B, K) in (0, 100]; NaN for a map that is all zero or holds a NaN.

    Raises:
        ShapeError: as `gini`.

    >>> diffusion_index(torch.ones(1, 1, 4, 4)).item()
    100.0
    >>> left = torch.tensor([1.0, 1, 0, 0]).expand(1, 1, 4, 4)  # spread over the image, which is half of the input
    >>> round(diffusion_index(left).item()), diffusion_index(left, left.bool()).item()
    (50, 100.0)
    """
    return 100 * (1 - gini(maps, GINI_OFFSET, in_image))


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


def scaled_diffusion_index(maps: Tensor, in_image: Tensor | None = None, cells: int = 64) -> Tensor:
    """DI of the maps averaged over cells of a stated share of the frame, for inputs of any size.

    Args:
        maps: (B, K, H, W) >= 0.
        in_image: as `gini`; a cell counts where at least half of it does, and averages over what counts.
        cells: along the longer side, at most its pixels.

    Returns:
        (B, K) in (0, 100]; NaN as `diffusion_index`.

    Raises:
        ShapeError: as `gini`.

    >>> speckle = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(64, 64)[None, None]  # even at 2 px, the scale of 128 px
    >>> round(diffusion_index(speckle).item(), 2), round(scaled_diffusion_index(speckle).item(), 2)
    (50.0, 100.0)
    """
    _check_maps(maps, in_image)
    height, width = maps.shape[2:]
    per_cell = max(1.0, max(height, width) / cells)
    size = (max(1, round(height / per_cell)), max(1, round(width / per_cell)))
    if in_image is None:
        return diffusion_index(F.adaptive_avg_pool2d(_single(maps), size)).to(maps)
    counted = in_image.to(maps.device, torch.promote_types(maps.dtype, torch.float32))
    share = F.adaptive_avg_pool2d(counted, size)
    inside = F.adaptive_avg_pool2d(_single(maps) * counted, size)
    return diffusion_index(inside / share.clamp_min(torch.finfo(share.dtype).tiny), share >= 0.5).to(maps)


def foreground_index(maps: Tensor, mask: Tensor, in_image: Tensor | None = None) -> Tensor:
    """FI: share of the attribution on the dilated mask over the mask's share of the area; 1 is no preference.

    Args:
        maps: (B, K, H, W) >= 0.
        mask: (B, 1, H, W) bool or 0 / 1, the instance's pixels, not yet dilated.
        in_image: as `gini`.

    Returns:
        (B, K) >= 0; NaN where the mask is empty, or the map is all zero or holds a NaN.

    Raises:
        ShapeError: maps, mask or pixels of another shape.

    >>> mask = torch.zeros(1, 1, 10, 10); mask[..., :3] = 1  # dilated: 5 of 10 columns
    >>> maps = torch.zeros(1, 1, 10, 10); maps[..., 0] = 1
    >>> foreground_index(maps, mask).item()
    2.0
    """
    _check_maps(maps, in_image)
    _check_region("mask", mask, maps)
    return _concentration(maps, dilate_mask(mask).to(maps), in_image)


def foreground_log_odds(maps: Tensor, mask: Tensor, in_image: Tensor | None = None) -> Tensor:
    """Log of the odds that the attribution is on the dilated mask, over the odds that a pixel is; 0: no preference.

    FI is at most 1 over the mask's share of the area, so that a person who fills the input can have no large one; odds
    have no such ceiling.

    Args:
        maps, mask, in_image: as `foreground_index`.

    Returns:
        (B, K); NaN where FI is, where the mask is everywhere, and where all of the map is on it, or nothing.

    Raises:
        ShapeError: as `foreground_index`.

    >>> mask = torch.zeros(1, 1, 10, 10); mask[..., :3] = 1  # dilated: half of the area
    >>> maps = torch.ones(1, 1, 10, 10); maps[..., :5] = 3  # and 3 / 4 of the map
    >>> round(foreground_log_odds(maps, mask).exp().item(), 5)
    3.0
    """
    _check_maps(maps, in_image)
    _check_region("mask", mask, maps)
    on = dilate_mask(mask).to(maps)
    maps, on, beside = _counted(in_image, maps, on, 1 - on)
    mass_on, mass_beside = ((_single(maps) * _single(w)).sum((2, 3), dtype=torch.float64) for w in (on, beside))
    odds = mass_on / mass_beside * (beside.sum((2, 3), dtype=torch.float64) / on.sum((2, 3), dtype=torch.float64))
    return torch.where((odds > 0) & odds.isfinite(), odds, torch.nan).log().to(maps)


def locality_index(maps: Tensor, heatmaps: Tensor, in_image: Tensor | None = None) -> Tensor:
    """LI: mean of the joint's own heatmap under the map over its mean under a uniform one; 1: no preference.

    Args:
        maps: (B, K, H, W) >= 0.
        heatmaps: (B, K, H, W) >= 0, see `heatmaps.gaussian_heatmaps`.
        in_image: as `gini`.

    Returns:
        (B, K) >= 0; NaN where the heatmap is NaN or sums to 0, or the map is all zero or holds a NaN.

    Raises:
        ShapeError: as `gini`, or heatmaps of another shape than the maps'.

    >>> locality_index(torch.ones(1, 1, 4, 4), torch.rand(1, 1, 4, 4)).item()
    1.0
    """
    _check_heatmaps(maps, heatmaps, in_image)
    return _concentration(maps, heatmaps, in_image)


def relation_index(maps: Tensor, heatmaps: Tensor, in_image: Tensor | None = None) -> Tensor:
    """RI(k -> m): LI of joint k's map with joint m's heatmap.

    Args:
        maps, heatmaps, in_image: as for `locality_index`.

    Returns:
        (B, K, K) >= 0, [b, k, m]; its diagonal is LI.  NaN where either is undefined.

    Raises:
        ShapeError: as `locality_index`.

    >>> maps = torch.rand(1, 3, 4, 4); heatmaps = torch.rand(1, 3, 4, 4)
    >>> torch.allclose(relation_index(maps, heatmaps).diagonal(dim1=1, dim2=2), locality_index(maps, heatmaps))
    True
    """
    _check_heatmaps(maps, heatmaps, in_image)
    area = _area(maps, in_image)[:, :, None]
    maps, heatmaps = _counted(in_image, maps, heatmaps)
    product = torch.einsum("bkn,bmn->bkm", maps.flatten(2).double(), heatmaps.flatten(2).double())
    return (product * area / (_mass(maps)[:, :, None] * _mass(heatmaps)[:, None, :])).to(maps)


def mass_outside(maps: Tensor, in_image: Tensor) -> Tensor:
    """Share of each map's mass in the pixels that show no image.

    Args:
        maps: (B, K, H, W) >= 0.
        in_image: (B, 1, H, W) bool.

    Returns:
        (B, K) in [0, 1]; NaN for a map that is all zero or holds a NaN.

    Raises:
        ShapeError: as `gini`.

    >>> mass_outside(torch.ones(1, 1, 4, 4), torch.tensor([True, True, True, False]).expand(1, 1, 4, 4)).item()
    0.25
    """
    _check_maps(maps, in_image)
    return (maps.masked_fill(in_image.to(maps.device), 0).sum((2, 3), dtype=torch.float64) / _mass(maps)).to(maps)


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


def _check_heatmaps(maps: Tensor, heatmaps: Tensor, in_image: Tensor | None) -> None:
    _check_maps(maps, in_image)
    if heatmaps.shape != maps.shape:
        raise ShapeError(f"heatmaps have shape {tuple(heatmaps.shape)}; expected that of the maps, {tuple(maps.shape)}")


def _concentration(maps: Tensor, weights: Tensor, in_image: Tensor | None) -> Tensor:
    """(B, K, H, W) and (B, K or 1, H, W) -> (B, K): mean of the weight under each map, over its mean under uniform."""
    area = _area(maps, in_image)
    maps, weights = _counted(in_image, maps, weights)
    product = (_single(maps) * _single(weights)).sum((2, 3), dtype=torch.float64)
    return (product * area / (_mass(maps) * _mass(weights))).to(maps)


def _single(values: Tensor) -> Tensor:
    """At least float32: products of small numbers underflow in half precision."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
