"""The hands as an MMPose data set: 2D keypoints in the COCO form, and joints in space beside them."""

from __future__ import annotations

from typing import Any

import numpy as np

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError, did_you_mean

from .datasets import SPLITS, run_lengths
from .hand_scene import HAND_IMAGE_SIZE, HandScene, draw_hand_scene

prepare_environment()

from mmpose.datasets.datasets.base import BaseCocoStyleDataset  # noqa: E402  (needs a prepared environment)
from mmpose.datasets.datasets.utils import parse_pose_metainfo  # noqa: E402
from mmpose.datasets.transforms import PackPoseInputs  # noqa: E402
from mmpose.registry import DATASETS  # noqa: E402

__all__ = ["HANDS_NAME", "SyntheticHandsDataset"]

HANDS_NAME = "synthetic_hands"
_IN_SPACE = ("lifting_target", "lifting_target_visible")  # MMPose's names


@DATASETS.register_module()
class SyntheticHandsDataset(BaseCocoStyleDataset):  # type: ignore[misc]  # mmpose is untyped
    """Right hands, drawn when they are asked for: FreiHAND's 21 joints, one hand a picture.

    2D configs take `keypoints`, px.  `lifting_target` (1, 21, 3) are the joints in space, mm from the wrist (x to the right,
    y down, z away from the camera): without a 2D codec, `PackPoseInputs` puts them into `gt_instances` (NumPy, for
    metrics) and `gt_instance_labels` (tensors, for losses).  `joints_3d` (1, 21, 3), mm in the camera's frame, and `camera`
    (3, 3) are there for whoever packs them.  A pipeline must not flip or turn the picture: the joints would not follow.

    Args:
        split: 'train', 'val' or 'test'.
        length: number of pictures.
        seed: another seed, other pictures in every split.
        others: of MMPose's `BaseCocoStyleDataset` (pipeline, test_mode, ...).

    Raises:
        ConfigError: an unknown split, or a length below 1.
    """

    METAINFO: dict[str, Any] = dict(from_file="configs/_base_/datasets/freihand2d.py")  # noqa: RUF012  (as MMPose has it)

    def __init__(self, split: str = "train", length: int = 1024, seed: int = 0, **others: Any) -> None:
        if split not in SPLITS:
            raise ConfigError(f"split is {split!r}, which is unknown; {did_you_mean(split, SPLITS)}")
        if length < 1:
            raise ConfigError(f"length is {length}; expected at least 1")
        self.split, self.length, self.seed = split, length, seed
        super().__init__(**others)

    @classmethod
    def _load_metainfo(cls, metainfo: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = parse_pose_metainfo(metainfo or cls.METAINFO)
        if not metainfo:
            found["dataset_name"] = HANDS_NAME
        return found

    def scene(self, index: int) -> HandScene:
        """Picture `index` with all that is known of it."""
        return draw_hand_scene((self.seed, SPLITS.index(self.split), index))

    def load_data_list(self) -> list[dict[str, Any]]:
        """An entry a picture; a whole one in test mode, else its number alone."""
        if self.test_mode:
            return [hand_record(self.scene(i), i) for i in range(self.length)]
        return [dict(id=i) for i in range(self.length)]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """An entry with its picture, BGR as MMPose loads pictures."""
        info: dict[str, Any] = super().get_data_info(idx)
        scene = self.scene(info["id"])
        if "bbox" not in info:
            info.update(hand_record(scene, info["id"], segment=False))
        info["img"] = np.ascontiguousarray(scene.image[..., ::-1])
        for table in ("instance_mapping_table", "label_mapping_table"):
            info[table] = {**getattr(PackPoseInputs, table), **{name: name for name in _IN_SPACE}}
        return info


def hand_record(scene: HandScene, index: int, *, segment: bool = True) -> dict[str, Any]:
    """A scene's annotation as MMPose's COCO data sets hold it; `segment`: with the mask as run lengths."""
    inside = ((scene.keypoints >= 0) & (scene.keypoints <= np.array(HAND_IMAGE_SIZE) - 1)).all(1)
    seen = np.where(inside, 1 + scene.visible, 0)  # COCO's v: 0 not labelled, 1 labelled, 2 visible
    x0, y0, x1, y1 = scene.box
    keypoints = np.concatenate([scene.keypoints * inside[:, None], seen[:, None]], 1)
    annotation: dict[str, Any] = {
        "id": index,
        "image_id": index,
        "category_id": 1,
        "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
        "area": float(scene.mask.sum()),
        "iscrowd": 0,
        "keypoints": [float(v) for v in keypoints.ravel()],
        "num_keypoints": int(inside.sum()),
    }
    if segment:
        annotation["segmentation"] = run_lengths(scene.mask)
    return {
        "img_id": index,
        "img_path": f"{HANDS_NAME}/{index:08d}.png",
        "bbox": scene.box.astype(np.float32)[None],
        "bbox_score": np.ones(1, np.float32),
        "num_keypoints": annotation["num_keypoints"],
        "keypoints": keypoints[None, :, :2].astype(np.float32),
        "keypoints_visible": np.minimum(1, seen)[None].astype(np.float32),
        "area": np.array(annotation["area"], np.float32),
        "iscrowd": 0,
        "segmentation": annotation.get("segmentation"),
        "id": index,
        "category_id": np.array(1),
        "raw_ann_info": annotation,
        "lifting_target": scene.relative[None].astype(np.float32),
        "lifting_target_visible": np.ones((1, 21), np.float32),
        "joints_3d": scene.joints[None].astype(np.float32),
        "camera": scene.camera.astype(np.float32),
        "target_img_path": ["synthetic_hands.png"],  # MMPose's MPJPE reads the action's name, 'hands', off it
    }
