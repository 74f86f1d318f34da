"""A drawn COCO data set whose images say where each of their pixels lies: red is x, green is y."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

WIDTH, HEIGHT = 200, 160  # of the images, px
INPUT = (48, 64)  # (w, h) of the input, px
BLUE = 37
BOX = (60.0, 30.0, 60.0, 90.0)  # (x, y, w, h) px
JOINTS = {0: (90.0, 40.0), 1: (84.0, 36.0), 5: (70.0, 60.0), 6: (105.0, 62.0), 15: (75.0, 110.0)}  # COCO's number -> px
LOAD, BOXED, CROP, PACK = (
    {"type": "LoadImage"},
    {"type": "GetBBoxCenterScale"},
    {"type": "TopdownAffine", "input_size": INPUT},
    {"type": "PackPoseInputs"},
)
ROTATE = {"type": "RandomBBoxTransform", "shift_prob": 0, "rotate_factor": 60, "rotate_prob": 1.0, "scale_prob": 0}
FLIP = {"type": "RandomFlip", "prob": 1.0}
PLAIN = [LOAD, BOXED, CROP, PACK]
PIPELINES = {
    "plain": PLAIN,
    "udp": [LOAD, BOXED, {**CROP, "use_udp": True}, PACK],
    "rotated": [LOAD, BOXED, ROTATE, CROP, PACK],
    "rotated_udp": [LOAD, BOXED, ROTATE, {**CROP, "use_udp": True}, PACK],
    "flipped": [LOAD, FLIP, BOXED, CROP, PACK],
    "whole": [LOAD, {"type": "BottomupResize", "input_size": (96, 64)}, PACK],  # padded at the sides
    "whole_expand": [LOAD, {"type": "BottomupResize", "input_size": (64, 64), "resize_mode": "expand"}, PACK],
    "whole_udp": [LOAD, {"type": "BottomupResize", "input_size": (96, 96), "use_udp": True}, PACK],
    "whole_scaled": [LOAD, {"type": "BottomupRandomChoiceResize", "scales": [(120, 100)], "keep_ratio": True}, PACK],
    "flipped_rotated": [LOAD, {**FLIP, "direction": "diagonal"}, BOXED, ROTATE, CROP, PACK],
}


def square(center: Sequence[float], half: int = 5) -> list[float]:
    """A polygon whose pixels are `center` and `half` px to each side (COCO's pixel i is from i to i + 1)."""
    (x, y), low, high = center, half, half + 1
    return [x - low, y - low, x + high, y - low, x + high, y + high, x - low, y + high]


def person(number: int, image: int = 1, *, joints: dict[int, tuple[float, float]] | None = None, **more: Any) -> Any:
    """An annotation; `more` replaces keys, None takes them out."""
    points = JOINTS if joints is None else joints
    keypoints = [v for k in range(17) for v in ((*points[k], 2) if k in points else (0, 0, 0))]
    found = {
        **{"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": list(BOX), "area": 2500.0},
        **{"keypoints": keypoints, "num_keypoints": len(points), "segmentation": [square((90, 75), 30)]},
        **more,
    }
    return {key: value for key, value in found.items() if value is not None}


def write(folder: Path, people: Sequence[Any], images: Sequence[int] = (1,)) -> Path:
    """The images and `persons.json`."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.uint8)
    for number in images:
        cv2.imwrite(str(folder / f"{number}.png"), np.stack([np.full_like(x, BLUE), y, x], axis=-1))  # BGR
    listed = [{"id": i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT} for i in images]
    found = {"images": listed, "annotations": list(people), "categories": [{"id": 1, "name": "person"}]}
    (folder / "persons.json").write_text(json.dumps(found))
    return folder


def dataset(folder: Path, pipeline: Sequence[Any] = PLAIN, **more: Any) -> dict[str, Any]:
    """A data set's config."""
    return {
        **{"type": "CocoDataset", "data_root": f"{folder}/", "data_mode": "topdown", "ann_file": "persons.json"},
        **{"data_prefix": {"img": ""}, "test_mode": True, "pipeline": copy.deepcopy(list(pipeline)), **more},
    }


def config(wanted: dict[str, Any]) -> Any:
    """An MMPose config with it as test data."""
    from mmengine.config import Config

    return Config({"default_scope": "mmpose", "test_dataloader": {"batch_size": 1, "dataset": wanted}})


def preprocessor(**more: Any) -> Any:
    """MMPose's."""
    from mmpose.models.data_preprocessors import PoseDataPreprocessor

    numbers = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "bgr_to_rgb": True}
    return PoseDataPreprocessor(**{**numbers, **more})


def source(wanted: dict[str, Any], preprocess: Any = None, **options: Any) -> Any:
    """Its samples."""
    from poseig_mm.data.samples import SampleSource

    return SampleSource(config(wanted), preprocess=preprocess or preprocessor(), **options)


def to_original(sample: Any, points: Any) -> Any:
    """(N, 2) input px -> (N, 2) original px, by the sample's inverse warp."""
    return np.asarray(points, dtype=np.float64) @ sample.inverse_warp[:, :2].T + sample.inverse_warp[:, 2]
