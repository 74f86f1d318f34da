"""Why an image file cannot be read, by what is in it."""

from __future__ import annotations

import os
from pathlib import Path

from ..adapters.weight_formats import ADVICE, recognise

LOADING = "occurs when loading"  # what MMPose's LoadImage says of any failure, before it asks whether the file exists


def cause_of(path: str, error: str) -> str:
    """What stands in the place of an error of loading an image.

    Args:
        path: the image's.
        error: as the pipeline raised it.

    Returns:
        A sentence with the cause and what to do where the file is there and the error is of loading; else `error`.
    """
    file = Path(path)
    if "\\" in path and os.path.isfile(path.replace("\\", "/")):
        return "the name is written with backslashes, as on Windows; write / in the annotation file's file_name"
    if LOADING not in error or not os.path.exists(path):
        return error
    try:
        kind = recognise(file)
    except Exception as failure:  # no permission; half a zip archive
        return f"cannot be read as an image: {type(failure).__name__}: {failure}"
    if kind in ("empty", "lfs", "html"):
        what, advice = ADVICE[kind]
        return f"cannot be read as an image: it is {what}; {advice}"
    return (
        "cannot be read as an image: it is broken off or damaged (copy it again), or of a format or a size that the "
        f"image library does not read (convert it to PNG or JPEG); the library said: {_first_line(error)}"
    )


def _first_line(error: str) -> str:
    return error.split(LOADING)[0].strip(" `\n").splitlines()[0]
