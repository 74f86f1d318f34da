"""Warnings of the libraries below us that a user can do nothing about, and that each run would show."""

from __future__ import annotations

import contextlib
import importlib
import re
import warnings
from dataclasses import dataclass


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
        r'A matched config file ".*[/\\]mmpose[/\\]\.mim[/\\]configs[/\\]_base_[/\\]datasets[/\\](?P=name)" '
        r"will be used",
        r"mmpose\.datasets\.datasets\.utils$",
        "MMPose's data sets name their metainfo by a path of its repository, and it looks in its own wheel for it",
    ),
    ForeignWarning(
        r"pkg_resources is deprecated as an API\.",
        r"(mmengine\.utils\.package_utils|importlib)$",  # it imports the module, then reloads it
        "mmengine asks setuptools what is installed; `compat` sees to it that it can",
    ),
)


AT_IMPORT = {
    # torch 2.4: mmengine asks it for an optimizer that we do not use, and it overrides every filter.
    "torch.distributed.optim": r"`TorchScript` support for functional optimizers is deprecated",
}
"""By module: what it says when it is imported, past all filters; a regular expression of the beginning."""


def silence() -> None:
    """Do not show the warnings of `KNOWN` in this process, nor those `AT_IMPORT`, for which their modules are imported.

    All others, of the same modules too, are shown as before.
    """
    for known in KNOWN:
        warnings.filterwarnings("ignore", known.message, UserWarning, known.module)
    for module, message in AT_IMPORT.items():
        _import_without(module, message)


def _import_without(module: str, message: str) -> None:
    """Import a module, if it can be, and show what it warns of but for one message."""
    with warnings.catch_warnings(record=True) as caught, contextlib.suppress(ImportError):  # mmengine can do without it
        importlib.import_module(module)
    for said in caught:
        if not re.match(message, str(said.message)):
            warnings.showwarning(said.message, said.category, said.filename, said.lineno)
