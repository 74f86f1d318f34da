"""Any MMPose config's test data as samples: one person each, with what a diagnosis needs and MMPose leaves behind."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from ..checks import Note
from ..errors import ConfigError, DataError, did_you_mean
from ..seeding import random_states_kept, stable_hash
from ..types import JointGroups, Sample
from ..video import video_of
from .annotations import Content, corner_note, image_sizes, read_content, segmentations_by_image
from .building import build_dataset
from .crops import (
    Crop,
    about_person,
    invert,
    is_whole,
    pixels_in_image,
    places_of,
    random_transforms,
    run_pipeline,
    split_pipeline,
)
from .entries import Entries, choose, unique_ids
from .groups import groups_of
from .image_files import cause_of
from .peculiarities import odd_persons
from .person_masks import MASKS, PersonMasks, segmentation_of
from .pixels import ChannelOrders, display
from .sizes import Turns, check_size
from .usable import PersonCounts, annotated_joints, hide_placeless, keep_usable


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
        ids: only these samples, in this order; 'published': the 320 persons of COCO val2017 that the published numbers
            are of.
        datasets: joint groups from plugins, by `dataset_name`; they win over those found by joint names.
        truth: `CoordinateAdapter.truth`: data sample -> true points (K, D) and which are annotated; None: all models'
            of 2D, whose truth is where the joints appear.
        dimensions: D of the truth.

    Attributes:
        groups: names, groups and chains of the joints.
        metainfo: MMPose's own.
        dataset_name, dimensions: for run.json.
        notes: sentences on what is odd about the data, for run.json.
        channels: which pixels the pipelines give.
        persons: how many are annotated and used, and why the others are not; None where that is not looked at.
        unloadable: why samples that `first` came by could not be loaded.
        whole_image: inputs hold whole images, other persons and all, and differ in size.
        frames: whether samples are frames of videos, so that some follow others in time.
        annotations: whether joints are annotated; else the model's own prediction stands in their place.

    Raises:
        ConfigError: the config has no such dataloader, or an id or a choice is unknown.
        DataError: the annotations are missing or hold no person, or the pipeline is neither top-down nor bottom-up.

    Example::

        source = SampleSource(Config.fromfile('config.py'), preprocess=model.data_preprocessor, limit=10)
        sample = source.load(0)  # sample.pixels (K, 2) and sample.mask (H, W) in input px
    """

    annotations: ClassVar[bool] = True
    frames: bool = False

    def __init__(
        self,
        cfg: Any,
        *,
        preprocess: Callable[..., dict[str, Any]],
        split: str = "test",
        mask: str = "instance",
        limit: int | None = None,
        seed: int | None = None,
        ids: Sequence[str] | str | None = None,
        datasets: Mapping[str, JointGroups] | None = None,
        truth: Callable[[Any], tuple[torch.Tensor, torch.Tensor] | None] | None = None,
        dimensions: int = 2,
    ) -> None:
        if mask not in MASKS:
            raise ConfigError(f"diagnosis.samples.mask is {mask!r}, which is unknown; {did_you_mean(mask, MASKS)}")
        self.notes: list[str] = []
        self.persons: PersonCounts | None = None
        self._truth, self.dimensions = truth or (lambda data_sample: None), dimensions
        self.unloadable: list[str] = []
        self._preprocess, self._seed = preprocess, seed or 0
        self._entries = Entries(self._dataset(cfg, split), self.notes)
        self.whole_image = self._check_pipelines()
        self.metainfo = self._entries.metainfo
        self.dataset_name = str(self.metainfo.get("dataset_name", ""))
        self.groups = groups_of(self.dataset_name, self.metainfo, (datasets or {}).get(self.dataset_name))
        self._masks = PersonMasks(mask, self.groups.skeleton)
        digest = hashlib.sha256()
        contents = {path: read_content(path, digest) for path in self._entries.annotation_files()}
        self._fingerprint = digest.hexdigest()
        self._sizes = {path: image_sizes(content) for path, content in contents.items()}  # file -> image id -> (H, W)
        self._leave_out_unusable(contents)
        self._names = unique_ids(self._entries, self.notes)
        self._order = choose([name for name, _, _ in self._names], limit, seed, ids)
        self._segmentations: dict[str, dict[str, list[Any]]] = {}  # file -> image id -> of all persons in it
        if mask == "union":
            images = {self._names[i][1] for i in self._order}
            self._segmentations = {path: segmentations_by_image(c, images) for path, c in contents.items()}
        del contents
        self.channels = ChannelOrders(preprocess, self.notes)
        self._turns = Turns()
        self._refuse_depth()
        self._note_peculiarities()

    def __len__(self) -> int:
        return len(self._order)

    @property
    def total(self) -> int:
        """How many persons of the data set can be diagnosed, selected or not."""
        return len(self._names)

    def ids(self) -> list[str]:
        """Sample ids in order, without loading an image."""
        return [self._names[i][0] for i in self._order]

    def annotated(self) -> int:
        """How many joints of the selected persons are annotated (inside the input or not); no image is loaded."""
        return sum(int(annotated_joints(self._entries.stored(i)).sum()) for i in self._order)

    def fingerprint(self) -> str:
        """SHA-256 over the annotation files, also inside wrappers: other annotations, another run."""
        return self._fingerprint

    def loading_notes(self) -> list[str]:
        """What was odd about the images that were loaded so far."""
        return self._turns.notes()

    def first(self, count: int) -> list[Sample]:
        """The first samples of the whole data set that load, whatever was selected: the same for every selection."""
        samples: list[Sample] = []
        for index in range(len(self._names)):
            if len(samples) == count:
                break
            try:
                samples.append(self._load(index))
            except DataError as error:  # a run that selects it will meet and record it
                self.unloadable.append(str(error))
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
                raise DataError(
                    "it is no file, but a folder, a pipe or a device; give the file (file_name in the annotation file)"
                )
            person = copy.copy(info)  # as annotated: transforms put other objects in their place
            with random_states_kept(stable_hash(f"{self._seed}/{name}")):  # of transforms that draw
                return self._made(index, person, info)
        except Exception as error:
            detail = str(error) if isinstance(error, DataError) else cause_of(path, f"{type(error).__name__}: {error}")
            there = path in ("", "?") or os.path.isfile(video_of(path)[0])
            missing = "" if there else " (no such file; see data_root and data_prefix)"
            raise DataError(f"sample {name}, image {path}{missing}: {detail}") from error

    def _dataset(self, cfg: Any, split: str) -> Any:
        """What the entries are of."""
        return build_dataset(cfg, split, self.notes)

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
        path, size = str(person.get("img_path", "")), self._stated_size(index)
        check_size(crop.original_size, size, path)
        self._turns.look_at(path, size)
        pixels = crop.packed["inputs"]  # (C, h, w), as loaded
        data = {"inputs": [pixels], "data_samples": [crop.packed["data_samples"]]}
        # (C, H, W), padded to the right and below
        image = self._preprocess(data, False)["inputs"][0].detach().cpu().float()
        keypoints, visible, places = self._joints(crop, pixels, image)
        if len(keypoints) != len(self.groups.keypoint_names):
            raise DataError(
                f"the pipeline gives {len(keypoints)} joints, the metainfo of {self.dataset_name} names "
                f"{len(self.groups.keypoint_names)}. Give the data set the metainfo of the joints it is converted to"
            )
        sizes = (pixels.shape[-2:], image.shape[-2:])
        mask, mask_source = self._masks.of(self._segmentations_of(index, person), crop, places, *sizes)
        extra = about_person(person, crop, places)
        if self._masks.kind == "union":
            own = PersonMasks("instance", self.groups.skeleton)
            extra["own_mask"], _ = own.of([segmentation_of(person)], crop, places, *sizes)
        name, image_id, instance_id = self._names[index]
        return Sample(
            sample_id=name,
            image_id=image_id,
            instance_id=instance_id,
            image_path=path,
            image=image,
            display=display(pixels, image.shape[-2:], self.channels.of(self._entries.part(index), pixels, crop, path)),
            keypoints=keypoints,
            visible=visible,
            mask=mask,
            mask_source=mask_source,
            inverse_warp=invert(crop.warp),
            extra=extra,
            pixels=places,
            in_image=pixels_in_image(crop, pixels.shape[-2:], image.shape[-2:]),
            annotated=self.annotations,
        )

    def _joints(
        self, crop: Crop, pixels: torch.Tensor, image: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Truth (K, D), visible (K,) and places in the input (K, 2) px, of pixels (C, h, w) and input (C, H, W)."""
        places, visible = places_of(crop.results, pixels.shape[-1], pixels.shape[-2])
        return *self._true(crop.packed["data_samples"], places, visible), places

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

    def _segmentations_of(self, index: int, person: Mapping[str, Any]) -> list[Any]:
        """The person's own; with 'union' those of all persons of the image, crowds and others without keypoints too."""
        if self._masks.kind != "union":
            return [segmentation_of(person)]
        return self._segmentations.get(self._entries.annotation_file(index), {}).get(self._names[index][1], [])

    def _stated_size(self, index: int) -> tuple[int, int] | None:
        """(H, W) of an entry's image by its annotation file, None where that says nothing."""
        image = str(self._entries.stored(index).get("img_id", ""))
        return self._sizes.get(self._entries.annotation_file(index), {}).get(image)

    def _leave_out_unusable(self, contents: Mapping[str, Content]) -> None:
        """Persons that cannot be diagnosed out of the entries, counted.

        Raises:
            DataError: nobody is left.
        """
        self.notes += [Note(text, "images") for content in contents.values() if (text := corner_note(content))]
        self.persons = self._count_usable(contents)
        if not len(self._entries):
            where = f"the data set {self.dataset_name} holds" if self.annotations else "the pictures hold"
            raise DataError(f"{where} no person that can be diagnosed: {self.persons}")

    def _count_usable(self, contents: Mapping[str, Content]) -> PersonCounts:
        """Take the others out of the entries, and count them."""
        return keep_usable(self._entries, contents)

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
            text = f"joint groups of {self.dataset_name} were derived from its skeleton"
            self.notes.append(Note(text, "joints", "ok"))
        self._note_persons()

    def _note_persons(self) -> None:
        persons = ((self._names[i][0], self._entries.stored(i), self._stated_size(i)) for i in self._order)
        self.notes += odd_persons(persons, self.dataset_name, masks=self._masks.kind != "none")
