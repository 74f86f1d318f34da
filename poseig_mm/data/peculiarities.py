"""What is odd about the persons that were selected, counted, one look at each; no image is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..checks import Note
from .masks import fault, flat_rings, is_box
from .person_masks import segmentation_of
from .usable import placeless_joints

LOOKED_AT = 20  # persons who are looked at to tell masks from boxes

Person = tuple[str, Mapping[str, Any], tuple[int, int] | None]  # sample id, entry, (H, W) of its image as stated


def odd_persons(persons: Iterable[Person], dataset_name: str, *, masks: bool) -> list[Note]:
    """Sentences on joints without a place, and on segmentations that cannot be read or are boxes.

    Args:
        persons: the selected ones.
        dataset_name: for the sentences.
        masks: whether segmentations are asked for.
    """
    placeless: list[int] = []
    broken: list[str] = []
    flat: list[str] = []
    boxes: list[bool] = []
    for number, (name, entry, size) in enumerate(persons):
        if joints := placeless_joints(entry):
            placeless.append(joints)
        segmentation = segmentation_of(entry) if masks else None
        if why := fault(segmentation, size):
            broken.append(f"{name}: {why}")
            continue
        if flat_rings(segmentation):
            flat.append(name)
        if segmentation and number < LOOKED_AT:
            boxes.append(is_box(segmentation))
    notes = []
    if placeless:
        text = (
            f"{sum(placeless)} joints of {len(placeless)} persons are marked as annotated at (0, 0), where "
            "exporters put missing ones: they are taken as not annotated (v is 0 for these)"
        )
        notes.append(Note(text, "persons"))
    if broken:
        text = (
            f"{len(broken)} persons have a segmentation that cannot be read, such as {broken[0]}; they have no "
            "mask (expected polygons [[x0, y0, x1, y1, ...], ...] or run lengths dict(size=[H, W], counts=...))"
        )
        notes.append(Note(text, "masks"))
    if flat:
        text = (
            f"{len(flat)} persons have rings of fewer than 3 points in their segmentation, such as {flat[0]}: these "
            "have no area and are left out, and the mask is that of the other rings"
        )
        notes.append(Note(text, "masks"))
    if boxes and all(boxes):
        text = f"the segmentations of {dataset_name} are upright boxes: FI compares box and surroundings"
        notes.append(Note(text, "masks"))
    return notes
