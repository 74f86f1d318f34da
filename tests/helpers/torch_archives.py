"""Files of torch.save with other entries."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def changed(path: Path, change: Callable[[str, bytes], bytes], **settings: Any) -> Path:
    """The torch file with other entries."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", **settings) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path
