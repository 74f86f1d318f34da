"""Results on disk: one JSON file for each part of the work, which is not done again while it fits its settings."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poseig_mm.store.atomic import make_dir, publish

__all__ = ["cached", "file_hash", "file_stem", "stored"]


def cached(path: Path, identity: dict[str, Any], compute: Callable[[], Any]) -> Any:
    """What `compute` gives (anything JSON can hold; NaN as null), from `path` where it was computed for this identity.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [cached(Path(folder) / "x.json", {"n": n}, lambda: [value]) for n, value in ((1, 1.0), (1, 2.0), (2, 3.0))]
    [[1.0], [1.0], [3.0]]
    """
    if path.is_file():
        there = json.loads(path.read_text())
        if there["identity"] == identity:
            return _numbers(there["result"])
    result = compute()
    make_dir(path.parent)
    publish(path, json.dumps({"identity": identity, "result": _nulls(result)}, indent=1).encode())
    return result


def stored(path: Path) -> Any:
    """The result in a file of `cached`, whatever it was computed for; None where there is none."""
    return _numbers(json.loads(path.read_text())["result"]) if path.is_file() else None


def file_hash(path: Path) -> str:
    """SHA-256 of a file, shortened."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def file_stem(method: str) -> str:
    """A method's name in a file's.

    >>> file_stem("linear IG, mean")
    'linear-IG-mean'
    """
    return method.replace(",", "").replace(" ", "-")


def _nulls(value: Any) -> Any:
    """NaN -> null."""
    if isinstance(value, dict):
        return {k: _nulls(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_nulls(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(value: Any) -> Any:
    """null -> NaN."""
    if isinstance(value, dict):
        return {k: _numbers(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_numbers(v) for v in value]
    return math.nan if value is None else value
