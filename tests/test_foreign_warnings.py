"""What a run does not show of other libraries' warnings, and that it shows all others."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import ROOT, tiny

from poseig_mm.foreign_warnings import _import_without, silence

UTILS = "mmpose.datasets.datasets.utils"


@pytest.fixture
def shown() -> Iterator[list[warnings.WarningMessage]]:
    """The warnings that still appear after `silence`, where all would appear without."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        silence()
        yield caught


def test_a_run_shows_no_warning(tiny_files: tiny) -> None:
    """Its data set is COCO, whose metainfo MMPose finds in its wheel; mmengine imports pkg_resources for it."""
    line = [sys.executable, str(ROOT / "tools" / "diagnose.py"), str(tiny_files.config), str(tiny_files.weights)]
    done = subprocess.run([*line, "--dry-run", "--device", "cpu"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_metainfo_in_mmposes_own_package(shown: list[warnings.WarningMessage], mmpose_ready: None) -> None:
    """Not shown under the name that MMPose's own data sets give; shown where a file of the user's was replaced by
    it.
    """
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    assert parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})["dataset_name"] == "coco"
    assert shown == []
    parse_pose_metainfo({"from_file": "mine/coco.py"})
    assert ['"mine/coco.py" does not exist' in str(w.message) for w in shown] == [True]


def test_other_warnings_of_the_same_modules_are_shown(shown: list[warnings.WarningMessage]) -> None:
    """Of the same category."""
    for module in (UTILS, "mmengine.utils.package_utils", "importlib"):
        warnings.warn_explicit("something else", UserWarning, "x.py", 1, module)
    assert len(shown) == 3


def test_the_same_warnings_elsewhere_are_shown(shown: list[warnings.WarningMessage]) -> None:
    """A plugin of the user's that imports pkg_resources hears of it."""
    text = "pkg_resources is deprecated as an API. See ..."
    warnings.warn_explicit(text, UserWarning, "x.py", 1, "my_plugin")
    warnings.warn_explicit(text, UserWarning, "x.py", 1, "mmengine.utils.package_utils")
    warnings.warn_explicit(text, FutureWarning, "x.py", 1, "mmengine.utils.package_utils")
    assert [w.category for w in shown] == [UserWarning, FutureWarning]


def test_the_metainfo_must_be_the_same_file(shown: list[warnings.WarningMessage]) -> None:
    """By name; and in MMPose's package."""
    text = (
        'The metainfo config file "configs/_base_/datasets/{}.py" does not exist. A matched config file "{}" '
        "will be used instead."
    )
    own = "/x/mmpose/.mim/configs/_base_/datasets/coco.py"
    for asked, taken in (("coco", own), ("face", own), ("coco", "/x/y/coco.py")):
        warnings.warn_explicit(text.format(asked, taken), UserWarning, "x.py", 1, UTILS)
    assert len(shown) == 2


LOUD = """
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("always")
    warnings.warn("`TorchScript` support is deprecated", DeprecationWarning)
    warnings.warn("a card is missing", DeprecationWarning)
warnings.warn("nobody asked for this", DeprecationWarning)
"""


def test_what_a_module_says_past_all_filters_at_its_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one message is not shown; another that overrides filters is, and one that a filter stops is not."""
    (tmp_path / "loud_module.py").write_text(LOUD)
    monkeypatch.syspath_prepend(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        _import_without("loud_module", r"`TorchScript` support")
        _import_without("no_such_module", "")
    assert [str(w.message) for w in caught] == ["a card is missing"]
    assert "loud_module" in sys.modules
