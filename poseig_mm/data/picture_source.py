"""Pictures and videos without annotations as samples: the model's own prediction stands in the joints' place."""

from __future__ import annotations

import copy
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch

from ..errors import ConfigError
from ..store.image_marks import image_marks
from ..video import VideoReader, video_of
from .annotations import NO_BOX, Content
from .building import pipeline_and_metainfo
from .crops import Crop, is_whole
from .person_boxes import Boxes, Detector, PersonBox, detected_boxes, read_boxes, tracks
from .samples import SampleSource
from .shots import Shot, find_shots, read_picture
from .usable import PersonCounts

OUTSIDE = "box outside the image"
# what MMPose's data sets add to every entry of theirs
_METAINFO = (
    "dataset_name", "upper_body_ids", "lower_body_ids", "flip_pairs", "dataset_keypoint_weights", "flip_indices",
    "skeleton_links",
)  # fmt: skip
_UNREADABLE = (256, 256)  # (H, W) in the place of a size that is not known; loading will fail, and say why


class PictureSource(SampleSource):
    """As `SampleSource`, of pictures: through the pipeline of the config's data set, whose annotations are not needed.

    A sample is a person's box in a picture or frame.  Its `keypoints`, `visible` (inside the input) and `pixels` are
    the model's own prediction, `annotated` is False.

    Args:
        cfg: an MMPose config with a data set, of which pipeline and metainfo are taken.
        images: see `shots.find_shots`; or shots that were made already.
        predict: input (C, H, W) -> the model's own decoding (K, D) in its unit; None: samples are counted, not loaded.
        boxes: a file, see `person_boxes.read_boxes`; or boxes by image id.
        every: of a video, one frame in so many.
        detector: finds persons where there are no boxes; None: each whole picture is a person's box.
        rest: as of `SampleSource`.

    Raises:
        ConfigError: as `SampleSource`; boxes, and the pipeline fits the whole picture in.
        DataError: no picture, or no box for one.
    """

    annotations: ClassVar[bool] = False

    def __init__(
        self,
        cfg: Any,
        images: Sequence[str] | Sequence[Shot],
        *,
        predict: Callable[[torch.Tensor], torch.Tensor] | None,
        boxes: str | Boxes | None = None,
        every: int = 1,
        detector: Detector | None = None,
        **rest: Any,
    ) -> None:
        self._predict = predict
        self._picture_notes: list[str] = []
        names = [image for image in images if isinstance(image, str)]
        shots = [image for image in images if isinstance(image, Shot)]
        self._shots = [*shots, *(find_shots(names, every, self._picture_notes) if names else ())]
        self.frames = any(video_of(shot.path)[1] is not None for shot in self._shots)
        self._reader: VideoReader | None = None
        self._no_boxes = boxes is None and detector is None
        self._boxes: Boxes
        if isinstance(boxes, str):
            self._boxes = read_boxes(boxes, self._shots, self._picture_notes)
        elif detector is not None:
            self._boxes = detected_boxes(self._shots, self._pixels_of, detector)
        else:
            self._boxes = boxes or {}
        self._box_file = boxes if isinstance(boxes, str) else ""
        self._left_out: Counter[str] = Counter()
        super().__init__(cfg, **rest)
        self.notes += self._picture_notes

    def annotated(self) -> int:
        """How many joints there are to explain."""
        return len(self._order) * len(self.groups.keypoint_names)

    def fingerprint(self) -> str:
        """SHA-256 over the names of pictures and frames, the boxes' file, and the content of videos.

        The content of pictures is the store's to compare, as that of a data set's images is.
        """
        digest = hashlib.sha256(json.dumps([(s.path, s.image_id) for s in self._shots]).encode())
        videos = {video for shot in self._shots for video, frame in [video_of(shot.path)] if frame is not None}
        marks = {path: (size, checksum) for path, (size, _, checksum) in image_marks(sorted(videos)).items()}
        digest.update(json.dumps(marks, sort_keys=True).encode())
        if self._box_file:
            digest.update(Path(self._box_file).read_bytes())
        return digest.hexdigest()

    def _dataset(self, cfg: Any, split: str) -> Any:
        transforms, metainfo = pipeline_and_metainfo(cfg, split, self.notes)
        whole = any(is_whole(transform) for transform in transforms)
        if whole and not self._no_boxes:
            raise ConfigError(
                "the model takes whole pictures and finds persons in them by itself, but boxes were given; leave "
                "--boxes and --detector out: the surest person of each picture is explained"
            )
        if whole:
            self.notes.append("the model finds several persons in a picture: the surest one is explained")
        entries = self._made_entries(int(metainfo["num_keypoints"]), whole)
        pipeline = SimpleNamespace(transforms=[self._load_frame, *transforms])
        return _Pictures(entries, metainfo, pipeline)

    def _load_frame(self, results: dict[str, Any]) -> dict[str, Any]:
        """The first transform: pixels of what is no picture file."""
        path, frame = video_of(str(results["img_path"]))
        if frame is not None:
            results["img"] = self._frame(path, frame)
        return results

    def _frame(self, path: str, frame: int) -> Any:
        if self._reader is None or self._reader.path != path:
            self._reader = VideoReader(path)
        return self._reader.read(frame)

    def _pixels_of(self, shot: Shot) -> Any:
        """(H, W, 3) uint8 BGR of a picture or frame."""
        path, frame = video_of(shot.path)
        if shot.pixels is not None:
            return shot.pixels
        return read_picture(path) if frame is None else self._frame(path, frame)

    def _made_entries(self, joints: int, whole: bool) -> list[dict[str, Any]]:
        """An entry a box, as MMPose's data sets have it, its joints not annotated."""
        shots, boxes = [], []
        for shot in self._shots:
            inside = [box for box in self._boxes_of(shot) if self._is_inside(box, shot)]
            if not inside and not self._boxes.get(shot.image_id):
                self._left_out[NO_BOX] += 1
            shots.append(shot)
            boxes.append(inside)
        numbers = [list(range(1, len(inside) + 1)) for inside in boxes]
        by_video: dict[str, list[int]] = {}
        for i, shot in enumerate(shots):
            video, frame = video_of(shot.path)
            if frame is not None:
                by_video.setdefault(video, []).append(i)
        for video, places in by_video.items():
            firsts = [shots[b] for a, b in pairwise(places) if shots[a].scene != shots[b].scene]
            if firsts:
                at = ", ".join(str(video_of(shot.path)[1]) for shot in firsts)
                self._picture_notes.append(f"{video} is cut: another scene begins at frame {at}, with new persons")
            of_video = tracks([[box.corners for box in boxes[i]] for i in places], [shots[i].scene for i in places])
            for i, persons in zip(places, of_video, strict=True):
                numbers[i] = persons
        return [
            _entry(shot, box, number, joints, whole)
            for shot, inside, persons in zip(shots, boxes, numbers, strict=True)
            for box, number in zip(inside, persons, strict=True)
        ]

    def _boxes_of(self, shot: Shot) -> Sequence[PersonBox]:
        """Those given or found; the whole picture where there were none to be given."""
        height, width = shot.size or _UNREADABLE
        everything = [PersonBox((0.0, 0.0, float(width), float(height)))]
        unreadable = shot.size is None and not self._boxes.get(shot.image_id)
        return everything if self._no_boxes or unreadable else self._boxes.get(shot.image_id, ())

    def _is_inside(self, box: PersonBox, shot: Shot) -> bool:
        """Whether some of a box lies in its picture; one that does not is counted."""
        x0, y0, x1, y1 = box.corners
        if shot.size is None or not (x0 >= shot.size[1] or y0 >= shot.size[0] or x1 <= 0 or y1 <= 0):
            return True
        self._left_out[OUTSIDE] += 1
        return False

    def _count_usable(self, contents: Mapping[str, Content]) -> PersonCounts:
        counts = super()._count_usable(contents)
        left_out = Counter(counts.left_out) + self._left_out
        return PersonCounts(counts.annotated + sum(self._left_out.values()), left_out, "boxes")

    def _joints(
        self, crop: Crop, pixels: torch.Tensor, image: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if self._predict is None:
            raise ConfigError("the model's own prediction stands in the joints' place, and there is no model")
        predicted = self._predict(image)
        if self.dimensions != 2:
            return predicted, predicted.isfinite().all(-1), torch.full((len(predicted), 2), torch.nan)
        last = torch.tensor([pixels.shape[-1] - 1.0, pixels.shape[-2] - 1.0])
        return predicted, ((predicted >= 0) & (predicted <= last)).all(-1), predicted


class _Pictures:
    """Entries as an MMPose data set gives them, with its metainfo and its pipeline."""

    def __init__(self, entries: Sequence[Mapping[str, Any]], metainfo: Mapping[str, Any], pipeline: Any) -> None:
        self.metainfo, self.pipeline, self._entries = metainfo, pipeline, entries

    def __len__(self) -> int:
        return len(self._entries)

    def get_data_info(self, i: int) -> dict[str, Any]:
        """One entry; transforms may change it."""
        about = {key: copy.deepcopy(self.metainfo[key]) for key in _METAINFO if key in self.metainfo}
        return {**self._entries[i], **about}


def _entry(shot: Shot, box: PersonBox, number: int, joints: int, whole: bool) -> dict[str, Any]:
    """What MMPose's COCO data sets have of a person; joints stand at the box's corners, to check warps by."""
    x0, y0, x1, y1 = box.corners
    corners = np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], dtype=np.float32)
    return {
        **{"img_id": shot.image_id, "id": number, "img_path": shot.path, "category_id": np.array(1), "iscrowd": 0},
        **({} if shot.pixels is None else {"img": shot.pixels}),
        **({} if whole else {"bbox": np.array([box.corners], dtype=np.float32)}),
        "bbox_score": np.array([box.score], dtype=np.float32),
        "keypoints": np.resize(corners, (1, joints, 2)),
        "keypoints_visible": np.zeros((1, joints), dtype=np.float32),
        "segmentation": box.segmentation,
    }
