"""File names made of texts that others chose: ids of samples, names of joints and studies."""

from __future__ import annotations

import hashlib
import re

from poseig_mm.errors import StoreError

LONGEST = 80  # characters of a text that are kept, so that a name fits every file system
MOST_BYTES = 240  # of a name, before its suffix


def file_stem(text: str) -> str:
    """A file stem that shows `text` and is another one for every other text, also where file names ignore case.

    A text of letters in lower case, digits, '_' and '-' is its own stem; any other gets a hash, since what is replaced
    in it ('/', '..', upper case) could make two texts one, or leave the folder.

    >>> file_stem('785-0')
    '785-0'
    >>> file_stem('img/1-1'), file_stem('../a')
    ('img_1-1.d97e51df68', 'a.61b4c98bfb')
    """
    if len(text) <= LONGEST and re.fullmatch(r"[a-z0-9_-]+", text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    shown = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_")[:LONGEST] or "_"
    return f"{shown}.{digest}"


def check_plain_name(name: str, what: str) -> str:
    """`name`, where it can only be that of a file in the folder that is meant.

    >>> check_plain_name('7-1--nose', 'a picture')
    '7-1--nose'

    Raises:
        StoreError: it has a separator or a control character, begins with a dot, is empty or too long.
    """
    plain = name and not name.startswith(".") and not re.search(r"[/\\:\x00-\x1f]", name)
    if not plain or len(name.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise StoreError(
            f"{what} is {name!r}: expected a plain file name without '/', of at most {MOST_BYTES} bytes, that does not "
            "begin with a dot (poseig_mm.store.file_names.file_stem makes one of any text)"
        )
    return name
