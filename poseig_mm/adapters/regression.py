"""Heads that regress coordinates: RegressionHead and RLEHead."""

from __future__ import annotations

from typing import Any

from ..types import Coordinates
from .base import CoordinateAdapter


class RegressionAdapter(CoordinateAdapter):
    """The head's coordinates, which are fractions of the input's size, in input px.  Arguments: `CoordinateAdapter`.

    RLEHead also gives two standard deviations a joint (as logits); they have no part in the coordinates.
    """

    name = "regression"
    head_types = ("RegressionHead", "RLEHead")

    def decode(self, output: Any) -> Coordinates:
        """(B, K, 2), or (B, K, 4) with standard deviations, over (w, h) -> coordinates (B, K, 2), input px."""
        return Coordinates(output[..., :2] * output.new_tensor(self.input_size))
