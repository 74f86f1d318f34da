"""From places in a crop and depths behind the wrist to places in space.

Networks that predict a mesh in the image's frame leave the camera to the evaluation.  An image alone does not tell it,
and an attribution has only the image: so one nominal camera stands for all crops.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Camera"]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera of the crop, its axis through the crop's centre.

    Args:
        focal: focal length over the crop's side.
        depth: of the wrist, mm.
    """

    focal: float
    depth: float

    def back_projected(self, image: Tensor) -> Tensor:
        """Places in the camera's frame.

        Args:
            image: (B, V, 3): (u, v) as fractions of the crop's side from its upper left corner, and depth behind the
                wrist, mm.

        Returns:
            (B, V, 3), (x, y, z), mm.

        >>> Camera(focal=2.0, depth=600.0).back_projected(torch.tensor([[[0.5, 1.0, 0.0], [0.0, 0.5, 40.0]]])).tolist()
        [[[0.0, 150.0, 600.0], [-160.0, 0.0, 640.0]]]
        """
        z = image[..., 2:] + self.depth
        return torch.cat([(image[..., :2] - 0.5) * z / self.focal, z], -1)
