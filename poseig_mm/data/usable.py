"""Which persons of a data set can be diagnosed: annotated in px, in a box, once; the others are counted by cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .annotations import (
    NORMAL_CAUSES,
    SHARED_IMAGE,
    SHARES,
    Content,
    counted,
    file_names,
    left_out,
    persons_of,
    shared_images,
)
from .entries import Entries


@dataclass(frozen=True)
class PersonCounts:
    """How many persons are annotated, and by cause how many of them are not used.

    >>> counts = PersonCounts(3, {"crowd": 1})
    >>> str(counts), counts.odd
    ('3 annotated, 2 used: 1 crowd', False)
    >>> PersonCounts(3, {"crowd": 1, "empty or negative box": 1}).odd
    True
    """

    annotated: int
    left_out: Mapping[str, int]  # cause -> persons
    word: str = "annotated"  # what they are

    @property
    def used(self) -> int:
        """How many are left."""
        return self.annotated - sum(self.left_out.values())

    @property
    def odd(self) -> bool:
        """Whether a cause is other than what data sets hold, crowds and persons without keypoints."""
        return not NORMAL_CAUSES.issuperset(self.left_out)

    def __str__(self) -> str:
        return counted(self.annotated, self.left_out, self.word)


def keep_usable(entries: Entries, contents: Mapping[str, Content]) -> PersonCounts:
    """Take the others out of the entries.

    Args:
        entries: loses those that cannot be diagnosed.
        contents: annotation file -> what it holds, where it is COCO's.

    Returns:
        How many were annotated, and why some are left out.
    """
    causes: Counter[str] = Counter()
    unfit: list[int] = []
    alike: dict[tuple[Any, ...], list[int]] = {}
    paths: dict[int, str] = {}
    used: dict[str, set[tuple[str, str]]] = {path: set() for path in contents}
    shared = {path: shared_images(content) for path, content in contents.items()}
    unread = 0
    for i in range(len(entries)):
        entry, file = entries.stored(i), entries.annotation_file(i)
        person = (str(entry.get("img_id", i)), str(entry.get("id", i)))
        if cause := SHARED_IMAGE if person[0] in shared.get(file, ()) else _unfit(entry):
            causes[cause] += 1
            unfit.append(i)
        else:
            places = b"" if entry.get("keypoints") is None else np.asarray(entry["keypoints"]).tobytes()
            alike.setdefault((entries.part(i), *person, places), []).append(i)
            paths[i] = str(entry.get("img_path", ""))
        if contents.get(file):
            used[file].add(person)
        else:
            unread += 1
    for (_, image, *_rest), same in alike.items():
        if len(same) > 1:  # COCO's reader gives the last of several with one id in the place of each
            name = file_names(contents.get(entries.annotation_file(same[0]), {})).get(image, "")
            right = next((i for i in same if paths[i].endswith(name)), same[0])
            unfit += [i for i in same if i != right]
            if not contents.get(entries.annotation_file(same[0])):
                causes["person that is there already"] += len(same) - 1
    annotated = unread
    for file, content in contents.items():
        causes.update(left_out(content, used[file]))
        annotated += len(persons_of(content))
    entries.leave_out(unfit)
    return PersonCounts(annotated, causes)


def _unfit(entry: Mapping[str, Any]) -> str:
    """Why a person cannot be diagnosed, '' where it can."""
    if entry.get("bbox") is not None:
        box = np.asarray(entry["bbox"], dtype=np.float64).reshape(-1, 4)[0]  # x0, y0, x1, y1
        sides = box[2:] - box[:2]
        if not np.isfinite(box).all():
            return "box that is not a number"
        if (sides <= 0).any():
            return "empty or negative box"
        if box.min() >= 0 and box.max() <= 2 and sides.max() <= 1:
            return f"box {SHARES}"
    if entry.get("keypoints") is not None:
        shown = annotated_joints(entry)
        places = np.asarray(entry["keypoints"], dtype=np.float64)[..., :2][shown]
        if len(places) and places.min() >= 0 and places.max() <= 1:
            return f"person whose keypoints are {SHARES}"
    return ""


def annotated_joints(entry: Mapping[str, Any]) -> NDArray[np.bool_]:
    """(1, K) bool: joints that are marked as annotated and have a place.

    (0, 0) is where exporters put joints that are missing, whatever visibility they write beside it.

    >>> annotated_joints({"keypoints": [[[0, 0], [3, 0], [3, 4]]], "keypoints_visible": [[1, 1, 0]]}).tolist()
    [[False, True, False]]
    """
    given = _visibility(entry) > 0
    shown: NDArray[np.bool_] = given & (np.asarray(entry["keypoints"])[..., :2] != 0).any(-1)
    return shown


def placeless_joints(entry: Mapping[str, Any]) -> int:
    """How many joints are marked as annotated at (0, 0); 0 of an entry that gets its joints when it is loaded.

    >>> placeless_joints({"keypoints": [[[0, 0], [3, 0]]], "keypoints_visible": [[1, 1]]}), placeless_joints({"id": 3})
    (1, 0)
    """
    if entry.get("keypoints") is None:
        return 0
    return int((_visibility(entry) > 0).sum() - annotated_joints(entry).sum())


def hide_placeless(entry: dict[str, Any]) -> None:
    """Mark joints at (0, 0) as not annotated, in place."""
    if placeless_joints(entry):
        given = np.array(entry["keypoints_visible"])
        given[~annotated_joints(entry)] = 0
        entry["keypoints_visible"] = given


def _visibility(entry: Mapping[str, Any]) -> NDArray[Any]:
    """(1, K), without weights that stand beside it."""
    given = np.asarray(entry["keypoints_visible"])
    return given if given.ndim == 2 else given[..., 0]
