"""What each joint is read from, run by run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from poseig_mm.comparison import causes_section as causes
from poseig_mm.studies.shortcuts.causes import Cause

CODES = {"honest": {"left_wrist": "own", "nose": "own"}, "marker": {"left_wrist": "mark", "nose": "undecided"}}


class Made:
    """A store with the study, or without it."""

    def __init__(self, name: str, studies: tuple[str, ...] = ("shortcuts",)) -> None:
        self.name, self.studies = name, studies

    def study(self, name: str) -> str:
        assert name == "shortcuts"
        return self.name


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two runs, whose study says what `CODES` holds; errors of 2 and 4 px, one of them not known."""

    def said(rows: str) -> list[Any]:
        return [SimpleNamespace(name=joint, cause=Cause(code, "why")) for joint, code in CODES[rows].items()]

    monkeypatch.setattr(causes, "evidence_of_joints", said)
    joints = pl.DataFrame({"joint_name": ["left_wrist"] * 3 + ["nose"], "epe": [2.0, 4.0, float("nan"), 9.0]})
    names = tuple(CODES)
    return SimpleNamespace(
        stores={n: Made(n) for n in names}, joints=dict.fromkeys(names, joints), unit="px", names=names
    )


def test_the_run_that_cheats_is_named(runs: Any) -> None:
    """The joint that one run reads from something else is shown for both, with its error; the others are not."""
    section = causes.causes_section(runs)
    assert section.lead == "In marker, left_wrist is read from a mark at a fixed offset."
    (table,) = section.blocks
    assert table.rows == (
        ("left_wrist", "honest", 3.0, "itself", "why"),
        ("left_wrist", "marker", 3.0, "a mark at a fixed offset", "why"),
    )


def test_nothing_suspicious_is_said_too(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then all joints are shown: undecided is no accusation."""
    monkeypatch.setitem(CODES["marker"], "left_wrist", "undecided")
    section = causes.causes_section(runs)
    assert section.lead.startswith("No joint is read from anything but itself")
    assert len(section.blocks[0].rows) == 4


def test_runs_without_the_study_have_no_such_section(runs: Any) -> None:
    """All of them must have it."""
    assert causes.have_causes(runs)
    runs.stores["marker"] = Made("marker", ())
    assert not causes.have_causes(runs)
