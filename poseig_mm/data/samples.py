"""Any MMPose config's test data as samples: one person each, with what a diagnosis needs and MMPose leaves behind."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, did_you_mean
from ..types import Sample
from .crops import KeepResults, find_warp, last_transforms
from .datasets import DatasetInfo
from .groups import joint_groups
from .masks import Mask, rasterise, union, warp_mask

__all__ = ["SampleSource"]

logger = logging.getLogger(__name__)


class SampleSource:
    """The persons of a config's test (or validation) data, in a stable order, loaded one by one.

    The user's config stays as it is; what has to differ for a diagnosis is done on a copy and listed in `notes`: boxes are
    the annotated ones (detections have no keypoints).

    Args:
        cfg: an MMPose config.
        preprocess: the model's `data_preprocessor`.
        split: 'test' or 'val': whose dataloader.
        mask: 'instance' (this person's own segmentation), 'union' (all persons of the image, as published) or 'none'.
        limit: the first N, after the seeded shuffle where there is a seed.
        seed: shuffles the order.
        ids: only these samples, in this order.
        datasets: what plugins know of data sets; their groups win over those found by joint names.

    Attributes:
        groups: names, groups and chains of the joints.
        dataset_name, notes, dimensions: for run.json; dimensions is 2.

    Raises:
        ConfigError: the config has no such dataloader, or an id is unknown.
        DataError: the annotations are missing or hold no person, or the pipeline is not a top-down one.
    """

    dimensions = 2

    def __init__(
        self,
        cfg: Any,
        *,
        preprocess: Callable[..., dict[str, Any]],
        split: str = "test",
        mask: str = "instance",
        limit: int | None = None,
        seed: int | None = None,
        ids: Sequence[str] | None = None,
        datasets: Mapping[str, DatasetInfo] | None = None,
    ) -> None:
        self.notes: list[str] = []
        self._preprocess, self._mask_kind = preprocess, mask
        self._dataset = _build_dataset(cfg, split, self.notes)
        transforms, self._crop = last_transforms(self._dataset.pipeline)
        self._dataset.pipeline.transforms = [*transforms[:-1], KeepResults(transforms[-1])]
        metainfo = self._dataset.metainfo
        self.dataset_name = str(metainfo.get("dataset_name", type(self._dataset).__name__))
        info = (datasets or {}).get(self.dataset_name)
        self.groups = info.groups if info is not None and info.groups is not None else joint_groups(metainfo)
        if self.groups.derived:
            self.notes.append(f"joint groups of {self.dataset_name} were derived from its skeleton")
        self._all_ids = _sample_ids(self._dataset)
        self._order = _select(self._all_ids, limit, seed, ids)
        self._others: dict[str, list[Any]] | None = None

    def __len__(self) -> int:
        return len(self._order)

    def ids(self) -> list[str]:
        """Sample ids in order, without loading an image."""
        return [self._all_ids[i] for i in self._order]

    def fingerprint(self) -> str:
        """SHA-256 over the annotation files, also those of data sets inside wrappers: other annotations, another run."""
        found = hashlib.sha256()
        for path in _annotation_files(self._dataset):
            found.update(Path(path).read_bytes() if Path(path).is_file() else path.encode())
        return found.hexdigest()

    def load(self, position: int) -> Sample:
        """The sample at a position of `ids()`.

        Raises:
            DataError: the image or annotation cannot be read; it names the sample and the file.
        """
        index = self._order[position]
        sample_id, path = self._all_ids[index], "?"
        try:
            path = str(self._dataset.get_data_info(index).get("img_path", "?"))
            kept = self._dataset.prepare_data(index)
            return self._sample(sample_id, kept["results"], kept["packed"])
        except Exception as error:
            detail = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
            what = "" if Path(path).is_file() else " (there is no such file)"
            raise DataError(f"sample {sample_id}, image {path}{what}: {detail}") from error

    def _sample(self, sample_id: str, results: Mapping[str, Any], packed: dict[str, Any]) -> Sample:
        warp = find_warp(results, self._crop)
        crop = packed["inputs"]  # (C, H, W) uint8, as loaded
        image = self._preprocess({"inputs": [crop], "data_samples": [packed["data_samples"]]}, False)["inputs"][0].cpu()
        height, width = int(image.shape[-2]), int(image.shape[-1])
        points = torch.as_tensor(np.asarray(results["transformed_keypoints"])[0, :, :2], dtype=torch.float32)
        visibility = np.asarray(results["keypoints_visible"])[0]
        annotated = torch.as_tensor((visibility if visibility.ndim == 1 else visibility[:, 0]) > 0)
        limits = torch.tensor([width - 1.0, height - 1.0])
        inside = ((points >= 0) & (points <= limits)).all(1)
        mask = self._mask(results, warp, (height, width))
        return Sample(
            sample_id=sample_id,
            image_id=str(results.get("img_id", "")),
            instance_id=str(results.get("id", "")),
            image_path=str(results.get("img_path", "")),
            image=image.float(),
            display=self._display(crop, (height, width)),
            keypoints=torch.where(annotated[:, None], points, torch.nan),
            visible=annotated & inside,
            mask=None if mask is None else torch.from_numpy(mask),
            mask_source=self._mask_kind if mask is not None else "none",
            inverse_warp=_invert(warp),
            extra={
                "bbox": np.asarray(results["bbox"])[0].tolist() if results.get("bbox") is not None else None,
                "area": float(np.ravel(results["area"])[0]) if results.get("area") is not None else None,
                "iscrowd": int(results.get("iscrowd", 0)),
                "input_center": np.asarray(results["input_center"]).tolist(),
                "input_scale": np.asarray(results["input_scale"]).tolist(),
                "ori_shape": tuple(int(v) for v in results.get("ori_shape", ())),
            },
        )

    def _display(self, crop: torch.Tensor, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The crop as RGB (H, W, 3), padded as the preprocessor pads."""
        picture = crop[[2, 1, 0]] if getattr(self._preprocess, "_channel_conversion", True) else crop
        shown = np.zeros((*size, 3), dtype=np.uint8)
        shown[: crop.shape[1], : crop.shape[2]] = picture.permute(1, 2, 0).clamp(0, 255).to(torch.uint8).numpy()
        return shown

    def _mask(
        self, results: Mapping[str, Any], warp: NDArray[np.float64], size: tuple[int, int]
    ) -> NDArray[np.bool_] | None:
        if self._mask_kind == "none":
            return None
        height, width = (int(v) for v in results["ori_shape"][:2])
        mask: Mask | None
        if self._mask_kind == "union":
            mask = union(rasterise(s, height, width) for s in self._segmentations(str(results.get("img_id", ""))))
        else:
            mask = rasterise(results.get("segmentation"), height, width)
        return None if mask is None else warp_mask(mask, warp, size)

    def _segmentations(self, image_id: str) -> list[Any]:
        """Segmentations of all persons of an image, crowds included, from the annotation file."""
        if self._others is None:
            self._others = defaultdict(list)
            path = Path(str(getattr(self._dataset, "ann_file", "")))
            found = json.loads(path.read_text()) if path.suffix == ".json" and path.is_file() else {}
            for annotation in found.get("annotations", []) if isinstance(found, dict) else []:
                self._others[str(annotation.get("image_id"))].append(annotation.get("segmentation"))
        return self._others.get(image_id, [])


def _build_dataset(cfg: Any, split: str, notes: list[str]) -> Any:
    """The split's data set with annotated boxes, initialised."""
    from mmengine.registry import init_default_scope
    from mmengine.utils import import_modules_from_strings
    from mmpose.registry import DATASETS

    loader = cfg.get(f"{split}_dataloader")
    if not loader or "dataset" not in loader:
        known = [k for k in cfg if str(k).endswith("_dataloader")]
        raise ConfigError(
            f"the config has no {split}_dataloader.dataset; it has: {', '.join(known) or 'no dataloader at all'}. "
            "Choose one with diagnosis.samples.split, or add it"
        )
    if cfg.get("custom_imports"):
        import_modules_from_strings(**cfg["custom_imports"])
    init_default_scope(cfg.get("default_scope", "mmpose"))
    wanted = copy.deepcopy(loader["dataset"])
    _use_annotated_boxes(wanted, notes)
    try:
        dataset = DATASETS.build(wanted)
        dataset.full_init()
    except (FileNotFoundError, AssertionError, json.JSONDecodeError, KeyError) as error:
        raise DataError(
            f"the data set of {split}_dataloader cannot be read ({type(error).__name__}: {error}); check data_root and "
            f"ann_file, e.g. --cfg-options {split}_dataloader.dataset.data_root=/path/to/data"
        ) from error
    if not len(dataset):
        raise DataError(
            f"the data set of {split}_dataloader holds no person with annotated keypoints "
            f"(ann_file {getattr(dataset, 'ann_file', '?')}); check the annotations"
        )
    return dataset


def _use_annotated_boxes(dataset: Any, notes: list[str]) -> None:
    """Take detected boxes out, also inside wrappers: detections carry no keypoints to compare with."""
    if dataset.get("bbox_file"):
        notes.append(f"annotated boxes are used instead of the detections in {dataset['bbox_file']}")
        dataset["bbox_file"] = None
    for inner in [dataset.get("dataset"), *(dataset.get("datasets") or [])]:
        if inner:
            _use_annotated_boxes(inner, notes)


def _annotation_files(dataset: Any) -> list[str]:
    """Paths (or addresses) of all annotations of a data set, in a stable order."""
    inner = [getattr(dataset, "dataset", None), *(getattr(dataset, "datasets", None) or [])]
    own = [str(dataset.ann_file)] if getattr(dataset, "ann_file", None) else []
    return own + [path for d in inner if d is not None for path in _annotation_files(d)]


def _sample_ids(dataset: Any) -> list[str]:
    """'<image id>-<instance id>' of every entry; the entry's number where that is not unique."""
    found = []
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        found.append(f"{info.get('img_id', i)}-{info.get('id', i)}")
    counts = Counter(found)
    return [name if counts[name] == 1 else f"{name}-{i}" for i, name in enumerate(found)]


def _select(all_ids: Sequence[str], limit: int | None, seed: int | None, ids: Sequence[str] | None) -> list[int]:
    """Positions in the data set, in the order asked for."""
    if ids is not None:
        index = {name: i for i, name in enumerate(all_ids)}
        for name in ids:
            if name not in index:
                raise ConfigError(
                    f"diagnosis.samples.ids names {name!r}, which is not there; {did_you_mean(name, all_ids)}"
                )
        return [index[name] for name in dict.fromkeys(ids)][:limit]
    order = list(range(len(all_ids)))
    if seed is not None:
        order = [int(i) for i in np.random.default_rng(seed).permutation(len(all_ids))]
    return order[:limit]


def _invert(warp: NDArray[np.float64]) -> NDArray[np.float64]:
    """Input px -> original px."""
    linear = np.linalg.inv(warp[:, :2])
    return np.concatenate([linear, -linear @ warp[:, 2:]], axis=1)
