"""FreiHAND v2 as MMPose data sets read it, with joints in space, camera and masks (MMPose's own has 2D joints
alone).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseig_mm.errors import ConfigError, DataError, did_you_mean

from .hand_camera import project
from .hand_entries import HandDataset, hand_entry

from mmpose.registry import DATASETS  # isort: skip  (hand_entries prepares the environment)

__all__ = ["VERSIONS", "FreiHAND3DDataset", "annotation_of", "image_of"]

SPLITS = ("training", "evaluation")
VERSIONS = ("gs", "hom", "sample", "auto")  # green screen as recorded; the background replaced in three ways
ANNOTATED = 32560  # pictures of one version
SIZE = (224, 224)
THRESHOLD = 127  # of the training masks, which are JPEG files: nearly 0 and nearly 255
METRES = 1000.0  # mm
BOX_FILE = "a JSON list of image_id and bbox (x, y, w, h), as I2L-MeshNet's repository offers RootNet's"
_EVALUATION = "the truth of the evaluation pictures, and their segmap, are in FreiHAND_pub_v2_eval.zip"


def image_of(annotation: int, version: str, annotated: int = ANNOTATED) -> int:
    """The number of the training image that shows an annotation in a version.

    >>> image_of(5, "gs"), image_of(5, "auto")
    (5, 97685)
    """
    return annotation + annotated * VERSIONS.index(version)


def annotation_of(image: int, annotated: int = ANNOTATED) -> int:
    """The annotation of a training image; mask and joints are the same in all versions.

    >>> annotation_of(97685)
    5
    """
    return image % annotated


@DATASETS.register_module()
class FreiHAND3DDataset(HandDataset):
    """FreiHAND v2 (Zimmermann et al., ICCV 2019): right hands, 224 x 224; entries: see `HandDataset`.

    Files read, with S the split: `S_K.json`, `S_xyz.json`, `S_scale.json`; `S/rgb/%08d.jpg`; masks
    `training/mask/%08d.jpg` (32,560, for all versions) or `evaluation/segmap/%08d.png` (above 0); with `vertices`,
    `S_verts.json`.  `hand_scale` (1,) is `S_scale.json` in mm: the length of the middle finger's first bone.

    Args:
        data_root: with the files above.
        split: 'training' (130,240 pictures: 4 versions of 32,560) or 'evaluation' (3,960).
        versions: of `VERSIONS`, training only; None: all.  Those after 'gs' count on from the last number of the one
            before.
        masks: read the masks.
        vertices: `vertices_3d` (1, 778, 3), mm from the wrist, beside the joints.
        others: see `HandDataset`; among them `bbox_file`, with split 'evaluation' and `test_mode`: ready-made boxes
            instead of the joints', as I2L-MeshNet and HandAR are tested with.  A JSON list (RootNet's
            `bbox_root_freihand_output.json`) of `image_id`, the picture's number, and `bbox`, (x, y, w, h) px, already
            padded: take `GetHandBox('ready', padding=1)`.
    """

    NAME = "freihand3d"
    SOURCE = (
        "FreiHAND v2 is at https://lmb.informatik.uni-freiburg.de/resources/datasets/FreihandDataset.en.html "
        "(for research only, no commercial use)."
    )

    def __init__(
        self,
        data_root: str,
        split: str = "training",
        versions: Sequence[str] | None = None,
        masks: bool = True,
        vertices: bool = False,
        **others: Any,
    ) -> None:
        if split not in SPLITS:
            raise ConfigError(f"there is no split {split!r} of FreiHAND; {did_you_mean(split, SPLITS)}")
        if split == "evaluation" and versions is not None:
            raise ConfigError("the evaluation pictures of FreiHAND have no versions; leave `versions` out")
        for version in versions or ():
            if version not in VERSIONS:
                raise ConfigError(f"there is no version {version!r} of FreiHAND; {did_you_mean(version, VERSIONS)}")
        if others.get("bbox_file") and split == "training":
            raise ConfigError("bbox_file has the boxes of split 'evaluation'; leave it out for 'training'")
        self.split, self.versions, self.vertices = split, tuple(versions or VERSIONS), vertices
        self._vertices: list[Any] = []
        super().__init__(data_root, masks, ann_file=f"{split}_xyz.json", **others)

    def load_data_list(self) -> list[dict[str, Any]]:
        """An entry a picture, versions one after the other."""
        joints, cameras, scales = (self._read(name) for name in ("xyz", "K", "scale"))
        if self.vertices:
            self._vertices = self._read("verts")
        counts = {len(joints), len(cameras), len(scales), len(self._vertices) or len(joints)}
        if len(counts) > 1:
            raise DataError(
                f"{self.NAME}: {self.split}_xyz.json, _K.json, _scale.json (and _verts.json) of {self.folder} hold "
                f"{sorted(counts)} entries; expected one number of all. Unpack the release anew. {self.SOURCE}"
            )
        versions = self.versions if self.split == "training" else ("gs",)
        entries = []
        for version in versions:
            for i, (xyz, camera, scale) in enumerate(zip(joints, cameras, scales, strict=True)):
                entries.append(self._entry(image_of(i, version, len(joints)), i, xyz, camera, scale))
            for entry in entries[-1:] + entries[-len(joints) :][:1]:  # the version's last and first: is it there?
                self.need(Path(entry["img_path"]), f"version {version!r}")
                if self.masks:
                    self.need(self.mask_path(entry["annotation"]), self._mask_hint())
        if self.bbox_file:
            boxes = _ready_boxes(self.need(Path(self.bbox_file).expanduser(), BOX_FILE), len(entries))
            entries = [{**entry, "bbox": box[None]} for entry, box in zip(entries, boxes, strict=True)]
        return entries

    def _entry(self, image: int, annotation: int, xyz: Any, camera: Any, scale: Any) -> dict[str, Any]:
        joints, k = np.asarray(xyz, np.float64) * METRES, np.asarray(camera, np.float64)
        path = self.folder / self.split / "rgb" / f"{image:08d}.jpg"
        entry = hand_entry(path, image, joints, project(joints, k), k, SIZE)
        return {
            **entry,
            "annotation": annotation,
            "hand_scale": np.array([METRES * float(np.ravel(scale)[0])], np.float32),
        }

    def _read(self, name: str) -> list[Any]:
        path = self.need(self.folder / f"{self.split}_{name}.json", _EVALUATION if self.split == "evaluation" else "")
        try:
            found = json.loads(path.read_text())
        except ValueError as error:
            raise DataError(f"{self.NAME}: {path} is not whole ({error}). Unpack the release anew") from error
        if not isinstance(found, list) or not found:
            raise DataError(
                f"{self.NAME}: {path} holds a {type(found).__name__}; expected a list with an item a picture"
            )
        return found

    def mask_path(self, annotation: int) -> Path:
        """The file of an annotation's mask."""
        if self.split == "training":
            return self.folder / "training" / "mask" / f"{annotation:08d}.jpg"
        return self.folder / "evaluation" / "segmap" / f"{annotation:08d}.png"

    def _mask_hint(self) -> str:
        return (_EVALUATION + "; " if self.split == "evaluation" else "") + "masks=False goes on without masks"

    def mask_of(self, info: dict[str, Any]) -> NDArray[np.bool_]:
        """The hand's pixels (224, 224)."""
        import cv2

        path = self.need(self.mask_path(info["annotation"]), self._mask_hint())
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None:
            raise DataError(f"{self.NAME}: {path} is no picture that OpenCV reads. Unpack the release anew")
        brightest = picture if picture.ndim == 2 else picture[..., :3].max(-1)
        return np.asarray(brightest > (THRESHOLD if self.split == "training" else 0))

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """An entry with its mask and, where asked for, its vertices."""
        info = super().get_data_info(idx)
        if self.vertices:
            vertices = np.asarray(self._vertices[info["annotation"]], np.float64) * METRES
            info["vertices_3d"] = (vertices - info["root_3d"][0])[None].astype(np.float32)
        return info


def _ready_boxes(path: Path, count: int) -> NDArray[np.float32]:
    """(count, 4): x and y of the upper left and the lower right corner of each picture's box, px."""
    boxes = np.full((count, 4), np.nan)
    try:
        for item in json.loads(path.read_text()):
            number, (x, y, w, h) = int(item["image_id"]), map(float, item["bbox"])
            if not 0 <= number < count:
                raise ValueError(f"image_id {number}, where pictures have the numbers 0 to {count - 1}")
            if not (np.isfinite([x, y, w, h]).all() and w > 0 and h > 0):
                raise ValueError(f"bbox {item['bbox']} of image_id {number}, which has no extent")
            boxes[number] = x, y, x + w, y + h
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is no file of boxes: {error!r}. Expected {BOX_FILE}") from error
    if (without := np.flatnonzero(np.isnan(boxes).any(1))).size:
        raise DataError(
            f"{path} has no box of {without.size} of {count} pictures, the first is {without[0]}; give the file of "
            "the whole evaluation set, or leave bbox_file out for boxes of the joints"
        )
    return boxes.astype(np.float32)
