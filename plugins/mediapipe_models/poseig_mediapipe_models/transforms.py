"""Pipeline steps that MediaPipe's networks need: a body that reaches beyond the picture, a hand that is not upright."""

from __future__ import annotations

from typing import Any

import numpy as np

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError, DataError

prepare_environment()

from mmcv.transforms import BaseTransform  # noqa: E402  (needs a prepared environment)
from mmpose.registry import TRANSFORMS  # noqa: E402

__all__ = ["ExtendBBox", "UprightHand"]

WRIST, MIDDLE_BASE = 0, 9  # of the hand's 21 joints


@TRANSFORMS.register_module()
class ExtendBBox(BaseTransform):  # type: ignore[misc]  # mmcv is untyped
    """Let a box reach beyond the picture, to where the rest of the person would be.

    MediaPipe's body network was trained on squares around the *whole* body with the hips in the middle.  Shown a
    portrait that fills its input, it squeezes a body into the head and shoulders.  MMPose's data sets clip boxes to the
    picture, so this comes before `GetBBoxCenterScale`; the crop is black outside.

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


@TRANSFORMS.register_module()
class UprightHand(BaseTransform):  # type: ignore[misc]  # mmcv is untyped
    """The square that MediaPipe's hand network wants, wrist below the fingers; takes the place of `GetBBoxCenterScale`.

    The angle is that of the line from the wrist to the base of the middle finger, the square lies around the annotated
    joints in the turned frame: MediaPipe's own rule from one video frame to the next.  3-D joints turn along with the
    picture, about the optical axis, so that they stay what the network is to say.

    Args:
        scale: side of the square, in longer sides of the joints' own box.
        shift: of its middle towards the fingers, in the same lengths.

    Raises:
        ConfigError: a scale that is not positive.
        DataError: the wrist or the base of the middle finger is not annotated, so there is no angle.
    """

    def __init__(self, scale: float = 2.0, shift: float = 0.1) -> None:
        if not scale > 0:
            raise ConfigError(f"UprightHand: scale is {scale}; expected a positive number")
        self.scale, self.shift = scale, shift

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Set `bbox_center`, `bbox_scale` (1, 2) px and `bbox_rotation` (1,) degrees; turn `keypoints_3d`, where
        given.
        """
        points = np.asarray(results["keypoints"], dtype=np.float64)[0, :, :2]  # px of the image
        visible = np.asarray(results["keypoints_visible"])[0]
        known = (visible if visible.ndim == 1 else visible[:, 0]) > 0
        if not (known[WRIST] and known[MIDDLE_BASE]):
            raise DataError("UprightHand needs the wrist and the base of the middle finger, and one is not annotated")
        right, down = points[MIDDLE_BASE] - points[WRIST]
        angle = np.arctan2(right, -down)  # of the hand, clockwise from upright; the crop turns back by as much
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # image -> upright
        upright = points[known] @ turn.T
        low, high = upright.min(0), upright.max(0)
        longer = float((high - low).max())
        center = (low + high) / 2 - [0, self.shift * longer]
        found = {
            "bbox_center": (center @ turn)[None].astype(np.float32),
            "bbox_scale": np.full((1, 2), self.scale * longer, dtype=np.float32),
            "bbox_rotation": np.array([np.degrees(angle)], dtype=np.float32),
        }
        if results.get("keypoints_3d") is not None:
            joints = np.array(results["keypoints_3d"])
            joints[..., :2] = joints[..., :2] @ turn.T
            found["keypoints_3d"] = joints
        return {**results, **found}

    def __repr__(self) -> str:
        return f"UprightHand(scale={self.scale}, shift={self.shift})"
