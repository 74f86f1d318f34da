"""The paper's indices, as named objects over `functional.indices`."""

from __future__ import annotations

import torch
from torch import Tensor

from ..functional.indices import diffusion_index, foreground_index, locality_index, relation_index
from .base import Index, IndexInputs

__all__ = ["BUILTIN_INDICES", "DiffusionIndex", "ForegroundIndex", "LocalityIndex", "RelationIndex"]


class DiffusionIndex(Index):
    """DI: how widely the evidence is spread."""

    name, title, unit, range = "di", "Diffusion index", "", (0.0, 100.0)

    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K)."""
        return diffusion_index(inputs.maps)


class ForegroundIndex(Index):
    """FI: how much of the evidence is on the person."""

    name, title, unit, range, requires = "fi", "Foreground index", "", (0.0, float("inf")), frozenset({"mask"})

    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K), NaN without a mask."""
        return foreground_index(inputs.maps, inputs.mask)


class LocalityIndex(Index):
    """LI: how near the joint the evidence is."""

    name, title, unit, range = "li", "Locality index", "", (0.0, float("inf"))

    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K)."""
        return locality_index(inputs.maps, inputs.heatmaps)


class RelationIndex(Index):
    """RI(k -> m): how much of joint k's evidence is around joint m."""

    name, title, unit, range, kind = "ri", "Relation index", "", (0.0, float("inf")), "relation"

    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K, K), NaN where m is not visible."""
        return torch.where(inputs.visible[:, None], relation_index(inputs.maps, inputs.heatmaps), torch.nan)


BUILTIN_INDICES = (DiffusionIndex, ForegroundIndex, LocalityIndex, RelationIndex)
