"""Any MMPose config's test data as samples: one person each, with what a diagnosis needs and MMPose leaves behind."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ConfigError, DataError, did_you_mean
from ..functional.limbs import skeleton_mask
from ..seeding import random_states_kept, stable_hash
from ..types import JointGroups, Sample
from .annotations import Content, image_sizes, persons_of, read_content
from .building import build_dataset
from .crops import Crop, invert, is_whole, random_transforms, run_pipeline, split_pipeline
from .entries import Entries, choose, unique_ids
from .groups import joint_groups, sigmas_of
from .masks import fault, is_box, rasterise, union, warp_mask
from .pixels import display, order_note, order_of, range_note
from .sizes import check_size, unknown_turn
from .usable import annotated_joints, hide_placeless, keep_usable, placeless_joints

MASKS = ("instance", "union", "joints", "none")
LOOKED_AT = 20  # persons who are looked at, to tell masks from boxes, and in which order channels are


class SampleSource:
    """The persons of a config's test (or validation) data, in a stable order, loaded one by one.

    The user's config stays as it is; what has to differ for a diagnosis is done on a copy and listed in `notes`: boxes
    are the annotated ones (detections have no keypoints), each person is taken once, random transforms are seeded by
    sample.

    Args:
        cfg: an MMPose config.
        preprocess: the model's `data_preprocessor`.
        split: 'test' or 'val': whose dataloader.
        mask: 'instance' (this person's own segmentation), 'union' (all persons of the image, as published), 'joints'
            (drawn from the joints where there is no segmentation, see `functional.limbs.skeleton_mask`) or 'none'.
        limit: the first N, after the seeded shuffle where there is a seed.
        seed: shuffles the order; also of the random transforms.
        ids: only these samples, in this order.
        datasets: joint groups from plugins, by `dataset_name`; they win over those found by joint names.
        truth: `CoordinateAdapter.truth`: data sample -> true points (K, D) and which are annotated; None: all models'
            of 2D, whose truth is where the joints appear.
        dimensions: D of the truth.

    Attributes:
        groups: names, groups and chains of the joints.
        metainfo: MMPose's own.
        dataset_name, notes, dimensions: for run.json.
        whole_image: inputs hold whole images, other persons and all, and differ in size.

    Raises:
        ConfigError: the config has no such dataloader, or an id or a choice is unknown.
        DataError: the annotations are missing or hold no person, or the pipeline is neither top-down nor bottom-up.

    Example::

        source = SampleSource(Config.fromfile('config.py'), preprocess=model.data_preprocessor, limit=10)
        sample = source.load(0)  # sample.pixels (K, 2) and sample.mask (H, W) in input px
    """

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
        datasets: Mapping[str, JointGroups] | None = None,
        truth: Callable[[Any], tuple[torch.Tensor, torch.Tensor] | None] | None = None,
        dimensions: int = 2,
    ) -> None:
        if mask not in MASKS:
            raise ConfigError(f"diagnosis.samples.mask is {mask!r}, which is unknown; {did_you_mean(mask, MASKS)}")
        self.notes: list[str] = []
        self._truth, self.dimensions = truth or (lambda data_sample: None), dimensions
        self._preprocess, self._mask_kind, self._seed = preprocess, mask, seed or 0
        self._entries = Entries(build_dataset(cfg, split, self.notes), self.notes)
        self.whole_image = self._check_pipelines()
        self.metainfo = self._entries.metainfo
        self.dataset_name = str(self.metainfo.get("dataset_name", ""))
        self.groups = self._joint_groups(datasets or {})
        contents = {path: read_content(path) for path in dict.fromkeys(self._entries.annotation_files())}
        self._sizes = {path: image_sizes(content) for path, content in contents.items()}  # file -> image id -> (H, W)
        self._leave_out_unusable(contents)
        del contents
        self._names = unique_ids(self._entries, self.notes)
        self._order = choose([name for name, _, _ in self._names], limit, seed, ids)
        self._looked_at: dict[int, tuple[int, str]] = {}  # part -> persons whose pixels were looked at, and their order
        self._annotations: dict[str, dict[str, list[Any]]] = {}  # file -> image id -> segmentations
        self._refuse_depth()
        self._note_peculiarities()

    def __len__(self) -> int:
        return len(self._order)

    def ids(self) -> list[str]:
        """Sample ids in order, without loading an image."""
        return [self._names[i][0] for i in self._order]

    def annotated(self) -> int:
        """How many joints of the selected persons are annotated (inside the input or not); no image is loaded."""
        return sum(int(annotated_joints(self._entries.stored(i)).sum()) for i in self._order)

    def fingerprint(self) -> str:
        """SHA-256 over the annotation files, also inside wrappers: other annotations, another run."""
        digest = hashlib.sha256()
        for path in self._entries.annotation_files():
            if not Path(path).is_file():
                digest.update(path.encode())
                continue
            with Path(path).open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()

    def first(self, count: int) -> list[Sample]:
        """The first samples of the whole data set that load, whatever was selected: the same for every selection."""
        samples: list[Sample] = []
        for index in range(len(self._names)):
            if len(samples) == count:
                break
            with suppress(DataError):  # a run that selects it will meet and record it
                samples.append(self._load(index))
        return samples

    def load(self, position: int) -> Sample:
        """The sample at a position of `ids()`.

        Raises:
            DataError: the image or the annotation cannot be read; it names the sample and the file.
        """
        return self._load(self._order[position])

    def _load(self, index: int) -> Sample:
        name, path = self._names[index][0], "?"
        try:
            info = self._entries.info(index)
            path = str(info.get("img_path", "?"))
            if os.path.exists(path) and not os.path.isfile(path):  # reading a device or a pipe would not end
                raise DataError("it is no file, but a folder, a pipe or a device. Correct its name")
            person = copy.copy(info)  # as annotated: transforms put other objects in their place
            with random_states_kept(stable_hash(f"{self._seed}/{name}")):  # of transforms that draw
                return self._made(index, person, info)
        except Exception as error:
            detail = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
            missing = "" if path == "?" or os.path.isfile(path) else " (no such file; see data_root and data_prefix)"
            raise DataError(f"sample {name}, image {path}{missing}: {detail}") from error

    def _check_pipelines(self) -> bool:
        """All can be run, or the run doesn't start; whether inputs are whole images."""
        for transforms in self._entries.pipelines():
            split_pipeline(transforms)
        return any(is_whole(t) for transforms in self._entries.pipelines() for t in transforms)

    def _made(self, index: int, person: Mapping[str, Any], info: dict[str, Any]) -> Sample:
        """The sample of an entry: `info` for its pipeline, `person` as annotated."""
        named, given = self._entries.joints(index), info.get("keypoints")
        if named is not None and given is not None and np.shape(given)[-2] != named:
            raise DataError(
                f"annotation {person.get('id')!r} has {np.shape(given)[-2]} joints in 'keypoints'; expected {named}, "
                "those that the data set's metainfo names. Complete the entry (v is 0 for what is not annotated)"
            )
        hide_placeless(info)
        crop = run_pipeline(self._entries.transforms(index), info)
        check_size(crop.original_size, self._stated_size(index), str(person.get("img_path", "")))
        pixels = crop.packed["inputs"]  # (C, h, w), as loaded
        data = {"inputs": [pixels], "data_samples": [crop.packed["data_samples"]]}
        # (C, H, W), padded to the right and below
        image = self._preprocess(data, False)["inputs"][0].detach().cpu().float()
        places, visible = _places(crop.results, pixels.shape[-1], pixels.shape[-2])
        keypoints, visible = self._true(crop.packed["data_samples"], places, visible)
        if len(keypoints) != len(self.groups.keypoint_names):
            raise DataError(
                f"the pipeline gives {len(keypoints)} joints, the metainfo of {self.dataset_name} names "
                f"{len(self.groups.keypoint_names)}. Give the data set the metainfo of the joints it is converted to"
            )
        mask, mask_source = self._mask(index, person, crop, places, pixels.shape[-2:], image.shape[-2:])
        name, image_id, instance_id = self._names[index]
        return Sample(
            sample_id=name,
            image_id=image_id,
            instance_id=instance_id,
            image_path=str(person.get("img_path", "")),
            image=image,
            display=display(
                pixels, image.shape[-2:], self._channels(index, crop, pixels, str(person.get("img_path", "")))
            ),
            keypoints=keypoints,
            visible=visible,
            mask=mask,
            mask_source=mask_source,
            inverse_warp=invert(crop.warp),
            extra=_extra(person, crop, places),
            pixels=places,
        )

    def _channels(self, index: int, crop: Crop, pixels: torch.Tensor, path: str) -> str:
        """Order of a pipeline's channels, '' where it cannot be told; looked at until it can, and noted once.

        A pipeline is that of an entry's part.
        """
        part = self._entries.part(index)
        looked, order = self._looked_at.get(part, (0, ""))
        if not order and looked < LOOKED_AT:
            order = order_of(pixels, crop, path)
            self._looked_at[part] = (looked + 1, order)
            found = [range_note(pixels, self._preprocess) if not looked else "", order_note(order, self._preprocess)]
            self.notes.extend(note for note in found if note and note not in self.notes)
        return order

    def _true(self, data_sample: Any, places: torch.Tensor, visible: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Of joints at (K, 2) px: truth (K, D), NaN where not annotated, and (K,) annotated inside the input."""
        truth = self._truth(data_sample)
        if truth is None:
            return places, visible
        points, given = truth
        if points.shape != (len(places), self.dimensions):
            raise DataError(
                f"the true joints have shape {tuple(points.shape)}; expected (K, D) = "
                f"{(len(places), self.dimensions)}, as many as the data set has keypoints and as many coordinates as "
                "the model gives (see the adapter's `truth`)"
            )
        points = points.float().where(given[:, None], torch.nan)
        return points, given & (visible | places.isnan().any(1))

    def _mask(
        self,
        index: int,
        person: Mapping[str, Any],
        crop: Crop,
        places: torch.Tensor,
        size: Sequence[int],
        padded: Sequence[int],
    ) -> tuple[torch.Tensor | None, str]:
        """(H, W) bool in the input frame, False in what the preprocessor padded, and its source."""
        source = self._mask_kind
        mask = None if source == "none" else self._annotated_mask(index, person, crop, size)
        if source == "joints" and mask is not None:
            source = "instance"
        elif source == "joints":
            mask = skeleton_mask(places.numpy(), self.groups.skeleton, (size[0], size[1]))
        if mask is None:
            return None, "none"
        result = torch.zeros(tuple(padded), dtype=torch.bool)
        result[: size[0], : size[1]] = torch.from_numpy(mask)
        return result, source

    def _annotated_mask(
        self, index: int, person: Mapping[str, Any], crop: Crop, size: Sequence[int]
    ) -> NDArray[np.bool_] | None:
        """(h, w) in the input frame, None where there is no segmentation, or one that cannot be read (see `notes`); a
        box is none if joints can be drawn.
        """
        segmentations = self._union(index) if self._mask_kind == "union" else [_segmentation(person)]
        if any(fault(s, crop.original_size) for s in segmentations):
            return None
        if self._mask_kind == "joints":
            segmentations = [s for s in segmentations if not is_box(s)]
        mask = union(rasterise(s, *crop.original_size) for s in segmentations)
        return None if mask is None else warp_mask(mask, crop.warp, size)

    def _union(self, index: int) -> list[Any]:
        """Segmentations of all persons of the entry's image, crowds and persons without keypoints included."""
        file = self._entries.annotation_file(index)
        if file not in self._annotations:
            images = {self._names[i][1] for i in self._order}
            by_image: dict[str, list[Any]] = {}
            for annotation in persons_of(read_content(file)):
                if str(annotation.get("image_id")) in images:  # all that is kept
                    by_image.setdefault(str(annotation["image_id"]), []).append(annotation.get("segmentation"))
            self._annotations[file] = by_image
        return self._annotations[file].get(self._names[index][1], [])

    def _stated_size(self, index: int) -> tuple[int, int] | None:
        """(H, W) of an entry's image by its annotation file, None where that says nothing."""
        image = str(self._entries.stored(index).get("img_id", ""))
        return self._sizes.get(self._entries.annotation_file(index), {}).get(image)

    def _leave_out_unusable(self, contents: Mapping[str, Content]) -> None:
        """Persons that cannot be diagnosed out of the entries, with a note.

        Raises:
            DataError: nobody is left.
        """
        if note := keep_usable(self._entries, contents):
            self.notes.append(f"persons: {note}")
            if not len(self._entries):
                raise DataError(f"the data set {self.dataset_name} holds no person that can be diagnosed: {note}")

    def _joint_groups(self, datasets: Mapping[str, JointGroups]) -> JointGroups:
        groups = datasets.get(self.dataset_name)
        if groups is None:
            found = joint_groups(self.metainfo)
            return replace(found, sigmas=sigmas_of(self.metainfo, len(found.keypoint_names)))
        names = [self.metainfo["keypoint_id2name"][i] for i in sorted(self.metainfo["keypoint_id2name"])]
        if list(groups.keypoint_names) != names:
            raise ConfigError(
                f"a plugin's joint groups for {self.dataset_name} name {len(groups.keypoint_names)} joints "
                f"{list(groups.keypoint_names)[:3]} ..., the data set has {len(names)}: {names[:3]} ...; they "
                "must be the same in the same order. Correct the plugin, or switch it off with --no-plugin"
            )
        return groups if groups.sigmas else replace(groups, sigmas=sigmas_of(self.metainfo, len(names)))

    def _refuse_depth(self) -> None:
        """Raise DataError where joints have a third coordinate: leaving it out would diagnose another task."""
        first = self._entries.stored(self._order[0]).get("keypoints") if self._order else None
        if first is not None and self.dimensions == 2 and np.shape(first)[-1] != 2:
            raise DataError(
                f"the keypoints of {self.dataset_name} have {np.shape(first)[-1]} coordinates; expected 2: "
                "(x, y) in px of the image. Take a data set of 2-D keypoints"
            )

    def _note_peculiarities(self) -> None:
        drawn = dict.fromkeys(t for transforms in self._entries.pipelines() for t in random_transforms(transforms))
        if drawn:
            self.notes.append(f"random transforms are in the pipeline ({', '.join(drawn)}); they are seeded by sample")
        if self.groups.derived:
            self.notes.append(f"joint groups of {self.dataset_name} were derived from its skeleton")
        self._note_placeless()
        self._note_turned()
        if self._mask_kind != "none":
            self._note_broken_segmentations()
            looked_at = (_segmentation(self._entries.stored(i)) for i in self._order[:LOOKED_AT])
            given = [s for s in looked_at if s and not fault(s, None)]
            if given and all(is_box(s) for s in given):
                self.notes.append(
                    f"the segmentations of {self.dataset_name} are upright boxes: FI compares box and surroundings"
                )

    def _note_broken_segmentations(self) -> None:
        faults = (fault(_segmentation(self._entries.stored(i)), self._stated_size(i)) for i in self._order)
        if broken := {self._names[i][0]: why for i, why in zip(self._order, faults, strict=True) if why}:
            name, why = next(iter(broken.items()))
            self.notes.append(
                f"{len(broken)} persons have a segmentation that cannot be read, such as {name}: {why}; they have no "
                "mask (expected polygons [[x0, y0, x1, y1, ...], ...] or run lengths dict(size=[H, W], counts=...))"
            )

    def _note_placeless(self) -> None:
        counts = [placeless_joints(self._entries.stored(i)) for i in self._order]
        if joints := sum(counts):
            self.notes.append(
                f"{joints} joints of {sum(map(bool, counts))} persons are marked as annotated at (0, 0), where "
                "exporters put missing ones: they are taken as not annotated (v is 0 for these)"
            )

    def _note_turned(self) -> None:
        """Whether joints were annotated on the image as stored or as turned, sizes tell in all other cases."""
        images = {str(self._entries.stored(i).get("img_path", "")): self._stated_size(i) for i in self._order}
        if turned := [path for path, size in images.items() if unknown_turn(size, path)]:
            self.notes.append(
                f"{len(turned)} of {len(images)} images have an EXIF orientation that mirrors them, or turns "
                f"them without a change of size, such as {Path(turned[0]).name}: see in the report's gallery "
                "that joints lie on the persons; if they do not, write the images without EXIF as annotated"
            )


def _places(results: Mapping[str, Any], width: int, height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """((K, 2) input px, NaN where not annotated; (K,) annotated and inside the crop's pixel centres)."""
    points = torch.as_tensor(np.asarray(results["transformed_keypoints"])[0, :, :2], dtype=torch.float32)
    given = np.asarray(results["keypoints_visible"])[0]  # (K,), or (K, 2) with weights beside
    annotated = torch.as_tensor((given if given.ndim == 1 else given[:, 0]) > 0)
    inside = ((points >= 0) & (points <= torch.tensor([width - 1.0, height - 1.0]))).all(1)
    return points.where(annotated[:, None], points.new_tensor(torch.nan)), annotated & inside


def _segmentation(person: Mapping[str, Any]) -> Any:
    own = person.get("segmentation")
    raw = person.get("raw_ann_info")
    return raw.get("segmentation") if own is None and isinstance(raw, Mapping) else own


def _extra(person: Mapping[str, Any], crop: Crop, places: torch.Tensor) -> dict[str, Any]:
    """What studies may want: box and area in original px, the box in input px (around the joints where there is none),
    the crop's centre and scale, and the annotation's own id."""
    box, area = person.get("bbox"), person.get("area")
    return {
        "bbox": None if box is None else [float(v) for v in np.asarray(box).reshape(-1, 4)[0]],  # x0, y0, x1, y1
        "input_bbox": _input_box(box, crop.warp, places),
        "whole_image": crop.whole_image,
        "area": None if area is None else float(np.ravel(area)[0]),
        "iscrowd": int(person.get("iscrowd", 0)),
        "input_center": [float(v) for v in crop.results["input_center"]],
        "input_scale": [float(v) for v in crop.results["input_scale"]],
        "ori_shape": crop.original_size,
        "annotation_id": person.get("id"),
    }


def _input_box(box: Any, warp: NDArray[np.float64], places: torch.Tensor) -> list[float] | None:
    """(x0, y0, x1, y1) in input px, upright around the warped corners; of the joints (K, 2) where there is no box."""
    if box is None:
        given = places[places.isfinite().all(1)]
        return [*given.amin(0).tolist(), *given.amax(0).tolist()] if len(given) else None
    x0, y0, x1, y1 = np.asarray(box, dtype=np.float64).reshape(-1, 4)[0]
    corners = np.array([[x0, y0, 1], [x1, y0, 1], [x0, y1, 1], [x1, y1, 1]]) @ warp.T  # (4, 2)
    return [float(v) for v in (*corners.min(0), *corners.max(0))]
