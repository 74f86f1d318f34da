"""File names made of texts that others chose: ids of samples, names of joints and studies."""

from __future__ import annotations

import hashlib
import re

LONGEST = 80  # characters of a text that are kept, so that a name fits every file system


def file_stem(text: str) -> str:
    """A file stem that shows `text` and is another one for every other text, also where file names ignore case.

    A text of letters in lower case, digits, '_' and '-' is its own stem; any other gets a hash, since what is replaced
    in it ('/', '..', upper case) could make two texts one, or leave the folder.

    >>> file_stem('785-0')
    '785-0'
    >>> file_stem('img/1-1'), file_stem('../a')
    ('img_1-1.b03a06d9a3', 'a.5e5e3a17fa')
    """
    if len(text) <= LONGEST and re.fullmatch(r"[a-z0-9_-]+", text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    shown = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_")[:LONGEST]
    return f"{shown}.{digest}"
