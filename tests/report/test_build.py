"""Sections of others: what is broken becomes a failure, what is not is shown."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image
from synthetic_store import make_store, record

from poseig_mm.errors import StoreError
from poseig_mm.report.build import build_report
from poseig_mm.report.plugin import poseig_report_sections
from poseig_mm.store import Store
from poseig_mm.types import Failure, Gallery, Picture, Section, Table


class Unsaveable(Figure):
    """A figure that cannot be drawn."""

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("cannot be drawn")


GOOD = Section("good", "Good", "All is well.", (Table("t", ("a",), ((1,),)),), order=400)


def text_of(work: Path, *sections: Any, **more: Any) -> str:
    store = make_store(work, [record(0)])
    return build_report(store, sections, **more).read_text(encoding="utf-8")


def test_sections_are_sorted_by_order_then_name(tmp_path: Path) -> None:
    """The order given is not the order shown."""
    html = text_of(tmp_path, Section("b", "B", order=5), Section("c", "C", order=1), Section("a", "A", order=5))
    assert html.index('id="c"') < html.index('id="a"') < html.index('id="b"')


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (Section("x", "X", blocks=(Picture("p", "P", Unsaveable()),)), "cannot be drawn"),
        (Section("x", "X", blocks=(Picture("p", "P", "no figure"),)), "no figure"),  # type: ignore[arg-type]
        (Section("x", "X", blocks=(Table("t", ("a", "b"), ((1,),)),)), "row 0 has 1 cells, expected 2"),
        (Section("x", "X", blocks=("text",)), "a block is a str"),  # type: ignore[arg-type]
        (Section("x", "X", blocks=7), "not iterable"),  # type: ignore[arg-type]
        (Section("x", "X", blocks=(Gallery("g", ((Path("/nowhere/a.png"), "gone"),)),)), "/nowhere/a.png"),
        (Section("x", "X", blocks=(Gallery("g", ((Path("run.json"), "not an image"),)),)), "not an image"),
        (Section("x", 3), "`title` is 3"),  # type: ignore[arg-type]
        (Section("x", "X", order="late"), "`order` is"),  # type: ignore[arg-type]
        (Section("good", "Twice"), "two sections are named"),
        ({"title": "a dict"}, "expected poseig_mm.Section"),
        (None, "expected poseig_mm.Section"),
    ],
)
def test_a_broken_section_is_a_failure_and_the_others_are_shown(tmp_path: Path, broken: Any, said: str) -> None:
    """Whatever a plugin returns: the page is built, says what is wrong, and holds the good section."""
    html = text_of(tmp_path, GOOD, broken)
    assert "All is well." in html
    failures = html[html.index('id="failures"') :]
    assert said in failures.replace("&#39;", "'")


def test_good_blocks_of_a_broken_section_are_shown(tmp_path: Path) -> None:
    """One bad figure does not take the table beside it along."""
    section = Section("x", "X", blocks=(Picture("p", "P", Unsaveable()), Table("t", ("a",), (("still here",),))))
    assert "still here" in text_of(tmp_path, section)


def test_failures_of_the_session_are_listed(tmp_path: Path) -> None:
    """Plugins that raised before the report was built stand on the page."""
    html = text_of(tmp_path, GOOD, failures=(Failure("report", "my plugin broke", "KeyError", plugin="mine"),))
    assert "my plugin broke" in html


def test_a_built_in_section_that_raises_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-ins come from one hook, yet fail one by one."""

    def broken(store: object) -> Section:
        raise ZeroDivisionError("no indices today")

    monkeypatch.setattr("poseig_mm.report.index_section.indices_section", broken)
    store = make_store(tmp_path, [record(0)])
    html = build_report(store, poseig_report_sections(store, {})).read_text(encoding="utf-8")
    assert html.count("<section") == 7
    assert html.count("no indices today") == 2  # in its place, and among the failures


def test_pictures_of_others_are_copied_beside_the_page(tmp_path: Path) -> None:
    """Images from anywhere, with the same names and odd ones, each end up in assets/ under one name of their own."""
    paths = []
    for i in range(2):
        folder = tmp_path / f"elsewhere {i}"
        folder.mkdir()
        paths.append(folder / "a b&ü.png")
        Image.new("RGB", (4, 3), (i, 0, 0)).save(paths[-1])
    section = Section("x", "X", blocks=(Gallery("g", tuple((p, "c") for p in paths)), Picture("p", "P", paths[0])))
    html = text_of(tmp_path / "work", section)
    copied = sorted((tmp_path / "work/report/assets/pictures").iterdir())
    assert len(copied) == 2  # the one that is shown twice is copied once
    assert all(f"assets/pictures/{p.name}" in html for p in copied)


def test_figures_of_the_same_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    """Also where only the case differs, for file systems that ignore it."""
    section = Section("x", "X", blocks=tuple(Picture(n, "c", Figure()) for n in ("p", "p", "P")))
    text_of(tmp_path, section)
    assert len({path.name.lower() for path in (tmp_path / "figures").glob("*.pdf")}) == 3


def test_a_report_elsewhere_keeps_everything_in_its_place(tmp_path: Path) -> None:
    """With an `out` outside the work dir nothing is written around it, and gallery pictures come along."""
    store = make_store(tmp_path / "work", [record(0)])
    out = tmp_path / "far" / "page"
    index = build_report(store, poseig_report_sections(store, {}), out)
    assert index == out / "index.html"
    assert sorted(p.name for p in (tmp_path / "far").iterdir()) == ["page"]
    assert list((out / "figures").glob("*.pdf"))
    assert list((out / "assets/pictures").glob("*strip*.jpg"))


def test_a_place_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    """The message names the place."""
    store = make_store(tmp_path / "work", [record(0)])
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot write the report to .*file"):
        build_report(store, [GOOD], tmp_path / "file" / "report")


def test_text_that_utf8_cannot_hold_does_not_break_the_page(tmp_path: Path) -> None:
    """A lone surrogate, as undecodable file names have, is written escaped."""
    assert r"\udcff" in text_of(tmp_path, Section("x", "X", "bad \udcff name"))


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


@pytest.mark.parametrize(
    "where", ["build.render_section", "build._prepare", "build._write_page", "gallery.pictures_of"]
)
def test_a_killed_rebuild_keeps_the_old_page(tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file of it, whenever the build dies; and the next build is whole."""
    store = make_store(tmp_path, [record(i) for i in range(2)])

    def build() -> Path:
        return build_report(store, poseig_report_sections(store, None))  # type: ignore[arg-type]

    def files() -> dict[str, bytes]:
        folder = tmp_path / "report"
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}

    def kill(*args: Any, **kwargs: Any) -> None:
        raise Killed

    page = build()
    (tmp_path / "report" / "notes.txt").write_text("mine")
    before = files()
    assert any(name.startswith("assets/gallery") for name in before)
    with monkeypatch.context() as patch:
        patch.setattr(f"poseig_mm.report.{where}", kill)
        with pytest.raises(Killed):
            build()
    assert files() == before
    assert build() == page
    assert files().keys() == before.keys()
    assert not [p.name for p in tmp_path.glob(".report*")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_every_file_operation(tmp_path: Path) -> None:
    """SIGKILL before any file operation of a rebuild leaves a page that is whole, with figures that are, and the next
    start makes of it one build's page and no mixture of two.
    """
    driver = Path(__file__).parents[1] / "helpers" / "report_kill_driver.py"
    done = subprocess.run([sys.executable, str(driver), str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout)
    assert result["operations"].count("replace") > 12  # each file's own
    assert {"unlink", "rmdir", "mkdir"} <= set(result["operations"])
    assert not result["wrong"], result["wrong"]


@pytest.mark.parametrize("link", [".report.new", ".report.new/assets/tables", "figures", "report/assets/tables"])
def test_a_link_in_a_work_dir_from_somebody_else_is_not_followed(tmp_path: Path, link: str) -> None:
    """Files behind it are neither overwritten nor deleted."""
    work, victim = tmp_path / "work", tmp_path / "victim"
    victim.mkdir()
    (victim / "good-t.csv").write_text("mine")
    text_of(work, GOOD)
    path = work / link
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(victim)
    if link.startswith("report"):  # the page's own folder: the link goes
        build_report(Store(work), [GOOD])
        assert not path.is_symlink()
    else:
        with pytest.raises(StoreError, match="leads out of the work dir"):
            build_report(Store(work), [GOOD])
    assert [(p.name, p.read_text()) for p in victim.iterdir()] == [("good-t.csv", "mine")]
