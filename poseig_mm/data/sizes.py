"""Whether an image is the one that was annotated, by its size."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..errors import DataError

_WITH_EXIF = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".tif", ".tiff", ".webp")
_ORIENTATION = 0x0112  # EXIF's tag: 1 upright, 2 and 4 mirrored, 3 upside down, from 5 on on its side
_ASPECT = 0.01  # by which a resized image's sides may differ in proportion, for rounding


def orientation(path: str) -> int:
    """An image's EXIF orientation, 1 where it has none."""
    from PIL import Image

    if Path(path).suffix.lower() in _WITH_EXIF and os.path.isfile(path):  # a pipe would wait
        with suppress(Exception), Image.open(path) as image:
            return int(image.getexif().get(_ORIENTATION, 1))
    return 1


def check_size(loaded: tuple[int, int], stated: tuple[int, int] | None, path: str) -> None:
    """Raise where an image is not of the size that its annotations are made for.

    Joints, boxes and masks are px of the stated size, and MMPose clips boxes to it: in another image all would be
    elsewhere, and every number of the person wrong.

    Args:
        loaded: (H, W) as the pipeline loads it, turned by EXIF or not.
        stated: (H, W) by the annotation file's `images`; None where it says nothing.
        path: of the image.

    Raises:
        DataError: they differ; with the likely cause.
    """
    if stated is None or loaded == stated:
        return
    (height, width), (stated_height, stated_width) = loaded, stated
    turned = orientation(path)
    if loaded == stated[::-1] and turned > 4:
        cause = f"its EXIF orientation ({turned}) turns it by 90 degrees, in loading or before the annotation"
        remedy = "Write the image without EXIF as it was annotated, or change color_type of LoadImage"
    elif loaded == stated[::-1]:
        cause, remedy = "it was turned by 90 degrees after the annotation", "Turn it back"
    elif abs(width * stated_height - height * stated_width) <= _ASPECT * width * stated_height:
        cause = f"it was resized by {width / stated_width:.3g} after the annotation"
        remedy = "Give the original images, or scale keypoints, boxes and segmentations with them"
    else:
        cause, remedy = "it is another image, or was cropped", "Give the images that were annotated (data_prefix)"
    raise DataError(
        f"the image is {width} x {height} px, but was annotated as {stated_width} x {stated_height} (width and height "
        f"in `images` of the annotation file): {cause}, and joints, box and mask would be elsewhere. "
        f"{remedy}; where the annotation file alone is wrong, correct it there"
    )


class Turns:
    """Images that EXIF turns or mirrors in a way that nobody can check, as they are loaded."""

    def __init__(self) -> None:
        self._turned: dict[str, bool] = {}  # path -> whether it is; each is looked at once

    def look_at(self, path: str, size: tuple[int, int] | None) -> None:
        """Take note of an image, and of its size (H, W) by the annotation file."""
        if path not in self._turned:
            self._turned[path] = unknown_turn(size, path)

    def notes(self) -> list[str]:
        """A sentence with how many there were so far; none where there were none."""
        turned = [path for path, is_turned in self._turned.items() if is_turned]
        if not turned:
            return []
        return [
            f"{len(turned)} of {len(self._turned)} images that were loaded have an EXIF orientation that mirrors them, "
            f"or turns them without a change of size, such as {Path(turned[0]).name}: see in the report's gallery "
            "that joints lie on the persons; if they do not, write the images without EXIF as annotated"
        ]


def unknown_turn(size: tuple[int, int] | None, path: str) -> bool:
    """Whether EXIF turns or mirrors an image in a way that its size does not betray."""
    turned = orientation(path)
    return turned in (2, 3, 4) or (turned > 4 and (size is None or size[0] == size[1]))
