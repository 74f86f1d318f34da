"""What the losses of hand models compare with, made of an entry behind `HandAffine`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseig_mm.compat import prepare_environment
from poseig_mm.data.masks import rasterise
from poseig_mm.errors import DataError

from .hand_camera import project

prepare_environment()

from mmcv.transforms import BaseTransform  # noqa: E402  (needs a prepared environment)
from mmpose.registry import TRANSFORMS  # noqa: E402

__all__ = ["HandTargets"]

TARGETS = ("keypoint_labels", "keypoint_weights", "joints_image", "mesh_image", "hand_mask")


@TRANSFORMS.register_module()
class HandTargets(BaseTransform):  # type: ignore[misc]  # mmcv is untyped
    """Labels in the input's frame, for `PackPoseInputs` to put into `gt_instance_labels`; it follows `HandAffine`.

    * `keypoint_labels` (1, 21, 2): the joints, fractions of the input's (w, h), and `keypoint_weights` (1, 21): 1 where
      they are annotated and lie in the input, else 0,
    * `joints_image` (1, 21, 3), and of data with vertices `mesh_image` (1, V, 3): fractions, and mm behind the wrist;
      NaN for what lies outside the input,
    * of data with masks `hand_mask` (1, h / 2, w / 2): the share of each 2 x 2 pixels of the input that is hand.

    Raises:
        DataError: (at a sample) it does not stand behind `HandAffine`.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the labels."""
        if "input_warp" not in results:
            raise DataError("HandTargets must stand behind HandAffine, whose crop it takes")
        size = np.array(results["input_size"], np.float64)
        fractions = results["transformed_keypoints"][..., :2] / size
        inside = ((fractions >= 0) & (fractions < 1)).all(-1)
        made = {
            "keypoint_labels": fractions.astype(np.float32),
            "keypoint_weights": (inside * results["keypoints_visible"].reshape(1, -1)).astype(np.float32),
            "joints_image": _with_depth(fractions, results["keypoints_3d"]),
        }
        if "vertices_3d" in results:
            pixels = project(results["vertices_3d"], results["input_camera"], results["root_3d"])
            made["mesh_image"] = _with_depth(pixels / size, results["vertices_3d"])
        if (mask := _halved_mask(results)) is not None:
            made["hand_mask"] = mask
        table = {**results.get("label_mapping_table", {}), **{name: name for name in TARGETS}}
        return {**results, **made, "label_mapping_table": table}

    def __repr__(self) -> str:
        return "HandTargets()"


def _with_depth(fractions: NDArray[Any], points: NDArray[Any]) -> NDArray[np.float32]:
    outside = ~((fractions >= 0) & (fractions < 1)).all(-1, keepdims=True)
    image = np.concatenate([fractions, points[..., 2:]], -1)
    return np.where(outside, np.nan, image).astype(np.float32)


def _halved_mask(results: dict[str, Any]) -> NDArray[np.float32] | None:
    import cv2

    height, width = results["ori_shape"][:2]
    hand = rasterise(results.get("segmentation"), height, width)
    if hand is None:
        return None
    mask = hand.astype(np.float32)
    if results.get("flip_direction") == "horizontal":  # masks are of the image as loaded
        mask = np.ascontiguousarray(mask[:, ::-1])
    w, h = results["input_size"]
    inside = cv2.warpAffine(mask, results["input_warp"], (w, h), flags=cv2.INTER_LINEAR)
    return np.asarray(inside.reshape(1, h // 2, 2, w // 2, 2).mean((2, 4)), np.float32)
