"""What the pages show is true: their code is run.

In a page, a `python` block after `<!-- file: name.py -->` is written to that file; other `python` blocks are executed,
and `pycon` blocks are checked as doctests, all in one namespace and in a folder of the page's own.  Files called
test_*.py are run by pytest at the end.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(
    r"(?:<!-- file: (?P<file>[\w.]+) -->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"`((?:poseig_mm|plugins|tests|docs|tools|configs)/[\w./-]*)`")

NAMED_TEST = re.compile(r"`([\w./-]+\.py)::(\w+)`")


def blocks(page: Path, kind: str) -> list[re.Match[str]]:
    """The page's code blocks of one kind."""
    return [match for match in BLOCK.finditer(page.read_text()) if match["kind"] == kind]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the page."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    namespace: dict[str, Any] = {"__name__": "page"}
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
    try:
        for match in BLOCK.finditer(page.read_text()):
            if match["file"]:
                (tmp_path / match["file"]).write_text(match["body"])
            elif match["kind"] == "python":
                exec(compile(match["body"], str(page), "exec"), namespace)
            elif match["kind"] == "pycon":
                line = page.read_text()[: match.start("body")].count("\n")
                test = doctest.DocTestParser().get_doctest(match["body"], namespace, page.name, str(page), line)
                output: list[str] = []
                runner.run(test, out=output.append, clear_globs=False)
                namespace.update(test.globs)
                assert not runner.failures, "".join(output)
    finally:
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
                del sys.modules[name]
    if tests := sorted(str(path) for path in tmp_path.glob("test_*.py")):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-Werror", *tests]
        search = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": search})
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_a_page_names_exist(page: Path) -> None:
    """Paths in backticks that begin with one of our folders."""
    missing = [path for path in LINK.findall(page.read_text()) if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "SECURITY.md", ROOT / "README.md"], ids=lambda page: page.stem)
def test_tests_a_page_names_exist(page: Path) -> None:
    """`file.py::test_name` in backticks."""
    named = NAMED_TEST.findall(page.read_text())
    files = {file: (ROOT / file).read_text() if (ROOT / file).is_file() else "" for file, _ in named}
    assert [f"{file}::{test}" for file, test in named if f"\ndef {test}(" not in files[file]] == []
    assert named or page.stem != "robustness"


def test_the_guide_shows_the_templates_entry_point() -> None:
    """docs/plugins.md and plugins/template/pyproject.toml say the same."""
    (shown,) = (match["body"] for match in blocks(ROOT / "docs" / "plugins.md", "toml"))
    real = (ROOT / "plugins" / "template" / "pyproject.toml").read_text()
    wanted = [line for line in shown.splitlines() if line]
    assert [line for line in wanted if line not in real.splitlines()] == []


def test_the_guide_is_the_template() -> None:
    """The index of the page computes what the template's does, line by line."""
    page = blocks(ROOT / "docs" / "plugins.md", "python")[0]["body"]
    body = page[page.index("maps = inputs.maps") : page.index("@hookimpl")]
    template = (ROOT / "plugins" / "template" / "poseig_template.py").read_text()
    lines = [line.split("  #")[0].strip() for line in body.splitlines() if line.strip()]
    assert len(lines) == 5
    assert [line for line in lines if line not in template] == []


def test_every_study_is_on_its_page() -> None:
    """Each built-in study has a part of docs/studies.md, with every setting in a table, and a line on its cost."""
    from dataclasses import fields, is_dataclass

    from poseig_mm.plugin.manager import PluginHost

    page = (ROOT / "docs" / "studies.md").read_text()
    parts = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    for name, study in PluginHost(entry_points=False).catalog.studies.items():
        assert name in parts, f"docs/studies.md has no '## `{name}`'"
        assert f"\n| `{name}` |" in page, f"the first table of docs/studies.md has no line on {name}"
        settings = [f.name for f in fields(study)] if is_dataclass(study) else []
        assert [s for s in settings if f"\n| `{s}` |" not in parts[name]] == []


def test_exit_codes_are_those_of_the_command() -> None:
    """The table in docs/scale.md has each code of `--help`; README leads to it."""
    from poseig_mm.cli import EXIT_CODES

    text = (ROOT / "docs" / "scale.md").read_text()
    table = text[text.index("## Exit codes") : text.index("## Throughput")]
    said = set(re.findall(r"^  (\d+) ", EXIT_CODES, re.MULTILINE))
    assert said >= {"0", "1", "2", "130"}
    assert said <= set(re.findall(r"^\| (\d+) \|", table, re.MULTILINE))
    assert "docs/scale.md#exit-codes" in (ROOT / "README.md").read_text()
