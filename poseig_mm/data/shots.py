"""Which pictures and frames paths, folders, globs and videos name, each with its id and its size."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..video import SUFFIXES as VIDEO_SUFFIXES
from ..video import VideoFacts, VideoReader, frame_name
from .sizes import orientation

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


@dataclass(frozen=True)
class Shot:
    """One picture, or one frame of a video.

    Args:
        path: of the file; of a frame as `video.frame_name`.
        image_id: unique in a run: a picture's file name, a frame's number (with its video's name where there are
            several).
        size: (H, W) px, upright; None where the file cannot be read as a picture.
        scene: of a frame, how many cuts lie before it in its video.
        pixels: (H, W, 3) uint8 BGR, where it is in no file.
    """

    path: str
    image_id: str
    size: tuple[int, int] | None
    scene: int = 0
    pixels: NDArray[np.uint8] | None = None


def find_shots(images: Sequence[str], every: int = 1, notes: list[str] | None = None) -> list[Shot]:
    """The pictures and frames that are named, in order.

    Args:
        images: each a picture, a folder of pictures (those in it, not those in its folders), a glob (`**` goes into
            folders), or a video.
        every: of a video, one frame in so many, from the first one on.
        notes: gets a sentence where a video is shorter than it says.

    Raises:
        DataError: a name that names nothing, or no picture.
    """
    files = list(dict.fromkeys(file for name in images for file in _files(name)))
    videos = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
    names = _unique_names(files)
    shots = []
    for file, name in zip(files, names, strict=True):
        if file not in videos:
            shots.append(Shot(str(file), name, picture_size(str(file))))
            continue
        facts = VideoReader(str(file)).facts()
        if notes is not None and facts.stated > facts.frames:
            notes.append(f"{file} says that it has {facts.stated} frames; {facts.frames} can be read")
        alone = len(files) == 1
        frames = _frames(file, facts, every)
        shots += frames if alone else [replace(shot, image_id=f"{name}#{shot.image_id}") for shot in frames]
    return shots


def _frames(file: Path, facts: VideoFacts, every: int) -> list[Shot]:
    """The shots of a video, with their number as id."""
    return [
        Shot(frame_name(str(file), n), str(n), facts.size, sum(cut <= n for cut in facts.cuts))
        for n in range(0, facts.frames, every)
    ]


def _files(name: str) -> list[Path]:
    """The files that one name names.

    Raises:
        DataError: none, or a file that is neither picture nor video.
    """
    path = Path(name)
    known = (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES)
    if path.is_dir():
        inside = sorted(file for file in path.iterdir() if file.is_file())
        if pictures := [file for file in inside if file.suffix.lower() in PICTURE_SUFFIXES]:
            return pictures
        kinds = ", ".join(f"{n} {kind or 'without a suffix'}" for kind, n in Counter(f.suffix for f in inside).items())
        raise DataError(
            f"folder {name} holds no picture ({kinds or 'no file at all'}); expected files that end in "
            f"{', '.join(PICTURE_SUFFIXES)}. Pictures in folders inside it: '{path / '**' / '*.jpg'}' in quotes"
        )
    if path.is_file():
        if path.suffix.lower() not in known:
            raise DataError(f"{name} is no picture and no video by its name; expected {', '.join(known)}")
        return [path]
    matches = sorted(Path(match) for match in glob.glob(name, recursive=True)) if glob.has_magic(name) else []
    if found := [file for file in matches if file.is_file() and file.suffix.lower() in known]:
        return found
    what = f"glob {name} matches no picture and no video" if glob.has_magic(name) else f"there is no file {name}"
    raise DataError(f"{what} (in {Path.cwd()}); give a picture, a folder, a glob in quotes, or a video")


def _unique_names(files: Sequence[Path]) -> list[str]:
    """File names, with as many folders before them as tell them apart."""
    counts = Counter(file.name for file in files)
    return [file.name if counts[file.name] == 1 else file.as_posix() for file in files]


def picture_size(path: str) -> tuple[int, int] | None:
    """(H, W) px of a picture as MMPose loads it, upright by its EXIF; None where the file cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        try:
            height, width = read_picture(path).shape[:2]  # of a format that Pillow does not know
        except DataError:
            return None
        return height, width
    return (width, height) if orientation(path) >= 5 else (height, width)


def read_picture(path: str) -> NDArray[np.uint8]:
    """A picture (H, W, 3) uint8 BGR, upright, as MMPose's loader reads it.

    Raises:
        DataError: OpenCV cannot read it.
    """
    import cv2

    pixels = cv2.imread(path, cv2.IMREAD_COLOR)
    if pixels is None:
        raise DataError(f"{path} cannot be read as a picture")
    return np.asarray(pixels, dtype=np.uint8)
