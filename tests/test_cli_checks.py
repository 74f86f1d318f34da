"""The command line's preflight: `--check`, `--allow`, and what a run shows of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from ranks import run_ranks
from tiny import tiny

Main = Callable[..., int]


def test_check_alone_writes_nothing(main: Main, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Exit code 0, a line for each check on the terminal, and no work dir."""
    assert main("--check") == 0
    lines = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert ["ok", "weights"] in lines
    assert ["ok", "resources"] in lines
    assert not (tmp_path / "w").exists()


def test_check_says_what_would_stop_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], main: Main) -> None:
    """Exit code 1 for what a run refuses; 0 where it is overruled, with a warning that says so."""
    from odd_heads import odd_head

    made = odd_head(tmp_path / "data", "PartsFirstHead")
    given = {"config": made.config, "weights": made.weights}
    assert main("--check", **given) == 1
    assert "stop     agreement" in capsys.readouterr().out
    assert main(**given) == 1
    shown = capsys.readouterr().err
    assert "stop     agreement" in shown  # the table
    assert re.search("error: agreement: 0 % of 10 joints.*--allow agreement", shown)
    assert main("--check", "--allow", "agreement", **given) == 0
    assert "overruled by --allow agreement" in " ".join(capsys.readouterr().out.split())
    assert main("--allow", "agreement", "--limit", 1, **given) == 0
    assert main("--check", "--cfg-options", "diagnosis.attribution.output=1", **given) == 0
    assert "ok       outputs" in capsys.readouterr().out


def test_an_unknown_check_cannot_be_allowed(main: Main, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The known ones are named."""
    assert main("--allow", "agreeing", "--allow", "weights") == 1
    assert "error: --allow agreeing: there is no such check; known: weights, joints" in capsys.readouterr().err
    assert not (tmp_path / "w").exists()


def test_a_run_shows_the_preflight(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first person."""
    assert main("--limit", 1) == 0
    assert re.search(r"ok +persons +1 of 3 in coco", capsys.readouterr().err)


def test_where_results_are_is_printed_as_it_is(main: Main, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Brackets in a path are no markup; a report that is not made is not named."""
    place = tmp_path / "[bold] of [red]me"
    assert main("--limit", 1, "--work-dir", place) == 0
    shown = capsys.readouterr().out
    assert str(place) in shown
    assert "index.html" not in shown
    assert main("--limit", 2, "--resume", "--work-dir", place, "--cfg-options", "diagnosis.report.enabled=True") == 0
    assert f"report: {place / 'report' / 'index.html'}" in capsys.readouterr().out
    assert (place / "report" / "index.html").is_file()


def test_two_ranks_look_once(tmp_path: Path, tiny_files: tiny) -> None:
    """Both know what the first found: both go on, or both stop."""
    from odd_heads import odd_head

    assert run_ranks(2, tiny_files.config, tiny_files.weights, "--work-dir", tmp_path / "w") == [0, 0]
    found = json.loads((tmp_path / "w" / "run.json").read_text())["preflight"]
    assert [check["name"] for check in found][:2] == ["weights", "joints"]
    made = odd_head(tmp_path / "data", "PartsFirstHead")
    assert run_ranks(2, made.config, made.weights, "--work-dir", tmp_path / "stop") == [1, 1]
    stopped = json.loads((tmp_path / "stop" / "run.json").read_text())
    assert stopped["status"] == "failed"
    assert "stop" in [check["level"] for check in stopped["preflight"]]
