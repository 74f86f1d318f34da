"""Boxes of persons beside pictures without annotations: from a file, from a detector; and who is who over frames."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataError
from .shots import Shot

LEAST_SCORE = 0.3  # of a box that counts, as in MMPose's demo
OVERLAP = 0.3  # intersection over union of a person's boxes in two frames, at least

Corners = tuple[float, float, float, float]  # x0, y0, x1, y1 px of the picture
Boxes = Mapping[str, Sequence["PersonBox"]]  # image id -> of its persons
Detector = Callable[[NDArray[np.uint8]], NDArray[np.floating[Any]]]  # (H, W, 3) BGR -> (N, 5) x0, y0, x1, y1, score


@dataclass(frozen=True)
class PersonBox:
    """A person in a picture.

    Args:
        corners: x0, y0, x1, y1 px.
        score: of a detection; 1 where none is stated.
        segmentation: polygons or run lengths as COCO writes them, where the file has them.
    """

    corners: Corners
    score: float = 1.0
    segmentation: Any = None


def read_boxes(path: str, shots: Sequence[Shot], notes: list[str]) -> Boxes:
    """The boxes of a COCO results file (a list) or annotation file (a dict), by picture.

    An entry has `bbox` (x, y, width, height px), maybe `score` (those below 0.3 are left out) and `category_id` (1, a
    person, alone counts), and names its picture: `file_name`, or `image_id`, which is a file name, with or without its
    suffix and leading zeros, a frame's number, or an id of the file's own `images`.

    Args:
        path: of the file.
        shots: the pictures.
        notes: gets a sentence on boxes that are not used.

    Raises:
        DataError: it is no such file, or none of its boxes is of one of these pictures.
    """
    entries, names = _entries_of(path)
    by_name = _names_of(shots)
    boxes: dict[str, list[PersonBox]] = {}
    other_pictures, weak, other_kinds = [], 0, 0
    for number, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or "bbox" not in entry or not {"file_name", "image_id"} & set(entry):
            raise DataError(
                f"{path}: entry {number} is {str(entry)[:80]}; expected an object with 'bbox' (x, y, width, height) "
                "and 'file_name' or 'image_id'"
            )
        called = str(entry.get("file_name") or names.get(str(entry["image_id"]), entry["image_id"]))
        image_id = by_name.get(called) or by_name.get(Path(called).name)
        if image_id is None:
            other_pictures.append(called)
        elif entry.get("category_id", 1) != 1:
            other_kinds += 1
        elif float(entry.get("score", 1.0)) < LEAST_SCORE:
            weak += 1
        else:
            boxes.setdefault(image_id, []).append(_person_box(entry, f"{path}: entry {number}"))
    if not boxes:
        first = f", such as {other_pictures[0]!r}" if other_pictures else ""
        known = ", ".join(repr(shot.image_id) for shot in shots[:3])
        raise DataError(
            f"{path} has no box of a person for these pictures: {len(entries)} boxes, {len(other_pictures)} of them "
            f"for other pictures{first}, {weak} with a score below {LEAST_SCORE:g}, {other_kinds} of other categories. "
            f"The pictures are {known}{', ...' if len(shots) > 3 else ''}: name them in 'file_name', or leave the "
            "boxes out, so that each whole picture is one"
        )
    left_out = {"for other pictures": len(other_pictures), f"with a score below {LEAST_SCORE:g}": weak}
    if said := [f"{n} {why}" for why, n in {**left_out, "of other categories": other_kinds}.items() if n]:
        notes.append(f"{sum(map(len, boxes.values()))} of {len(entries)} boxes in {path} are used ({', '.join(said)})")
    return boxes


def _entries_of(path: str) -> tuple[list[Any], dict[str, str]]:
    """All entries of a file, and image id -> file name where it has a list of images."""
    if not Path(path).is_file():
        raise DataError(f"there is no file of boxes {path}; expected a COCO results or annotation file (.json)")
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON ({error}); expected a COCO results or annotation file") from error
    if isinstance(content, list):
        return content, {}
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        images = [image for image in content.get("images") or () if isinstance(image, Mapping)]
        return content["annotations"], {str(image.get("id")): str(image.get("file_name", "")) for image in images}
    raise DataError(
        f"{path} holds a {type(content).__name__}; expected a list of dict(image_id=..., bbox=[x, y, w, h], "
        "score=...), or an annotation file with 'annotations'"
    )


def _person_box(entry: Mapping[str, Any], where: str) -> PersonBox:
    try:
        x, y, width, height = (float(v) for v in entry["bbox"])
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: 'bbox' is {str(entry['bbox'])[:60]}; expected x, y, width, height in px") from error
    return PersonBox((x, y, x + width, y + height), float(entry.get("score", 1.0)), entry.get("segmentation"))


def _names_of(shots: Sequence[Shot]) -> dict[str, str]:
    """All that pictures may be called -> their ids; what two could be called is nobody's."""
    names: dict[str, set[str]] = {}
    for shot in shots:
        stem = Path(shot.image_id).stem
        called = {shot.image_id, shot.path, Path(shot.path).name, stem, stem.lstrip("0") or "0"}
        for name in called:
            names.setdefault(name, set()).add(shot.image_id)
    exact = {shot.image_id: shot.image_id for shot in shots}
    return {name: next(iter(ids)) for name, ids in names.items() if len(ids) == 1} | exact


def detected_boxes(shots: Sequence[Shot], pixels_of: Callable[[Shot], NDArray[np.uint8]], detector: Detector) -> Boxes:
    """What a detector finds in each picture, the surest first; a picture that cannot be read has none."""
    boxes: dict[str, list[PersonBox]] = {}
    for shot in shots:
        try:
            pixels = pixels_of(shot)
        except DataError:
            continue  # its whole picture is tried, and recorded as a failure
        rows = sorted(detector(pixels).tolist(), key=lambda row: -row[4])
        boxes[shot.image_id] = [PersonBox((a, b, c, d), s) for a, b, c, d, s in rows if s >= LEAST_SCORE]
    return boxes


def mmdet_detector(config: str, checkpoint: str, device: str) -> Detector:
    """A detector of mmdet, as MMPose's demo uses it: class 0 is a person, boxes that overlap by 0.3 are one.

    Raises:
        ConfigError: mmdet or its operators are missing, or the detector cannot be built.
    """
    try:
        from mmdet.apis import inference_detector, init_detector
        from mmpose.evaluation.functional import nms
        from mmpose.utils import adapt_mmdet_pipeline

        model = init_detector(config, checkpoint, device=device)
        model.cfg = adapt_mmdet_pipeline(model.cfg)
    except ImportError as error:
        raise ConfigError(
            f"--detector needs mmdet and mmcv with its operators ({error}); install them (pip install mmdet mmcv), or "
            "find boxes elsewhere and give them with --boxes FILE.json"
        ) from error
    except Exception as error:
        raise ConfigError(
            f"the detector {config} {checkpoint} cannot be built: {type(error).__name__}: {error}. Give a config and a "
            "checkpoint of mmdet"
        ) from error

    def detect(pixels: NDArray[np.uint8]) -> NDArray[np.floating[Any]]:
        found = inference_detector(model, pixels).pred_instances.cpu().numpy()
        boxes = np.concatenate([found.bboxes, found.scores[:, None]], axis=1)
        boxes = boxes[(found.labels == 0) & (found.scores >= LEAST_SCORE)]
        kept: NDArray[np.floating[Any]] = boxes[nms(boxes, OVERLAP)] if len(boxes) else boxes
        return kept

    return detect


def tracks(frames: Sequence[Sequence[Corners]], scenes: Sequence[int]) -> list[list[int]]:
    """Who is who: numbers of persons from 1 on, of each box in each frame.

    A box goes on with the person of the last frame whose box it overlaps most, at least by `OVERLAP`; another one, and
    every one after a cut, is a new person.

    Args:
        frames: of each frame its boxes.
        scenes: of each frame which scene it is of.

    >>> walks, stands = (0, 0, 10, 20), (50, 0, 60, 20)
    >>> tracks([[walks, stands], [stands, (2, 0, 12, 20)], [stands]], [0, 0, 1])
    [[1, 2], [2, 1], [3]]
    """
    numbers: list[list[int]] = []
    count = 0
    for i, boxes in enumerate(frames):
        same_scene = i > 0 and scenes[i] == scenes[i - 1]
        before = list(zip(frames[i - 1], numbers[i - 1], strict=True)) if same_scene else []
        pairs = [(overlap(box, old), j, number) for j, box in enumerate(boxes) for old, number in before]
        mine: dict[int, int] = {}
        for share, j, number in sorted(pairs, key=lambda pair: (-pair[0], pair[1])):
            if share >= OVERLAP and j not in mine and number not in mine.values():
                mine[j] = number
        for j in range(len(boxes)):
            if j not in mine:
                count += 1
                mine[j] = count
        numbers.append([mine[j] for j in range(len(boxes))])
    return numbers


def overlap(a: Corners, b: Corners) -> float:
    """Intersection over union.

    >>> round(overlap((0, 0, 2, 1), (1, 0, 3, 1)), 3)
    0.333
    """
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)
