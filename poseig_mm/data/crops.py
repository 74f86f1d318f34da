"""The end of a top-down pipeline: what MMPose packs, and what a diagnosis needs beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

__all__ = ["KeepResults", "find_warp", "last_transforms"]

TOLERANCE = 0.05  # input px between a keypoint warped by MMPose and by us


@dataclass(frozen=True)
class KeepResults:
    """Stands in for a pipeline's packing transform and keeps what went into it."""

    pack: Callable[[dict[str, Any]], dict[str, Any]]

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """{'packed': what the pipeline would have given, 'results': what it was made from}."""
        return {"packed": self.pack(results), "results": results}


def last_transforms(pipeline: Any) -> tuple[list[Any], Any]:
    """(the transforms of a built pipeline, its cropping transform).

    Raises:
        DataError: no PackPoseInputs at its end, or no top-down crop in it.
    """
    from mmpose.datasets.transforms import PackPoseInputs, TopdownAffine

    transforms = list(getattr(pipeline, "transforms", ()))
    names = ", ".join(type(t).__name__ for t in transforms) or "empty"
    if not transforms or not isinstance(transforms[-1], PackPoseInputs):
        raise DataError(f"the pipeline must end with PackPoseInputs; it is: {names}")
    crops = [t for t in transforms if isinstance(t, TopdownAffine)]
    if len(crops) != 1:
        raise DataError(
            f"expected one TopdownAffine in the pipeline, which crops one person to the network's input; it is: {names}"
        )
    return transforms, crops[0]


def find_warp(results: Mapping[str, Any], crop: Any) -> NDArray[np.float64]:
    """The affine map (2, 3) from original to input px that `crop` (a TopdownAffine) applied.

    Made from the same numbers by MMPose's own function, and checked on the keypoints that MMPose warped.

    Raises:
        DataError: the two disagree: another transform moved the keypoints.
    """
    import cv2
    from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix

    make = get_udp_warp_matrix if crop.use_udp else get_warp_matrix
    rotation = float(np.ravel(results.get("bbox_rotation", 0.0))[0])
    warp = np.asarray(make(results["input_center"], results["input_scale"], rotation, output_size=crop.input_size))
    moved, here = results.get("transformed_keypoints"), results.get("keypoints")
    if moved is None or here is None or np.ndim(moved) < 3:
        raise DataError("the sample has no keypoints; a diagnosis needs annotated persons, not detections")
    ours = cv2.transform(np.asarray(here, dtype=np.float64)[..., :2], warp)
    distance = np.abs(ours - np.asarray(moved)[..., :2]).max() if np.size(here) else 0.0
    if not distance <= TOLERANCE + 1e-5 * np.abs(ours).max(initial=0):
        raise DataError(
            f"the crop's affine map puts a keypoint {distance:.3g} px from where the pipeline put it; a transform beside "
            "TopdownAffine moves keypoints. Take it out of the test pipeline"
        )
    return warp.astype(np.float64)
