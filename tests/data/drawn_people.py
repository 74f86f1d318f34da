"""COCO annotations of a few drawn persons, and MMPose configs that read them.  Importing this loads no MMPose."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

WIDTH, HEIGHT = 120, 100  # of each picture, px
INPUT = (48, 64)  # (w, h) of the network's input, px
JOINTS = 17
MAPPING = [(0, 6), (1, 8), (2, 10)]  # three of AI Challenger's joints as COCO's


def rectangle(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    """A polygon whose pixels are x0 .. x1 - 1 and y0 .. y1 - 1."""
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def picture(path: Path, seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """Write noise, (H, W, 3) BGR, and return it."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    cv2.imwrite(str(path), pixels)
    return pixels


def person(
    number: int,
    image: int = 1,
    *,
    box: Sequence[float] = (20, 10, 60, 80),
    points: dict[int, tuple[float, float]] | None = None,
    segmentation: Any = None,
    joints: int = JOINTS,
    **other: Any,
) -> dict[str, Any]:
    """One annotation; `points` are the annotated joints, original px."""
    points = {0: (50.0, 30.0), 5: (60.0, 40.0), 9: (40.0, 60.0)} if points is None else points
    keypoints = [v for k in range(joints) for v in ((*points[k], 2) if k in points else (0, 0, 0))]
    made = {
        **{"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "bbox": list(box), "area": 4800.0},
        **{"keypoints": keypoints, "num_keypoints": len(points), **other},
    }
    return made if segmentation is None else {**made, "segmentation": segmentation}


def write(folder: Path, annotations: Sequence[dict[str, Any]], name: str = "people.json", images: int = 2) -> Path:
    """Pictures 1.png, 2.png ... and the annotation file."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(1, images + 1):
        picture(folder / f"{i}.png", seed=i)
    listed = [{"id": i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT} for i in range(1, images + 1)]
    content = {"images": listed, "annotations": list(annotations), "categories": [{"id": 1, "name": "person"}]}
    (folder / name).write_text(json.dumps(content))
    return folder / name


def pipeline(*extra: dict[str, Any], use_udp: bool = False) -> list[dict[str, Any]]:
    """A test pipeline; `extra` stands before the crop."""
    crop = {"type": "TopdownAffine", "input_size": INPUT, "use_udp": use_udp}
    return [{"type": "LoadImage"}, {"type": "GetBBoxCenterScale"}, *extra, crop, {"type": "PackPoseInputs"}]


def dataset(folder: Path, name: str = "people.json", **other: Any) -> dict[str, Any]:
    """The data set's part of a config."""
    return {
        **{"type": "CocoDataset", "data_root": f"{folder}/", "ann_file": name, "data_prefix": {"img": ""}},
        **{"test_mode": True, "pipeline": pipeline(), **other},
    }


def config(data: dict[str, Any], **other: Any) -> Any:
    """An mmengine Config with just a test_dataloader."""
    from mmengine.config import Config

    return Config({"default_scope": "mmpose", "test_dataloader": {"dataset": copy.deepcopy(data)}, **other})


def preprocessor(**options: Any) -> Any:
    """MMPose's own data preprocessor; without normalisation, unless told."""
    from mmpose.models.data_preprocessors import PoseDataPreprocessor

    return PoseDataPreprocessor(**options)


def source(data: dict[str, Any], *, preprocess: Any = None, cfg: Any = None, **options: Any) -> Any:
    """A SampleSource over a data set's config."""
    from poseig_mm.compat import prepare_environment

    prepare_environment()
    from poseig_mm.data.samples import SampleSource

    return SampleSource(cfg or config(data), preprocess=preprocess or preprocessor(), **options)


def to_original(sample: Any, points: Any) -> np.ndarray:
    """Input px -> original px by the sample's inverse warp."""
    points = np.asarray(points, dtype=np.float64)
    return points @ sample.inverse_warp[:, :2].T + sample.inverse_warp[:, 2]


def to_input(sample: Any, points: Any) -> np.ndarray:
    """Original px -> input px: the inverse warp, inverted here."""
    points = np.asarray(points, dtype=np.float64)
    return (points - sample.inverse_warp[:, 2]) @ np.linalg.inv(sample.inverse_warp[:, :2]).T
