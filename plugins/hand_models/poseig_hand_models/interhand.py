"""Single hands of InterHand2.6M with their 3-D joints, in FreiHAND's order."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseig_mm.compat import prepare_environment

prepare_environment()

from mmpose.datasets.datasets.hand3d import InterHand3DDataset  # noqa: E402  (needs a prepared environment)
from mmpose.datasets.transforms import PackPoseInputs  # noqa: E402
from mmpose.registry import DATASETS  # noqa: E402

__all__ = ["InterHandSingle3DDataset"]

# InterHand lists each finger from its tip, the wrist last; FreiHAND the wrist first, each finger from its base.
TO_FREIHAND = (20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16)
SIDES = ("right", "left")  # joints 0 to 20, and 21 to 41


@DATASETS.register_module(name="InterHandSingle3DDataset")
class InterHandSingle3DDataset(InterHand3DDataset):  # type: ignore[misc]  # mmpose is untyped
    """Every annotated hand of an image is an entry of its own; files and arguments are those of MMPose's dataset.

    An entry has `keypoints` (1, 21, 2) px of the image, `keypoints_visible` (1, 21), `keypoints_3d` (1, 21, 3) mm in
    the camera's axes relative to the wrist, `bbox` (1, 4) around the joints, `hand_side` 'right' or 'left', and `id`
    '<annotation>-<side>'.  There are no masks.

    Args:
        min_joints: annotated joints that a hand must have, the wrist among them.
        **others: of `InterHand3DDataset`: ann_file, camera_param_file, joint_file, data_root, ...
    """

    METAINFO: dict[str, Any] = dict(from_file="configs/_base_/datasets/freihand2d.py")  # noqa: RUF012  (as in MMPose)

    def __init__(self, min_joints: int = 15, **others: Any) -> None:
        self.min_joints = min_joints
        super().__init__(**others)

    @classmethod
    def _load_metainfo(cls, metainfo: dict[str, Any] | None = None) -> dict[str, Any]:
        """FreiHAND's joints under this data set's name."""
        return {**super()._load_metainfo(metainfo), "dataset_name": "interhand_single"}

    def _load_annotations(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        pairs, images = super()._load_annotations()
        found = (hand for pair in pairs for side in SIDES if (hand := self._hand(pair, side)) is not None)
        return list(found), images

    def _hand(self, pair: dict[str, Any], side: str) -> dict[str, Any] | None:
        """The entry of one hand, or None where too few of its joints are annotated."""
        joints = np.array(TO_FREIHAND) + 21 * SIDES.index(side)
        visible: NDArray[np.float32] = pair["keypoints_visible"][:, joints]
        if visible.sum() < self.min_joints or not visible[0, 0]:
            return None
        pixels: NDArray[np.float32] = pair["keypoints"][:, joints, :2]
        camera: NDArray[np.float32] = pair["keypoints_cam"][:, joints]
        given = pixels[visible > 0]
        return {
            **{key: pair[key] for key in ("img_id", "img_path", "dataset", "iscrowd", "focal", "principal_pt")},
            "id": f"{pair['id']}-{side}",
            "hand_side": side,
            "num_keypoints": 21,
            "keypoints": pixels,
            "keypoints_visible": visible,
            "keypoints_3d": camera - camera[:, :1],
            "instance_mapping_table": {**PackPoseInputs.instance_mapping_table, "keypoints_3d": "keypoints_3d"},
            "bbox": np.concatenate([given.min(0), given.max(0)])[None],
            "bbox_score": np.ones(1, dtype=np.float32),
            "raw_ann_info": copy.deepcopy(pair["raw_ann_info"]),
        }
