"""Frames of a video, by number.

Frames are read one after the other, because seeking is inexact in many codecs; only going back opens the file again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import DataError

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".gif")
CUT = 27.0  # mean difference of the grey values of two frames, of 255, from which on another scene begins
_THUMBNAIL = (32, 32)

Frame = NDArray[np.uint8]  # (H, W, 3) BGR


@dataclass(frozen=True)
class VideoFacts:
    """What there is in a video.

    Args:
        frames: how many can be read.
        stated: how many its header says there are; 0 where it says nothing.
        size: (H, W) px.
        cuts: numbers of the frames that begin another scene, see `CUT`.
    """

    frames: int
    stated: int
    size: tuple[int, int]
    cuts: tuple[int, ...]


def frame_name(path: str, frame: int) -> str:
    """How a frame is called where a file would be.

    >>> frame_name("walk.mp4", 12)
    'walk.mp4#12'
    """
    return f"{path}#{frame}"


def video_of(name: str) -> tuple[str, int | None]:
    """The file and the frame of such a name; None where it is no frame's.

    >>> video_of("walk.mp4#12"), video_of("a#1.png")
    (('walk.mp4', 12), ('a#1.png', None))
    """
    path, mark, number = name.rpartition("#")
    if mark and number.isdecimal() and Path(path).suffix.lower() in SUFFIXES:
        return path, int(number)
    return name, None


class VideoReader:
    """Frames of one video.

    Raises:
        DataError: OpenCV cannot read it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._next = 0
        self._capture = self._opened()

    def _opened(self) -> Any:
        import cv2

        capture = cv2.VideoCapture(self.path)
        if not capture.isOpened():
            raise DataError(
                f"{self.path} cannot be read as a video: it is broken, or of a codec that OpenCV does not have here. "
                "Convert it (ffmpeg -i IN out.mp4), or give its frames as pictures"
            )
        return capture

    def read(self, frame: int) -> Frame:
        """A frame (H, W, 3) uint8, BGR.

        Raises:
            DataError: there is none of this number.
        """
        if frame < self._next:
            self._capture.release()
            self._capture, self._next = self._opened(), 0
        while self._next < frame and self._capture.grab():
            self._next += 1
        good, picture = self._capture.read() if self._next == frame else (False, None)
        if not good:
            raise DataError(f"{self.path} has no frame {frame}: it ends before, or is broken there")
        self._next += 1
        return np.asarray(picture, dtype=np.uint8)

    def facts(self) -> VideoFacts:
        """Frames, size and cuts; the whole video is read.

        Raises:
            DataError: it has no frame.
        """
        import cv2

        stated = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        cuts, frames, before, size = [], 0, None, (0, 0)
        while True:
            try:
                picture = self.read(frames)
            except DataError:
                break
            now = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), _THUMBNAIL, interpolation=cv2.INTER_AREA)
            if before is not None and float(np.abs(now.astype(np.float64) - before).mean()) > CUT:
                cuts.append(frames)
            before, size, frames = now, (picture.shape[0], picture.shape[1]), frames + 1
        if not frames:
            raise DataError(f"{self.path} has no frame that can be read; it is empty or broken. Copy it again")
        return VideoFacts(frames, max(stated, 0), size, tuple(cuts))
