"""docs/studies.md: each built-in study has a part, which names the settings that there are, with their defaults."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from poseig_mm.studies.base import Study
from poseig_mm.studies.plugin import poseig_studies

PARTS = re.split(r"^## `(\w+)`\n", (Path(__file__).parents[2] / "docs" / "studies.md").read_text(), flags=re.M)[1:]
PART_OF = dict(zip(PARTS[::2], PARTS[1::2], strict=True))


def as_written(default: Any) -> str:
    """A default as the page has it."""
    if isinstance(default, tuple):
        return ", ".join(map(str, default))
    return f"`{default!r}`" if isinstance(default, str) else "1/3" if default == 1 / 3 else str(default)


def test_each_study_has_its_part() -> None:
    """And no part is of a study that is not there."""
    assert sorted(PART_OF) == sorted(s.name for s in poseig_studies())


@pytest.mark.parametrize("study", poseig_studies(), ids=lambda s: s.name)
def test_the_settings_are_those_of_the_study(study: Study) -> None:
    """Every one of them, and with the default that the code has."""
    written = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PART_OF[study.name], flags=re.M))
    assert written == {f.name: as_written(f.default) for f in fields(study)}  # type: ignore[arg-type]
