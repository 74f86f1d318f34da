"""How alike each map of one set is to each map of another, cell by cell."""

from __future__ import annotations

import torch
from torch import Tensor

from poseig_mm.studies.randomization.similarity import average_ranks

__all__ = ["mean_of_others", "rank_correlations", "shared_masses"]


def rank_correlations(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's correlation of the cells of every pair of maps, ties with average ranks.

    Args:
        first: (K, h, w).
        second: (M, h, w).

    Returns:
        (K, M) in [-1, 1], float64; NaN where a map is constant or holds a value that is not finite.

    >>> found = rank_correlations(torch.tensor([[[1.0, 2, 3]]]), torch.tensor([[[1.0, 4, 9]], [[3.0, 1, 2]]]))
    >>> [round(value, 9) for value in found[0].tolist()]
    [1.0, -0.5]
    """

    def standardised(maps: Tensor) -> Tensor:
        ranks = average_ranks(maps.flatten(1))
        centred = ranks - ranks.mean(1, keepdim=True)
        unit = centred / centred.square().sum(1, keepdim=True).sqrt()
        return unit.where(maps.flatten(1).isfinite().all(1, keepdim=True), torch.nan)

    return standardised(first) @ standardised(second).T


def shared_masses(first: Tensor, second: Tensor) -> Tensor:
    """The mass that every pair of maps has in common: the sum over cells of the smaller share, 1 - total variation.

    Args:
        first: (K, h, w), each of sum 1.
        second: (M, h, w), each of sum 1.

    Returns:
        (K, M) in [0, 1], float64; NaN where a map holds a NaN.

    >>> others = torch.tensor([[[0.5, 0.25, 0.25]], [[0.0, 0.0, 1.0]]])
    >>> shared_masses(torch.tensor([[[0.5, 0.5, 0.0]]]), others).tolist()
    [[0.75, 0.0]]
    """
    a, b = first.double().flatten(1), second.double().flatten(1)
    return torch.minimum(a[:, None], b[None]).sum(-1)


def mean_of_others(values: Tensor, other: Tensor) -> Tensor:
    """Row means over the entries that `other` marks and that are finite, (K,); NaN where there is none.

    Args:
        values: (K, M).
        other: (K, M) bool.

    >>> mean_of_others(torch.tensor([[9.0, 1.0, 3.0]]), torch.tensor([[False, True, True]])).tolist()
    [2.0]
    """
    return values.where(other, torch.nan).nanmean(1)
