"""The image files that rows were computed from, as they were: a resumed run goes on with the same ones."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

ImageMark = tuple[int, int, int]  # size in bytes, time of change in ns, CRC-32


def image_marks(paths: Iterable[str]) -> dict[str, ImageMark]:
    """Path -> how the file is now; without those that are no files here."""
    marks = {}
    for path in dict.fromkeys(paths):
        if path and (mark := _mark(Path(path))) is not None:
            marks[path] = mark
    return marks


def changed_images(marks: Iterable[tuple[str, ImageMark]]) -> dict[str, str]:
    """Path -> what is different, of files that are others than they were.

    A file of the same size and time is the same; one of another time (a copy) is read, and its content decides.  What
    is gone is not compared.
    """
    changed: dict[str, str] = {}
    for path, (size, changed_at, checksum) in dict.fromkeys(marks):
        try:
            now = Path(path).stat()
        except OSError:
            continue
        if now.st_size != size:
            changed[path] = f"had {size} bytes and has {now.st_size} now"
        elif now.st_mtime_ns != changed_at and (mark := _mark(Path(path))) is not None and mark[2] != checksum:
            changed[path] = "has the same size, but other content"
    return changed


def read_marks(given: object) -> Mapping[str, ImageMark]:
    """Marks as they stand in a part's manifest; none where it has none, as up to 0.2.0.

    Raises:
        ValueError, TypeError: these are no marks.
    """
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise TypeError(f"marks of images are a {type(given).__name__}")
    return {str(path): (int(size), int(time), int(checksum)) for path, (size, time, checksum) in given.items()}


def _mark(path: Path) -> ImageMark | None:
    try:
        about = path.stat()
        checksum = 0
        with path.open("rb") as file:
            while block := file.read(2**20):
                checksum = zlib.crc32(block, checksum)
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns, checksum
