"""Warnings of the libraries below us that a user can do nothing about, and that each run would show."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

__all__ = ["KNOWN", "ForeignWarning", "silence"]


@dataclass(frozen=True)
class ForeignWarning:
    """One warning, as `warnings.filterwarnings` tells it from others; `reason` says why it is not the user's.

    `message` and `module` are regular expressions; `message` is to match the beginning.
    """

    message: str
    module: str
    reason: str


KNOWN = (
    ForeignWarning(
        r'The metainfo config file "configs/_base_/datasets/(?P<name>\w+\.py)" does not exist\. '
        r'A matched config file ".*[/\\]mmpose[/\\]\.mim[/\\]configs[/\\]_base_[/\\]datasets[/\\](?P=name)" will be used',
        r"mmpose\.datasets\.datasets\.utils$",
        "MMPose's data sets name their metainfo by a path of its repository, and it looks in its own wheel for it",
    ),
    ForeignWarning(
        r"pkg_resources is deprecated as an API\.",
        r"(mmengine\.utils\.package_utils|importlib)$",  # it imports the module, then reloads it
        "mmengine asks setuptools what is installed; `compat` sees to it that it can",
    ),
)


def silence() -> None:
    """Do not show the warnings of `KNOWN` in this process; all others, of the same modules too, are shown as before."""
    for known in KNOWN:
        warnings.filterwarnings("ignore", known.message, UserWarning, known.module)
