"""MMPose's top-down estimator for models whose joints are in space."""

from __future__ import annotations

from typing import Any

from poseig_mm.compat import prepare_environment

prepare_environment()

from mmpose.models.pose_estimators.topdown import TopdownPoseEstimator  # noqa: E402  (needs a prepared environment)
from mmpose.registry import MODELS  # noqa: E402

__all__ = ["HandMeshEstimator"]


@MODELS.register_module()
class HandMeshEstimator(TopdownPoseEstimator):  # type: ignore[misc]  # mmpose is untyped
    """Like its base, but joints in mm stay as they are; what is in pixels is moved into the image."""

    def add_pred_to_datasample(self, batch_pred_instances: Any, batch_pred_fields: Any, batch_data_samples: Any) -> Any:
        """Predictions of a batch into its data samples.

        `pred_instances.keypoints` (1, 21, 3), mm relative to the wrist, as the head gave them, and `keypoints_2d`
        (1, 21, 2), px of the image file, where the model has them; of a 2D model `keypoints` (1, 21, 2), px of the
        file.
        """
        kept = []
        for found in batch_pred_instances:
            in_space = found.keypoints.shape[-1] == 3
            kept.append(found.keypoints if in_space else None)
            if in_space:  # the base moves `keypoints`, so give it those that are in pixels
                found.keypoints = found.get("keypoints_2d", found.keypoints[..., :2]).copy()
        samples = super().add_pred_to_datasample(batch_pred_instances, batch_pred_fields, batch_data_samples)
        selected = (self.test_cfg or {}).get("output_keypoint_indices")
        for sample, keypoints in zip(samples, kept, strict=True):
            if keypoints is None:
                continue
            found = sample.pred_instances
            moved = found.keypoints
            found.keypoints = keypoints if selected is None else keypoints[:, selected]
            if "keypoints_2d" in found:
                found.keypoints_2d = moved
        return samples
