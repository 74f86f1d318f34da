"""A pipeline step that MediaPipe's body network needs where a picture ends before the person does."""

from __future__ import annotations

from typing import Any

import numpy as np

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError

prepare_environment()

from mmcv.transforms import BaseTransform  # noqa: E402  (needs a prepared environment)
from mmpose.registry import TRANSFORMS  # noqa: E402

__all__ = ["ExtendBBox"]


@TRANSFORMS.register_module()
class ExtendBBox(BaseTransform):  # type: ignore[misc]  # mmcv is untyped
    """Let a box reach beyond the picture, to where the rest of the person would be.

    MediaPipe's body network was trained on squares around the *whole* body with the hips in the middle.  Shown a portrait
    that fills its input, it squeezes a body into the head and shoulders.  MMPose's data sets clip boxes to the picture, so
    this comes before `GetBBoxCenterScale`; the crop is black outside.

    Args:
        left, top, right, bottom: how far, as fractions of the box's own width (left, right) and height (top, bottom);
            negative: shrink.

    Raises:
        ConfigError: nothing of the box would be left.
    """

    def __init__(self, left: float = 0.0, top: float = 0.0, right: float = 0.0, bottom: float = 0.0) -> None:
        self.fractions = np.array([-left, -top, right, bottom], dtype=np.float32)
        if 1 + left + right <= 0 or 1 + top + bottom <= 0:
            raise ConfigError(f"ExtendBBox({left=}, {top=}, {right=}, {bottom=}) leaves nothing of the box")

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace `bbox` (N, 4), (x1, y1, x2, y2) in pixels of the original image; the other entries stay."""
        boxes = np.asarray(results["bbox"], dtype=np.float32)
        sizes = boxes[:, 2:] - boxes[:, :2]  # (N, 2): w, h
        return {**results, "bbox": boxes + self.fractions * np.concatenate([sizes, sizes], axis=1)}

    def __repr__(self) -> str:
        left, top, right, bottom = (float(f) for f in self.fractions * [-1, -1, 1, 1])
        return f"ExtendBBox({left=}, {top=}, {right=}, {bottom=})"
