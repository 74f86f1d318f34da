"""Where MMPose's data samples keep the true joints of 3D models."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError

FIELDS = ("keypoints_3d", "lifting_target", "keypoints_cam")  # the first that is there counts


def truth_in_space(data_sample: Any) -> tuple[Tensor, Tensor]:
    """The first of `keypoints_3d`, `lifting_target`, `keypoints_cam` in `gt_instances`, else in `gt_instance_labels`.

    Args:
        data_sample: a `PoseDataSample`; the field is (1, K, 3) or (K, 3).  `<field>_visible` (1, K) or (K,), where it
            is there too, says which joints are annotated; without it, those whose numbers are finite.

    Returns:
        Points (K, 3) in the data set's unit, and (K,) bool: annotated.

    Raises:
        DataError: no such field, or one of another shape.

    >>> from mmengine.structures import InstanceData
    >>> from mmpose.structures import PoseDataSample
    >>> joints = np.array([[[0.0, 0.0, 0.0], [10.0, -20.0, 5.0]]])
    >>> truth_in_space(PoseDataSample(gt_instances=InstanceData(keypoints_3d=joints)))
    (tensor([[  0.,   0.,   0.],
            [ 10., -20.,   5.]]), tensor([True, True]))
    """
    places = [getattr(data_sample, name, None) for name in ("gt_instances", "gt_instance_labels")]
    for field in FIELDS:
        for place in places:
            if place is not None and field in place:
                return _read(place, field)
    there = sorted({key for place in places if place is not None for key in place.keys()})  # noqa: SIM118
    raise DataError(
        f"the data sample has no true joints in space; expected one of {', '.join(FIELDS)} in gt_instances, got "
        f"{', '.join(there) or 'nothing'}. Let the data set put it there (instance_mapping_table of PackPoseInputs), "
        "or give the adapter a truth(data_sample) of its own"
    )


def _read(place: Any, field: str) -> tuple[Tensor, Tensor]:
    points = torch.as_tensor(np.asarray(place[field]), dtype=torch.float32)
    points = points[0] if points.ndim == 3 and len(points) == 1 else points
    if points.ndim != 2 or points.shape[1] != 3:
        raise DataError(f"{field} of the data sample has shape {tuple(points.shape)}; expected (1, K, 3)")
    given = points.isfinite().all(1)
    if f"{field}_visible" in place:
        visible = torch.as_tensor(np.asarray(place[f"{field}_visible"])).reshape(-1) > 0
        if visible.shape != given.shape:
            raise DataError(f"{field}_visible of the data sample has {len(visible)} entries; expected K = {len(given)}")
        given = given & visible
    return points, given
