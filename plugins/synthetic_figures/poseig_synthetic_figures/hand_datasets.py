"""The hands as an MMPose data set: 2D keypoints in the COCO form, and joints in space beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmpose.datasets.transforms import PackPoseInputs
from mmpose.registry import DATASETS

from .drawn import DrawnDataset
from .hand_scene import HandScene, draw_hand_scene

__all__ = ["SyntheticHandsDataset"]

_IN_SPACE = ("lifting_target", "lifting_target_visible")  # MMPose's names


@DATASETS.register_module()
class SyntheticHandsDataset(DrawnDataset):
    """Right hands, drawn when they are asked for: FreiHAND's 21 joints, one hand a picture.

    2D configs take `keypoints`, px.  `lifting_target` (1, 21, 3) are the joints in space, mm from the wrist (x to the
    right, y down, z away from the camera): without a 2D codec, `PackPoseInputs` puts them into `gt_instances` (NumPy,
    for metrics) and `gt_instance_labels` (tensors, for losses).  `joints_3d` (1, 21, 3), mm in the camera's frame, and
    `camera` (3, 3) are there for whoever packs them.  A pipeline must not flip or turn the picture: the joints would
    not follow.

    Args:
        split: 'train', 'val' or 'test'.
        length: number of pictures.
        seed: another seed, other pictures in every split.
        others: of MMPose's `BaseCocoStyleDataset` (pipeline, test_mode, ...).

    Raises:
        ConfigError: an unknown split, or a length below 1.
    """

    NAME = "synthetic_hands"
    METAINFO: dict[str, Any] = dict(from_file="configs/_base_/datasets/freihand2d.py")  # noqa: RUF012  (as in MMPose)

    def __init__(self, split: str = "train", length: int = 1024, seed: int = 0, **others: Any) -> None:
        super().__init__(split, length, seed, **others)

    def scene(self, index: int) -> HandScene:
        """Picture `index` with all that is known of it."""
        return draw_hand_scene(self.seed_of(index))

    def record(self, scene: HandScene, index: int) -> dict[str, Any]:
        """A scene's annotation, with its joints in space."""
        return {
            **super().record(scene, index),
            "lifting_target": scene.relative[None].astype(np.float32),
            "lifting_target_visible": np.ones((1, 21), np.float32),
            "joints_3d": scene.joints[None].astype(np.float32),
            "camera": scene.camera.astype(np.float32),
            "target_img_path": ["synthetic_hands.png"],  # MMPose's MPJPE reads the action's name, 'hands', off it
        }

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """An entry with its picture, and where `PackPoseInputs` is to put the joints in space."""
        info = super().get_data_info(idx)
        for table in ("instance_mapping_table", "label_mapping_table"):
            info[table] = {**getattr(PackPoseInputs, table), **{name: name for name in _IN_SPACE}}
        return info
