"""The figures as an MMPose data set in the COCO form; no file is read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError, did_you_mean

from .planting import VARIANTS
from .scene import IMAGE_SIZE, Scene, draw_scene

prepare_environment()

from mmpose.datasets.datasets.base import BaseCocoStyleDataset  # noqa: E402  (needs a prepared environment)
from mmpose.datasets.datasets.utils import parse_pose_metainfo  # noqa: E402
from mmpose.registry import DATASETS  # noqa: E402

__all__ = ["DATASET_NAME", "SPLITS", "SyntheticFiguresDataset"]

DATASET_NAME = "synthetic_figures"
SPLITS = ("train", "val", "test")  # each its own seeds: no figure is in two of them


@DATASETS.register_module()
class SyntheticFiguresDataset(BaseCocoStyleDataset):  # type: ignore[misc]  # mmpose is untyped
    """Articulated figures, drawn when they are asked for: COCO's 17 joints, one annotated person a picture.

    With `test_mode` the annotations of all pictures are made at once (about 2 ms each), as tools expect that look at them
    without loading pictures; without, a picture and its annotation are made together.

    Args:
        split: 'train', 'val' or 'test'.
        length: number of pictures.
        variant: one of `planting.VARIANTS`, or several: picture i then has the (i modulo n)-th.
        removed: leave the planted evidence out, to see whether a model uses it.
        seed: another seed, other pictures in every split.
        others: of MMPose's `BaseCocoStyleDataset` (pipeline, test_mode, ...).

    Raises:
        ConfigError: an unknown split or variant, or a length below 1.
    """

    def __init__(
        self,
        split: str = "train",
        length: int = 1024,
        variant: str | list[str] | tuple[str, ...] = "honest",
        removed: bool = False,
        seed: int = 0,
        **others: Any,
    ) -> None:
        variants = (variant,) if isinstance(variant, str) else tuple(variant)
        if split not in SPLITS:
            raise ConfigError(f"split is {split!r}, which is unknown; {did_you_mean(split, SPLITS)}")
        for name in variants:
            if name not in VARIANTS:
                raise ConfigError(f"there is no variant {name!r}; {did_you_mean(name, VARIANTS)}")
        if length < 1 or not variants:
            raise ConfigError(f"length is {length} and variant {variant!r}; expected at least one of each")
        self.split, self.length, self.variants, self.removed, self.seed = split, length, variants, removed, seed
        super().__init__(**others)

    @classmethod
    def _load_metainfo(cls, metainfo: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = parse_pose_metainfo(metainfo or dict(from_file="configs/_base_/datasets/coco.py"))
        if not metainfo:
            found["dataset_name"] = DATASET_NAME
        return found

    def variant_of(self, index: int) -> str:
        """What is planted in picture `index`."""
        return self.variants[index % len(self.variants)]

    def scene(self, index: int) -> Scene:
        """Picture `index` with all that is known of it: parts, evidence, visibility."""
        return draw_scene((self.seed, SPLITS.index(self.split), index), self.variant_of(index), removed=self.removed)

    def load_data_list(self) -> list[dict[str, Any]]:
        """An entry a picture; a whole one in test mode, else its number alone."""
        if self.test_mode:
            return [record(self.scene(i), i) for i in range(self.length)]
        return [dict(id=i) for i in range(self.length)]

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """An entry with its picture, BGR as MMPose loads pictures."""
        info: dict[str, Any] = super().get_data_info(idx)
        scene = self.scene(info["id"])
        if "bbox" not in info:
            info.update(record(scene, info["id"], segment=False))
        info["img"] = np.ascontiguousarray(scene.image[..., ::-1])
        return info


def record(scene: Scene, index: int, *, segment: bool = True) -> dict[str, Any]:
    """A scene's annotation as MMPose's COCO data sets hold it; `segment`: with the mask as run lengths."""
    width, height = IMAGE_SIZE
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
    }
    if segment:
        annotation["segmentation"] = run_lengths(scene.mask)
    return {
        "img_id": index,
        "img_path": f"{DATASET_NAME}/{index:08d}.png",
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
    }


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """(H, W) mask -> COCO's compressed run lengths, `counts` as str."""
    from pycocotools import mask as coco

    packed = coco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [int(v) for v in packed["size"]], "counts": packed["counts"].decode()}
