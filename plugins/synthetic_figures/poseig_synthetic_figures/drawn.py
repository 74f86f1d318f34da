"""What the data sets of figures and of hands share: pictures that are drawn when they are asked for, in the COCO
form.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError, did_you_mean

prepare_environment()

from mmpose.datasets.datasets.base import BaseCocoStyleDataset  # noqa: E402  (needs a prepared environment)
from mmpose.datasets.datasets.utils import parse_pose_metainfo  # noqa: E402

__all__ = ["SPLITS", "DrawnDataset", "coco_record"]

SPLITS = ("train", "val", "test")  # each its own seeds: no picture is in two of them


class DrawnDataset(BaseCocoStyleDataset):  # type: ignore[misc]  # mmpose is untyped
    """Pictures from seeds, one annotated instance each; a subclass says what picture `index` is.

    With `test_mode` the annotations of all pictures are made at once (2 to 4 ms each), as tools expect that look at
    them without loading pictures; without, a picture and its annotation are made together.
    """

    NAME: ClassVar[str]  # MMPose's `dataset_name`

    def __init__(self, split: str, length: int, seed: int, **others: Any) -> None:
        if split not in SPLITS:
            raise ConfigError(f"split is {split!r}, which is unknown; {did_you_mean(split, SPLITS)}")
        if length < 1:
            raise ConfigError(f"length is {length}; expected at least one picture")
        self.split, self.length, self.seed = split, length, seed
        super().__init__(**others)

    @classmethod
    def _load_metainfo(cls, metainfo: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = parse_pose_metainfo(metainfo or cls.METAINFO)
        if not metainfo:
            found["dataset_name"] = cls.NAME
        return found

    def seed_of(self, index: int) -> tuple[int, int, int]:
        """What picture `index` is drawn from."""
        return self.seed, SPLITS.index(self.split), index

    def scene(self, index: int) -> Any:
        """Picture `index` with all that is known of it."""
        raise NotImplementedError

    def record(self, scene: Any, index: int) -> dict[str, Any]:
        """A scene's annotation."""
        return coco_record(scene, index, self.NAME)

    def load_data_list(self) -> list[dict[str, Any]]:
        """An entry a picture; a whole one in test mode, else its number alone."""
        if self.test_mode:
            return [self.record(self.scene(i), i) for i in range(self.length)]
        return [dict(id=i) for i in range(self.length)]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """An entry with its picture, BGR as MMPose loads pictures."""
        info: dict[str, Any] = super().get_data_info(idx)
        scene = self.scene(info["id"])
        if "bbox" not in info:
            info.update(self.record(scene, info["id"]))
        info["img"] = np.ascontiguousarray(scene.image[..., ::-1])
        return info


def coco_record(scene: Any, index: int, name: str) -> dict[str, Any]:
    """A scene's annotation as MMPose's COCO data sets hold it, with the mask as run lengths."""
    height, width = scene.mask.shape
    inside = ((scene.keypoints >= 0) & (scene.keypoints <= (width - 1, height - 1))).all(1)
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
        "segmentation": run_lengths(scene.mask),
    }
    return {
        "img_id": index,
        "img_path": f"{name}/{index:08d}.png",
        "bbox": scene.box.astype(np.float32)[None],
        "bbox_score": np.ones(1, np.float32),
        "num_keypoints": annotation["num_keypoints"],
        "keypoints": keypoints[None, :, :2].astype(np.float32),
        "keypoints_visible": np.minimum(1, seen)[None].astype(np.float32),
        "area": np.array(annotation["area"], np.float32),
        "iscrowd": 0,
        "segmentation": annotation["segmentation"],
        "id": index,
        "category_id": np.array(1),
        "raw_ann_info": annotation,
    }


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """(H, W) mask -> COCO's compressed run lengths, `counts` as str."""
    from pycocotools import mask as coco

    packed = coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [int(v) for v in packed["size"]], "counts": packed["counts"].decode()}
