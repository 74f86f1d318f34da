"""InternetHead: volumes of two interacting hands (InterNet, InterHand2.6M)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from ..types import Coordinates
from .heads import codec_kind, codec_scale
from .soft import SoftArgmaxAdapter

PUBLISHED_GAIN = 10.0  # beta times the height of the peak, on heatmaps ...
PUBLISHED_PIXELS = 64 * 48  # ... of so many pixels


class InternetAdapter(SoftArgmaxAdapter):
    """Soft-argmax of each joint's volume: (x, y, z), all three in input px.  Arguments: `CoordinateAdapter`.

    The volume's cells are the common measure: a cell is one heatmap pixel across, `stride` input px, and as deep;
    training's targets are round in cells too.  So z px = z mm * `px_per_mm` (0.64 for 64 cells over 400 mm at stride
    4); z is 0 at the wrist of the joint's own hand and grows away from the camera.  The head's other two outputs, how
    far one wrist lies behind the other and which hands there are, have no part in the coordinates.
    `Coordinates.heatmaps` are the volumes seen from the front, their maxima over z.
    """

    name = "internet"
    head_types = ("InternetHead",)
    dimensions: int = 3

    def __init__(self, model: Any, *, beta: float | None = None, metainfo: Mapping[str, Any] | None = None) -> None:
        super().__init__(model, beta=beta, metainfo=metainfo)
        codec = self.codec
        self.scale = codec_scale(self.head)  # input px a cell, (x, y)
        self.stride = sum(self.scale) / 2
        self.depth, self.bound = int(codec.depth_size), float(codec.heatmap3d_depth_bound)  # cells; mm from end to end
        self.px_per_mm = self.stride * self.depth / self.bound

    @property
    def codec(self) -> Any:
        """The head's Hand3DHeatmap."""
        codec_kind(self.head, ("Hand3DHeatmap",), self.name)
        return self.head.decoder

    def default_beta(self) -> float:
        """The published 10 over the height of the codec's targets, and more for more cells.

        The cells without a joint weigh together as much, relative to its peak, as the pixels of a 64 x 48 heatmap do.
        """
        codec = self.codec
        cells = math.prod(int(n) for n in codec.heatmap_size)
        return (PUBLISHED_GAIN + math.log(max(cells / PUBLISHED_PIXELS, 1.0))) / float(codec.max_bound)

    def scores(self, output: Any) -> tuple[Tensor, ...]:
        """The volumes, flat: (B, K, d * h * w)."""
        return (output[0].flatten(2),)

    def decode(self, output: Any) -> Coordinates:
        """[volumes (B, K, d, h, w), depth between the wrists, kinds of hands] -> (B, K, 3), input px."""
        volumes = output[0]
        weights = (self.beta * volumes).flatten(2).softmax(2).view_as(volumes)
        sums = weights.sum((2, 3)), weights.sum((2, 4)), weights.sum((3, 4))  # over x, y, z
        cells = [s @ torch.arange(s.shape[-1], dtype=s.dtype, device=s.device) for s in sums]
        x, y, z = cells
        z_mm = (z / self.depth - 0.5) * self.bound
        coords = torch.stack([x * self.scale[0], y * self.scale[1], z_mm * self.px_per_mm], -1)
        return Coordinates(coords, heatmaps=volumes.amax(2))

    def own_decoding(self, feats: Any, images: Tensor) -> tuple[Tensor, Tensor]:
        """The codec's, z in px too."""
        keypoints, decided = super().own_decoding(feats, images)
        return self._in_px(keypoints), decided

    def truth(self, data_sample: Any) -> tuple[Tensor, Tensor]:
        """The annotated joints (K, 3) in the coordinates' frame and unit, and (K,) bool: annotated.

        Args:
            data_sample: with `gt_instances.keypoints` (1, K, 3): px of the image, and mm behind the hand's own wrist,
                as MMPose's InterHand3DDataset has them; cropped by TopdownAffine, unrotated.

        Raises:
            DataError: joints of another shape.
        """
        given, about = data_sample.gt_instances, data_sample.metainfo
        points = torch.as_tensor(np.asarray(given.keypoints), dtype=torch.float32)
        if points.ndim != 3 or len(points) != 1 or points.shape[-1] != 3:
            raise DataError(
                f"the data sample's keypoints have shape {tuple(points.shape)}; expected (1, K, 3): px, px and mm, as "
                "InterHand3DDataset gives them"
            )
        centre, extent, size = (
            torch.as_tensor(np.asarray(about[name]), dtype=torch.float32).reshape(-1)[:2]
            for name in ("input_center", "input_scale", "input_size")
        )
        places = (points[0, :, :2] - centre + extent / 2) * size / extent
        visible = torch.as_tensor(np.asarray(given.keypoints_visible)).reshape(1, len(points[0]), -1)[0, :, 0] > 0
        return self._in_px(torch.cat([places, points[0, :, 2:]], -1)), visible

    def _in_px(self, points: Tensor) -> Tensor:
        """(..., 3) in px, px, mm -> all in px."""
        return points * points.new_tensor([1.0, 1.0, self.px_per_mm])
