"""The paper's indices, as named objects over `functional.indices` (method section 5)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ShapeError
from ..functional.indices import diffusion_index, foreground_index, locality_index, relation_index
from .base import Index, IndexInputs

# the Gaussian's size, in the input or by the person's
_BY_SIGMA = ("locality.weight", "locality.input_size", "locality.stride", "frame")


class DiffusionIndex(Index):
    """DI: how widely the evidence is spread; 100 over the whole image alike."""

    name, title, range = "di", "DI", (0.0, 100.0)
    has_error, error_factors = True, (1.30, 0.76, 0.58, 0.55, 0.61)
    comparable_by = ("height", "width", "frame")
    meaning = "diffusion: 0 one pixel, 100 the whole image alike"

    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K)."""
        return diffusion_index(inputs.maps, inputs.in_image)


class ForegroundIndex(Index):
    """FI: how much of the evidence is on the person; 1 is no preference."""

    name, title, range, requires = "fi", "FI", (0.0, float("inf")), frozenset({"mask"})
    has_error, error_factors = True, (1.02, 0.82, 0.77, 0.39, 0.58)
    comparable_by = ("mask_source", "frame")
    meaning, neutral = "foreground: 1 no preference for the person, more is more", 1.0

    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K), NaN where the mask is empty."""
        return foreground_index(inputs.maps, _given(inputs.mask, "mask"), inputs.in_image)


class LocalityIndex(Index):
    """LI: how near the joint the evidence is; 1 is no preference."""

    name, title, range, requires = "li", "LI", (0.0, float("inf")), frozenset({"heatmaps"})
    has_error, error_factors = True, (0.98, 0.60, 0.63, 0.47, 0.50)
    comparable_by = _BY_SIGMA
    meaning, neutral = "locality: 1 no preference for the joint's surroundings, more is more", 1.0

    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K)."""
        return locality_index(inputs.maps, _given(inputs.heatmaps, "heatmaps"), inputs.in_image)


class RelationIndex(Index):
    """RI(k -> m): how much of joint k's evidence is around joint m; 1 is no preference."""

    name, title, range, kind = "ri", "RI", (0.0, float("inf")), "relation"
    requires, comparable_by = frozenset({"heatmaps", "visible"}), _BY_SIGMA
    meaning = "how much more of a joint's map (row) is around another joint (column) than of an even map; diagonal: LI"
    neutral = 1.0

    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K, K), NaN where m is not visible."""
        relations = relation_index(inputs.maps, _given(inputs.heatmaps, "heatmaps"), inputs.in_image)
        return relations.where(inputs.visible[:, None, :], torch.nan)


def _given(value: Tensor | None, name: str) -> Tensor:
    if value is None:
        raise ShapeError(f"{name}: got None, expected a tensor; `compute_indices` leaves an index without it out")
    return value


BUILTIN_INDICES = (DiffusionIndex, ForegroundIndex, LocalityIndex, RelationIndex)
"""Every run has their columns, whether or not it was asked for them."""
