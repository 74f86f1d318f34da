"""The hand model as a function from images to joints in space."""

from __future__ import annotations

from typing import Any

from poseig_mm.adapters.base import CoordinateAdapter
from poseig_mm.types import Coordinates

__all__ = ["Hand3DAdapter"]


class Hand3DAdapter(CoordinateAdapter):
    """Joints (B, 21, 3) in mm from the wrist, as `HandRegression3DHead` gives them.  Arguments: `CoordinateAdapter`."""

    name = "hand_3d"
    head_types = ("HandRegression3DHead",)
    unit = "mm"

    def decode(self, output: Any) -> Coordinates:
        """(B, K, 3) mm -> the same."""
        return Coordinates(output)
