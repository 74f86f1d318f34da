"""What a result must say about how it came about: versions, hashes, memory."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__

__all__ = ["digest", "peak_memory", "processor", "versions"]

_PACKAGES = (
    "torch", "torchvision", "mmengine", "mmcv", "mmcv-lite", "mmpose", "mmdet", "numpy", "opencv-python",
    "polars", "pluggy", "safetensors", "scipy",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Python, platform, our own version, and those of what is installed of the packages that matter."""
    found = {"python": platform.python_version(), "platform": platform.platform(), "poseig-mm": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The CPU's model, as Linux names it; elsewhere what Python knows of it."""
    try:
        named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        named = None
    return named.group(1).strip() if named else platform.processor() or platform.machine()


def digest(value: Any) -> str:
    """A short SHA-256 of anything JSON can say, independent of key order, and the same in every process.

    Other objects count by their `repr` without the address in memory, sets by their sorted elements.

    >>> digest({'a': 1, 'b': 2}) == digest({'b': 2, 'a': 1})
    True
    """
    text = json.dumps(value, sort_keys=True, default=_described)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _described(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def peak_memory() -> dict[str, int]:
    """Largest memory of this process so far, in bytes: 'cpu' (resident set) and, where CUDA was used, 'cuda'."""
    unit = 1 if sys.platform == "darwin" else 1024
    found = {"cpu": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        found["cuda"] = torch.cuda.max_memory_allocated()
    return found
