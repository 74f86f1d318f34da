"""How well maps find evidence whose pixels are known: three scores, each against what chance gives.

Maps are (..., H, W) and >= 0, evidence (..., H, W) bool; leading dimensions broadcast.  A map that is all zero or holds
a value that is not finite has NaN scores, and so has a map whose evidence is empty or the whole image.
"""

from __future__ import annotations

import torch
from torch import Tensor

from poseig_mm.errors import ShapeError

__all__ = ["area_share", "auroc", "mass_share", "peak_share"]


def auroc(maps: Tensor, evidence: Tensor) -> Tensor:
    """Chance that a pixel of the evidence has a larger value than a pixel beside it; ties count half.

    Args:
        maps: (..., H, W) >= 0.
        evidence: (..., H, W) bool.

    Returns:
        (...) float64 in [0, 1]; 0.5 for a map that knows nothing.

    Raises:
        ShapeError: sizes that do not fit, or evidence that is not bool.

    Source: area under the ROC curve = Mann-Whitney U / (positives * negatives).

    >>> auroc(torch.tensor([[0.1, 0.9], [0.4, 0.2]]), torch.tensor([[False, True], [False, True]])).item()
    0.75
    """
    a, e, good = _pairs(maps, evidence)
    n = a.shape[-1]
    ascending = a.sort(dim=-1).values
    below = torch.searchsorted(ascending, a)  # pixels that are smaller
    not_above = torch.searchsorted(ascending, a, right=True)
    rank = (below + not_above + 1).double() / 2  # of 1..n; ties share their mean
    inside = e.sum(-1).double()
    u = (rank * e).sum(-1) - inside * (inside + 1) / 2
    return torch.where(good, u / (inside * (n - inside)), torch.nan)


def mass_share(maps: Tensor, evidence: Tensor) -> Tensor:
    """Share of a map's sum that lies on the evidence, (...) float64; `area_share` for a map that knows nothing.

    >>> mass_share(torch.tensor([[1.0, 3.0]]), torch.tensor([[False, True]])).item()
    0.75
    """
    a, e, good = _pairs(maps, evidence)
    a = a.double()
    return torch.where(good, (a * e).sum(-1) / a.sum(-1), torch.nan)


def peak_share(maps: Tensor, evidence: Tensor) -> Tensor:
    """Share of a map's largest pixels (one, but for ties) that lie on the evidence, (...) float64.

    >>> peak_share(torch.tensor([[1.0, 3.0]]), torch.tensor([[False, True]])).item()
    1.0
    """
    a, e, good = _pairs(maps, evidence)
    top = a == a.max(-1, keepdim=True).values
    return torch.where(good, (top & e).sum(-1).double() / top.sum(-1), torch.nan)


def area_share(evidence: Tensor) -> Tensor:
    """Share of the pixels that are evidence, (...) float64: what chance gives `mass_share` and `peak_share`."""
    return evidence.flatten(-2).double().mean(-1)


def _pairs(maps: Tensor, evidence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels of both in one row each, (..., H W), and which maps can be scored (...)."""
    if evidence.dtype is not torch.bool or maps.shape[-2:] != evidence.shape[-2:]:
        raise ShapeError(
            f"maps have shape {tuple(maps.shape)}, evidence {tuple(evidence.shape)} of {evidence.dtype}; expected "
            "(..., H, W) both, and bool"
        )
    shape = torch.broadcast_shapes(maps.shape, evidence.shape)
    a, e = (v.detach().expand(shape).flatten(-2).contiguous() for v in (maps, evidence))
    total, inside = a.sum(-1, dtype=torch.float64), e.sum(-1)
    return a, e, total.isfinite() & (total > 0) & (inside > 0) & (inside < e.shape[-1])
