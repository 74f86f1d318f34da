"""What a plugin has to write to add something: one file, which these tests write, load and run on the tiny run."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from tiny import write_run

from poseig_mm import cli
from poseig_mm.comparison import comparison_sections, open_runs
from poseig_mm.plotting.intervals import Panel, interval_panels
from poseig_mm.report.index_section import indices_section
from poseig_mm.store import Store
from poseig_mm.summary.measures import measures
from poseig_mm.types import Picture, Section, Table

INDEX = '''
from poseig_mm import hookimpl
from poseig_mm.indices import Index


class UpperHalf(Index):
    """Share of a joint's map in the upper half of the input."""

    name, title, unit, range = "upper", "Upper half", "%", (0.0, 100.0)
    meaning = "upper half: 50 no preference"
    neutral = 50.0

    def __call__(self, inputs):
        maps = inputs.maps
        return 100 * maps[..., : maps.shape[-2] // 2, :].sum((-2, -1)) / maps.sum((-2, -1))


@hookimpl
def poseig_indices():
    return [UpperHalf()]
'''
RUNS = ("one", "other")


@pytest.fixture(scope="module")
def index_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a tiny model with an index of a plugin of one file, `one` and `other`, each with what the terminal showed."""
    folder = tmp_path_factory.mktemp("index")
    (folder / "upper.py").write_text(INDEX)
    made = write_run(folder / "data", {"indices": ["fi", "upper"], "report": {"enabled": True}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        for name in RUNS:
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                arguments = [made.config, made.weights, "--work-dir", folder / name, "-p", folder / "upper.py"]
                assert cli.main([*map(str, arguments), "--device", "cpu"]) == 0
            (folder / f"{name}.txt").write_text(said.getvalue())
    return folder


def dashed_lines(sections: list[Section], title: str) -> list[float]:
    """Where panels called `title` have their line of no preference, over all figures of the sections."""
    places = []
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Picture) and not isinstance(block.figure, Path):
                for axis in block.figure.axes:
                    lines = [line for line in axis.lines if line.get_color() == "#444"]
                    if title == axis.get_title(loc="left"):
                        ends = [(*map(float, line.get_xdata()), *map(float, line.get_ydata())) for line in lines]  # type: ignore[arg-type]
                        places += [x if x == x2 else y for x, x2, y, _ in ends]
    return places


def test_an_index_of_a_plugin_is_a_column(index_plugin: Path) -> None:
    """With its numbers, and what it says of itself in run.json."""
    store = Store(index_plugin / "one")
    values = store.joints()["upper"].drop_nans()
    assert len(values) == 10  # the visible joints of the tiny run
    assert values.is_between(0, 100).all()
    (about,) = [about for about in store.run["indices"] if about["name"] == "upper"]
    assert about["meaning"] == "upper half: 50 no preference"
    assert (about["title"], about["unit"], about["neutral"], about["kind"]) == ("Upper half", "%", 50.0, "joint")


def test_an_index_of_a_plugin_is_on_the_page_as_fi_is(index_plugin: Path) -> None:
    """The same cards, tables and lines of no preference."""
    store = Store(index_plugin / "one")
    found = {m.name: m for m in measures(store, store.joints())}
    assert list(found) == ["epe", "fi", "upper"]
    assert (found["upper"].meaning, found["upper"].neutral) == ("upper half: 50 no preference", 50.0)
    sections = [indices_section(store)]
    assert dashed_lines(sections, "FI") == [1.0, 1.0]
    assert dashed_lines(sections, "Upper half (%)") == [50.0, 50.0]
    page = (index_plugin / "one" / "report" / "index.html").read_text()
    heads = [len(re.findall(rf">{re.escape(title)}</th>", page)) for title in ("FI", "Upper half (%)")]
    assert heads == [2, 2]  # per group, and per joint
    assert "upper half: 50 no preference" in page
    assert "foreground: 1 no preference" in page


def test_an_index_of_a_plugin_is_in_the_terminal_as_fi_is(index_plugin: Path) -> None:
    """A column of the summary, with its unit."""
    said = (index_plugin / "one.txt").read_text()
    (head,) = [line for line in said.splitlines() if "group" in line]
    columns = [cell.strip() for cell in re.split("[┃│|]", head) if cell.strip()]
    assert columns == ["group", "EPE (px)", "FI", "Upper half (%)", "residual", "map error"]


def test_an_index_of_a_plugin_is_compared_as_fi_is(
    index_plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the tables of two runs, and with its line of no preference (drawn where it is near the means)."""
    references: dict[str, set[float | None]] = {}

    def drawn(panels: list[Panel], *rest: Any) -> Figure:
        for panel in panels:
            references.setdefault(panel.title, set()).add(panel.reference)
        return interval_panels(panels, *rest)

    monkeypatch.setattr("poseig_mm.comparison.difference_tables.interval_panels", drawn)
    sections = comparison_sections(open_runs([index_plugin / name for name in RUNS]), tmp_path)
    assert 1.0 in references["FI"]
    assert 50.0 in references["Upper half (%)"]
    rows = [row[0] for s in sections for table in s.blocks if isinstance(table, Table) for row in table.rows]
    assert 0 < rows.count("FI") == rows.count("Upper half (%)")
