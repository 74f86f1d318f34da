"""Why an annotation file cannot be read, by what is in it."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

from ..adapters.weight_formats import ADVICE, recognise
from .annotations import fault

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def broken_file(path: str) -> str:
    """What is wrong with an annotation file that could not be read, '' where nothing is found, or there is no file.

    Not JSON, and what it is instead; an entry and key, as in `fault`.
    """
    file = Path(path)
    if not file.is_file():
        return ""
    kind = recognise(file)
    if kind in ("empty", "lfs", "html", "gzip"):
        what, advice = ADVICE[kind]
        return f"it is {what}; {advice}"
    if file.suffix.lower() != ".json":
        return ""
    data = file.read_bytes()
    if data.startswith(_MARKS):
        return "it begins with a byte order mark; save it as UTF-8 without one"
    try:
        content = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return f"it is not UTF-8 (byte {error.start}); save it as UTF-8"
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno} ({error.msg})"
        if error.msg == "Extra data":
            return f"a JSON document ends before {where}; expected one for the whole file, not one a line"
        if error.pos >= len(data.decode("utf-8").rstrip()) or error.msg.startswith("Unterminated"):
            return f"it is broken off at {where}; copy it again"
        return f"it is not JSON: {where}. Correct the file"
    if not isinstance(content, dict):
        return (
            f"it holds a {type(content).__name__}; expected an object with 'images' and 'annotations'. Give such a file"
        )
    entry = fault(content)
    return f"{entry}. Correct the file" if entry else ""
