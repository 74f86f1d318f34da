"""Attribution-based diagnosis of pose estimation models on MMPose.

Importing this package loads neither torch nor mmpose, nor pluggy: names are resolved when they are first used, so that
`poseig_mm.functional` works where torch and numpy are all there is.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if sys.version_info < (3, 10):  # noqa: UP036 - from a checkout, which pip did not look at
    raise ImportError(
        f"poseig_mm needs Python 3.10 or newer, this is {'.'.join(map(str, sys.version_info[:3]))} ({sys.executable}): "
        "run it with another, or make an environment for it: python3 tools/setup_env.py"
    )

from .errors import PoseIGError
from .types import Attribution, Coordinates, Failure, JointGroups, Sample, Section
from .version import __version__ as __version__

if TYPE_CHECKING:
    from .api import Explanation, attribute, explain, load_adapter
    from .markers import hookimpl
    from .run.open import Plugins
    from .run.session import Session
    from .run.shard import Shard
    from .store import Store

__all__ = [
    "Attribution",
    "Coordinates",
    "Explanation",
    "Failure",
    "JointGroups",
    "Plugins",
    "PoseIGError",
    "Sample",
    "Section",
    "Session",
    "Shard",
    "Store",
    "attribute",
    "explain",
    "hookimpl",
    "load_adapter",
]

_LAZY = {
    "Explanation": ".api",
    "Plugins": ".run.open",
    "Session": ".run.session",
    "Shard": ".run.shard",
    "Store": ".store",
    "attribute": ".api",
    "explain": ".api",
    "hookimpl": ".markers",
    "load_adapter": ".api",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name], __name__), name)
    if name == "functional":
        return import_module(".functional", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
