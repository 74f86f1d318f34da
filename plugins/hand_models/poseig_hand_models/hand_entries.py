"""What the data sets of hands in space share: their entries, and errors that say how to get what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError, DataError

prepare_environment()

from mmpose.datasets.datasets.base import BaseCocoStyleDataset  # noqa: E402  (needs a prepared environment)
from mmpose.datasets.datasets.utils import parse_pose_metainfo  # noqa: E402
from mmpose.datasets.transforms import PackPoseInputs  # noqa: E402

__all__ = ["IN_SPACE", "JOINTS", "WRIST", "HandDataset", "hand_entry", "run_lengths"]

JOINTS, WRIST = 21, 0
IN_SPACE = (
    *("keypoints_3d", "root_3d", "camera", "input_camera", "hand_scale", "vertices_3d"),
    *("mano_pose", "mano_shape"),
)


class HandDataset(BaseCocoStyleDataset):  # type: ignore[misc]  # mmpose is untyped
    """One hand a picture: FreiHAND's 21 joints in its order, with MMPose's names, in the picture and in space.

    An entry has MMPose's `keypoints` (1, 21, 2) px of the image, `keypoints_visible` (1, 21), `bbox` (1, 4), and

    * `keypoints_3d` (1, 21, 3) mm from the wrist; x to the right, y down, z away from the camera,
    * `root_3d` (1, 3) mm: the wrist in the camera's frame, and `camera` (1, 3, 3): K, px;
      `hand_camera.project(keypoints_3d, camera, root_3d)` are the keypoints,
    * `hand_side` 'right' or 'left', and `segmentation`, COCO run lengths of the hand's mask.

    `PackPoseInputs` puts what is in space into `gt_instances` (NumPy, for metrics) and `gt_instance_labels` (tensors,
    for losses); `hand_crops` has the transforms that keep it true.  A `GenerateTarget` in the pipeline replaces the
    table of labels by its codec's: give the codec's what you need.

    Args:
        data_root: the data set's folder.
        masks: read the masks; without, foreground indices are NaN.
        others: of MMPose's `BaseCocoStyleDataset` (pipeline, test_mode, indices, ...).

    Raises:
        ConfigError: settings that do not exist or do not fit.
        DataError: a file is missing or has another content than the release's; it names the file.
    """

    NAME: ClassVar[str]  # MMPose's `dataset_name`
    SOURCE: ClassVar[str]  # where the data are, and on what terms
    METAINFO: dict[str, Any] = dict(from_file="configs/_base_/datasets/freihand2d.py")  # noqa: RUF012  (as in MMPose)

    def __init__(self, data_root: str, masks: bool = True, **others: Any) -> None:
        if others.get("data_mode", "topdown") != "topdown":
            raise ConfigError(f"{self.NAME} has one hand a picture; data_mode must be 'topdown'")
        self.folder, self.masks = Path(data_root), masks
        super().__init__(data_root=str(data_root), **others)

    @classmethod
    def _load_metainfo(cls, metainfo: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = parse_pose_metainfo(metainfo or cls.METAINFO)
        if not metainfo:
            found["dataset_name"] = cls.NAME
        return found

    def mask_of(self, info: dict[str, Any]) -> NDArray[np.bool_]:
        """The hand's pixels (H, W) in the image of an entry."""
        raise NotImplementedError

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """An entry with its mask, and where `PackPoseInputs` is to put what is in space."""
        info: dict[str, Any] = super().get_data_info(idx)
        if self.masks:
            info["segmentation"] = run_lengths(self.mask_of(info))
        in_space = {name: name for name in IN_SPACE}
        info["instance_mapping_table"] = {**PackPoseInputs.instance_mapping_table, **in_space}
        labels = {**in_space, "transformed_keypoints": "transformed_keypoints"}
        info["label_mapping_table"] = {**PackPoseInputs.label_mapping_table, **labels}
        return info

    def need(self, path: Path, why: str = "") -> Path:
        """The path, where there is such a file or folder.

        Raises:
            DataError: there is not.
        """
        if not path.exists():
            raise DataError(
                f"{self.NAME}: there is no {path}{why and f' ({why})'}. Set data_root to the folder that was unpacked; "
                f"it is {self.folder} now. {self.SOURCE}"
            )
        return path


def hand_entry(
    path: Path,
    number: Any,
    joints: NDArray[Any],
    pixels: NDArray[Any],
    camera: NDArray[Any],
    size: tuple[int, int],
    side: str = "right",
) -> dict[str, Any]:
    """An entry.

    The box is the joints', as far as it lies in the image; the whole image, where none of it does.

    Args:
        path: of the image.
        number: of the image, or its name.
        joints: (21, 3) mm, camera frame.
        pixels: (21, 2) where they are in the image.
        camera: K (3, 3).
        size: (width, height) of the image.
        side: 'right' or 'left'.

    Raises:
        DataError: the joints have another shape, or are no numbers.
    """
    if joints.shape != (JOINTS, 3) or pixels.shape != (JOINTS, 2) or camera.shape != (3, 3):
        shapes = f"{joints.shape}, {pixels.shape} and {camera.shape}"
        raise DataError(f"{path}: joints, their pixels and K have shapes {shapes}; expected (21, 3), (21, 2), (3, 3)")
    if not (np.isfinite(joints).all() and np.isfinite(pixels).all() and np.isfinite(camera).all()):
        raise DataError(f"{path}: a joint or K is not a finite number; leave this picture out, or get the file anew")
    limit = np.array(size) - 1
    low, high = np.clip(pixels.min(0), 0, limit), np.clip(pixels.max(0), 0, limit)
    box = np.concatenate([low, high] if (high > low).all() else [[0, 0], limit]).astype(np.float32)
    return {
        "img_id": number,
        "id": number if isinstance(number, int) else 0,
        "img_path": str(path),
        "category_id": np.array(1),
        "iscrowd": 0,
        "bbox": box[None],
        "bbox_score": np.ones(1, np.float32),
        "num_keypoints": JOINTS,
        "keypoints": pixels[None].astype(np.float32),
        "keypoints_visible": np.ones((1, JOINTS), np.float32),
        "keypoints_3d": (joints - joints[WRIST])[None].astype(np.float32),
        "root_3d": joints[WRIST][None].astype(np.float32),
        "camera": camera[None].astype(np.float32),
        "hand_side": side,
    }


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """(H, W) -> COCO's compressed run lengths, as annotation files have them.

    >>> run_lengths(np.eye(2, dtype=bool))
    {'size': [2, 2], 'counts': '0120'}
    """
    from pycocotools import mask as coco

    packed = coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [int(v) for v in packed["size"]], "counts": packed["counts"].decode()}
