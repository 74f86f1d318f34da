"""The coordinates of a `HandMeshHead`: joints in mm relative to the wrist, or in px where no regressor is at hand."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from poseig_mm.adapters.base import CoordinateAdapter
from poseig_mm.types import Coordinates

__all__ = ["HandMeshAdapter"]


class HandMeshAdapter(CoordinateAdapter):
    """21 joints in FreiHAND's order, as the head gives them.  Arguments: `CoordinateAdapter`.

    Attributes:
        unit: 'mm' (relative to the wrist, which is always 0), or 'px' (of the input).
        dimensions: 3 or 2.
    """

    name = "hand_mesh"
    head_types = ("HandMeshHead",)

    def __init__(self, model: Any, **settings: Any) -> None:
        super().__init__(model, **settings)
        joints, vertices = (getattr(model.backbone, f"gives_{n}", n == "vertices") for n in ("joints", "vertices"))
        in_space = self.head.in_space(joints) and (joints or vertices or self.head.output == "3d")
        self.unit = "mm" if in_space else "px"

    def decode(self, output: Tensor) -> Coordinates:
        """(B, 21, D), the head's output, which is already in `unit`."""
        return Coordinates(output)
