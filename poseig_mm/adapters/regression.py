"""Heads that regress coordinates: RegressionHead and RLEHead."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..types import Coordinates
from .base import CoordinateAdapter
from .head_outputs import fitting


class RegressionAdapter(CoordinateAdapter):
    """The head's coordinates, which are fractions of the input's size, in input px.  Arguments: `CoordinateAdapter`.

    RLEHead also gives two standard deviations a joint (as logits); they have no part in the coordinates.
    """

    name = "regression"
    head_types = ("RegressionHead", "RLEHead")

    def decode(self, output: Any) -> Coordinates:
        """(B, K, 2), or (B, K, 4) with standard deviations, over (w, h) -> coordinates (B, K, 2), input px."""
        (coords,) = self.explained(output).values()
        return Coordinates(coords[..., :2] * coords.new_tensor(self.input_size))

    def explained(self, output: Any) -> dict[str, Tensor]:
        """The coordinates, by their place in the output."""
        joints = self.count_joints()
        fits = lambda t: t.ndim == 3 and t.shape[1] == joints and t.shape[2] >= 2  # noqa: E731
        return fitting(output, fits, f"coordinates (B, {joints}, 2 or more)", self.head)
