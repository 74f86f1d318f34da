"""docs/paper.md: every table, figure and section of the supplement has a command that gives it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tiny import tiny, write_run

from poseig_mm.cli import main
from poseig_mm.store import Store

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "paper.md").read_text()
WANTED = [
    *("Table A", "Table B", "Table C", "Table D"),
    *(f"Fig. {letter}" for letter in "ABCDEFGH"),
    *("B.1", "B.2", "C.1", "C.2", "C.3", "D", "E"),
]
# | part | holds | command | on the page |
ROWS = re.findall(r"^\| (\S[^|]*?) \| [^|]* \| `([^`|]+)` \| `([\w-]+)` \|", PAGE, re.MULTILINE)
DIAGNOSE = ["python", "tools/diagnose.py"]
TREATS = ["--treat", "gcn_refinement"]  # a plugin's: its own tests run it
COMMANDS = sorted({command for _, command, _ in ROWS if "--treat" not in command})


def test_every_part_of_the_supplement_has_a_row() -> None:
    """In the supplement's order, each once."""
    assert [part for part, _, _ in ROWS] == WANTED


def test_every_row_says_what_came_out_or_that_nothing_was_run() -> None:
    """Beside the published figure; each line of the second table is one of the first."""
    found = re.findall(r"^\| (\S[^|]*?) \| ([^|`]+) \| ([^|`]+) \|$", PAGE, re.MULTILINE)
    rows = [row for row in found if row[0] in WANTED]
    assert [part for part, _, _ in rows] == WANTED
    assert all(re.search(r"\d|drawn|not run here|as Table C", here) for _, _, here in rows)


def test_the_other_command_is_run_by_its_plugins_tests() -> None:
    """The refinement's, which trains: its test gives the same words to the command line."""
    (command,) = {command for _, command, _ in ROWS} - set(COMMANDS)
    assert shlex.split(command) == [*DIAGNOSE, "CONFIG", "CHECKPOINT", *TREATS, "--work-dir", "WORK"]
    (test,) = re.findall(r"the command of D is run by `([^`]+)`", PAGE)
    text = (ROOT / test).read_text()
    assert "from poseig_mm.cli import main" in text
    assert '"--treat", "gcn_refinement"' in text


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, mmpose_ready: None) -> tiny:
    """A tiny model on three drawn persons, with a report."""
    return write_run(tmp_path_factory.mktemp("paper") / "data", {"report": {"enabled": True, "gallery": 1}})


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_gives_its_rows(command: str, made: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends well, and its page has what the rows name, without a failure."""
    monkeypatch.setattr("poseig_mm.plugin.registry.entry_points", lambda group: ())
    given = {"CONFIG": made.config, "HANDS": made.config, "CHECKPOINT": made.weights, "HAND_WEIGHTS": made.weights}
    words = [str(given.get(word, word)).replace("WORK", str(tmp_path)) for word in shlex.split(command)[2:]]
    assert main([*words, "--device", "cpu"]) == 0
    page = (tmp_path / "report" / "index.html").read_text()
    assert "could not be made" not in page
    assert [f.message for f in Store(tmp_path).failures] == []
    for part, of_row, where in ROWS:
        if of_row == command:
            assert f'id="{where}"' in page or (tmp_path / "figures" / f"{where}.png").is_file(), part
