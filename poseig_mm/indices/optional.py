"""Indices that a run has only where they are asked for by name."""

from __future__ import annotations

from torch import Tensor

from ..errors import ShapeError
from ..functional.indices import foreground_log_odds, scaled_diffusion_index
from .base import Index, IndexInputs


class ScaledDiffusionIndex(Index):
    """DI of maps averaged over cells of 1/64 of the frame's longer side: inputs of different size compare."""

    name, title, range, by_default, comparable_by = "di_scaled", "DI, scaled", (0.0, 100.0), False, ("frame",)
    meaning = "diffusion at 1/64 of the longer side: 0 one cell, 100 the whole image alike"

    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K)."""
        return scaled_diffusion_index(inputs.maps, inputs.in_image)


class ForegroundLogOdds(Index):
    """FI as the log of an odds ratio: no ceiling by the mask's share of the area."""

    name, title, requires, by_default = "fi_logodds", "FI, log-odds", frozenset({"mask"}), False
    comparable_by = ("mask_source", "frame")
    meaning, neutral = "foreground, odds of evidence over odds of area, ln: 0 no preference, more is more", 0.0

    def __call__(self, inputs: IndexInputs) -> Tensor:
        """(B, K), NaN where the mask is empty or everywhere, or holds all or nothing of the map."""
        if inputs.mask is None:
            raise ShapeError("mask: got None, expected (B, 1, H, W); `compute_indices` leaves an index without it out")
        return foreground_log_odds(inputs.maps, inputs.mask, inputs.in_image)
