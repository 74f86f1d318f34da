"""From signed sums along the path to maps, and how far two maps are apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..types import Attribution

# why a joint has no map
REASONS = ("", "not_visible", "not_asked", "zero_map", "nonfinite_gradient", "no_match", "nonfinite_weights", "no_map")


def normalise_maps(signed: Tensor) -> Tensor:
    """A = |signed| / max |signed| for each joint, (..., H, W); NaN where all zero or not finite.

    >>> normalise_maps(torch.tensor([[[1.0, -4.0]]])).tolist()
    [[[0.25, 1.0]]]
    """
    maps = signed.abs()
    peak = maps.amax((-2, -1), keepdim=True)
    ok = (peak > 0) & signed.isfinite().all(-1, keepdim=True).all(-2, keepdim=True)
    return torch.where(ok, maps / peak, torch.nan)


def half_l1_distance(a: Tensor, b: Tensor) -> Tensor:
    """Half the L1 distance of two signed sums' maps (|.| normalised to sum 1): 0 the same, 1 disjoint.

    Args:
        a, b: (..., H, W).

    Returns:
        (...), NaN where a map is all zero or not finite.

    >>> half_l1_distance(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, -3.0]])).item()
    1.0
    """
    p, q = a.abs().flatten(-2), b.abs().flatten(-2)
    p, q = p / p.sum(-1, keepdim=True), q / q.sum(-1, keepdim=True)
    return (p - q).abs().sum(-1) / 2


def smoothed(maps: Tensor, sigma: float) -> Tensor:
    """Maps smoothed by a Gaussian; what would fall over the edge stays inside, so that each keeps its sum.

    Args:
        maps: (..., H, W).
        sigma: px; 0 leaves them as they are.

    >>> smoothed(torch.eye(3)[None], 2.0).sum().item()
    3.0
    """
    if sigma == 0:
        return maps
    down, across = (_spread(n, sigma).to(maps) for n in maps.shape[-2:])
    return down @ maps @ across.T


def _spread(n: int, sigma: float) -> Tensor:
    """(n, n): column j holds where the mass of pixel j goes, and sums to 1."""
    places = torch.arange(n, dtype=torch.float64)
    weights = torch.exp(-((places[:, None] - places) ** 2) / (2 * sigma**2))
    return weights / weights.sum(0)


def half_rule_distance(even: Tensor, odd: Tensor, scale: float = 0.0) -> Tensor:
    """`half_l1_distance` of two signed sums (..., H, W) whose maps are seen at a scale: Gaussian of `scale` px.

    Never above that of the maps themselves.

    >>> half_rule_distance(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, -3.0]]), 2.0).item() < 0.1
    True
    """
    return half_l1_distance(smoothed(even.abs(), scale), smoothed(odd.abs(), scale))


def attribution_from_sums(
    signed_sums: Tensor,
    start: Tensor,
    end: Tensor,
    coords: Tensor,
    asked: Tensor,
    finite: Tensor,
    *,
    signed: bool,
) -> Attribution:
    """Maps and reasons from signed sums (B, K, H, W); residual and map error stay NaN, evaluations 1 where asked."""
    total = torch.where(asked[..., None, None], signed_sums, torch.nan)
    maps = normalise_maps(total)
    good, summed = maps.flatten(2).isfinite().all(2), total.flatten(2).isfinite().all(2)
    code = torch.where(good, 0, torch.where(~finite, 1, torch.where(~asked, 2, torch.where(summed, 3, 4))))
    unknown = torch.full_like(start, torch.nan)
    return Attribution(
        maps=maps,
        residual=unknown,
        residual_rel=unknown,
        target_start=torch.where(asked, start, torch.nan),
        target_end=torch.where(asked, end, torch.nan),
        map_error=unknown,
        map_error_2px=unknown,
        converged=torch.zeros_like(asked),
        evaluations=asked.long(),
        reasons=tuple(tuple(REASONS[c] for c in row) for row in code.tolist()),
        signed=total if signed else None,
        soft_coords=coords,
    )


def person_of(attribution: Attribution, b: int) -> Attribution:
    """One person of a batch, without B."""
    parts = {n: v[b] for n, v in vars(attribution).items() if v is not None}
    return replace(attribution, **parts)


def batch_of_one(attribution: Attribution) -> Attribution:
    """A person's as a batch, B = 1: the inverse of `person_of`."""
    parts: dict[str, Any] = {}
    for name, value in vars(attribution).items():
        parts[name] = value[None] if isinstance(value, Tensor) else None if value is None else (value,)
    return replace(attribution, **parts)
