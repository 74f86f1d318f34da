"""The persons of a data set, also inside wrappers: each once, with a stable id."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import ConfigError, did_you_mean

# what CombinedDataset writes over its parts' own, before its pipeline
_SHARED_METAINFO = ("upper_body_ids", "lower_body_ids", "flip_pairs", "dataset_keypoint_weights", "flip_indices")


@dataclass(frozen=True)
class _Part:
    """A data set that reads annotations, and the wrappers around it that have a pipeline, from the inside out."""

    dataset: Any
    wrappers: tuple[Any, ...]

    @property
    def transforms(self) -> list[Any]:
        """All transforms an entry goes through, the wrappers' metainfo put in between."""
        transforms = list(self.dataset.pipeline.transforms)
        for wrapper in self.wrappers:
            transforms += [_metainfo_of(wrapper), *wrapper.pipeline.transforms]
        return transforms


def _metainfo_of(wrapper: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    shared = {key: wrapper.metainfo[key] for key in _SHARED_METAINFO if key in wrapper.metainfo}
    return lambda results: {**results, **shared, "dataset": wrapper}


class Entries:
    """Every person of a built data set once: repetition and resampling of wrappers are for training.

    Args:
        dataset: an MMPose data set, or CombinedDataset, ConcatDataset, RepeatDataset, ClassBalancedDataset around
            others.
        notes: gets a sentence where a wrapper repeats.
    """

    def __init__(self, dataset: Any, notes: list[str]) -> None:
        self.metainfo: Mapping[str, Any] = dataset.metainfo
        self._parts = list(_parts(dataset))
        self._index = [(p, i) for p, part in enumerate(self._parts) for i in range(len(part.dataset))]
        if len(self._index) != len(dataset):
            kind = type(dataset).__name__
            notes.append(f"{kind} gives {len(dataset)} entries of {len(self._index)} persons: each is taken once")

    def __len__(self) -> int:
        return len(self._index)

    def leave_out(self, indices: Collection[int]) -> None:
        """Take some entries away; the others move up."""
        gone = set(indices)
        self._index = [place for i, place in enumerate(self._index) if i not in gone]

    def part(self, index: int) -> int:
        """Which of the data sets inside wrappers an entry is of."""
        return self._index[index][0]

    def joints(self, index: int) -> int | None:
        """How many an entry should have, by its own data set's metainfo; None where that says nothing."""
        return self._joint_counts[self.part(index)]

    @cached_property
    def _joint_counts(self) -> list[int | None]:
        """Of each part: a data set copies its metainfo whenever it is asked for it."""
        counts = [(getattr(p.dataset, "metainfo", None) or {}).get("num_keypoints") for p in self._parts]
        return [None if count is None else int(count) for count in counts]

    def stored(self, index: int) -> dict[str, Any]:
        """An entry as the data set holds it; no image is read and no metainfo added."""
        from mmengine.dataset import BaseDataset

        part, i = self._index[index]
        dataset = self._parts[part].dataset
        plain = isinstance(dataset, BaseDataset)
        entry: dict[str, Any] = BaseDataset.get_data_info(dataset, i) if plain else dataset.get_data_info(i)
        return entry

    def info(self, index: int) -> dict[str, Any]:
        """An entry as its pipeline wants it."""
        part, i = self._index[index]
        dataset = self._parts[part].dataset
        return {**dataset.get_data_info(i), "dataset": dataset}

    def transforms(self, index: int) -> list[Any]:
        """What an entry goes through."""
        return self._parts[self._index[index][0]].transforms

    def pipelines(self) -> list[list[Any]]:
        """The transforms of each part."""
        return [part.transforms for part in self._parts]

    def annotation_file(self, index: int) -> str:
        """Where an entry comes from."""
        return str(getattr(self._parts[self._index[index][0]].dataset, "ann_file", "") or "")

    def annotation_files(self) -> list[str]:
        """All of them, in a stable order."""
        return [str(part.dataset.ann_file) for part in self._parts if getattr(part.dataset, "ann_file", None)]


def _parts(dataset: Any, wrappers: tuple[Any, ...] = ()) -> Iterator[_Part]:
    inner = getattr(dataset, "datasets", None) or [d for d in [getattr(dataset, "dataset", None)] if d is not None]
    if not inner:
        yield _Part(dataset, wrappers)
        return
    outer = (dataset, *wrappers) if hasattr(dataset, "pipeline") and dataset.pipeline.transforms else wrappers
    for one in inner:
        yield from _parts(one, outer)


def unique_ids(entries: Entries, notes: list[str]) -> list[tuple[str, str, str]]:
    """(sample id, image id, instance id) of every entry; the sample id is '<image id>-<instance id>'.

    Entries without ids have their number in the data set; of several with the same id the second ends in '-2', and so
    on.
    """
    ids: list[tuple[str, str, str]] = []
    used: dict[str, int] = {}
    repeated = 0
    for i in range(len(entries)):
        info = entries.stored(i)
        image, instance = str(info.get("img_id", i)), str(info.get("id", i))
        base = name = f"{image}-{instance}"
        if base in used:
            repeated += 1
        while name in used:
            used[base] += 1
            name = f"{base}-{used[base]}"
        used[name] = 1
        ids.append((name, image, instance))
    if repeated:
        notes.append(
            f"{repeated} entries repeat the image and instance id of an earlier one; theirs end in -2, -3, ..."
        )
    return ids


# The published numbers are of these batches of 16 persons, counted from 0 in the order of the annotation file.
_PUBLISHED_BATCHES = (2, 7, 36, 125, 128, 162, 165, 170, 174, 204, 226, 265, 286, 292, 295, 302, 324, 332, 333, 345)
_PUBLISHED_BATCH = 16
_VAL2017_PERSONS = 6352  # of COCO val2017: no crowds, with an annotated joint


def published_positions(persons: int) -> list[int]:
    """Positions of the 320 persons of COCO val2017 that the published numbers are of.

    Args:
        persons: how many the data set has.

    Raises:
        ConfigError: not as many as COCO val2017 has, so that the batches would hold others.

    >>> found = published_positions(6352)
    >>> len(found), found[:2], found[15:17], found[-1]
    (320, [32, 33], [47, 112], 5535)
    """
    if persons != _VAL2017_PERSONS:
        raise ConfigError(
            f"diagnosis.samples.ids is 'published': {len(_PUBLISHED_BATCHES)} fixed batches of {_PUBLISHED_BATCH} of "
            f"the {_VAL2017_PERSONS} persons of COCO val2017 (no crowds, with an annotated joint), in the order of "
            f"person_keypoints_val2017.json; got a data set of {persons}. Take that file as it is, or name the "
            "samples: ids=['<image id>-<instance id>', ...]"
        )
    return [_PUBLISHED_BATCH * batch + i for batch in _PUBLISHED_BATCHES for i in range(_PUBLISHED_BATCH)]


def choose(all_ids: Sequence[str], limit: int | None, seed: int | None, ids: Sequence[str] | str | None) -> list[int]:
    """Positions in the data set, in the order asked for: named ones, else all (shuffled by the seed), then the first N.

    'published' names those of `published_positions`.

    >>> choose(["a", "b", "c"], 2, None, None), choose(["a", "b", "c"], None, None, ["c", "a"])
    ([0, 1], [2, 0])

    Raises:
        ConfigError: an unknown id, or a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"diagnosis.samples.limit is {limit}; expected at least 1, or None for all")
    if ids is None:
        order = range(len(all_ids)) if seed is None else np.random.default_rng(seed).permutation(len(all_ids))
        return [int(i) for i in order][:limit]
    if ids == "published":
        return published_positions(len(all_ids))[:limit]
    index = {name: i for i, name in enumerate(all_ids)}
    unknown = [str(name) for name in ids if str(name) not in index]
    if unknown:
        near = did_you_mean(unknown[0], all_ids) if len(all_ids) < 1000 else f"they look like {all_ids[0]!r}"
        raise ConfigError(f"diagnosis.samples.ids names {unknown[0]!r}, which the data set does not have; {near}")
    return [index[name] for name in dict.fromkeys(map(str, ids))][:limit]
