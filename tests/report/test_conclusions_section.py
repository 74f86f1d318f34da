"""The page's first section: verdict, cards with pictures, what is folded; and the whole page of a run."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from synthetic_store import make_store, record
from tiny import tiny

from poseig_mm import cli
from poseig_mm.functional.statistics import Estimate
from poseig_mm.plotting.figures import new_figure
from poseig_mm.report.blocks import Conclusions
from poseig_mm.report.build import build_report
from poseig_mm.report.conclusions_section import conclusions_section
from poseig_mm.report.plugin import poseig_report_sections
from poseig_mm.store import Store
from poseig_mm.types import Conclusion, PersonPicture, Picture

EFFECT = Estimate(12, 0.031, 0.1, 0.01, 0.05)


def about(name: str, **changes: object) -> Conclusion:
    return Conclusion(name, f"So it is with {name}.", EFFECT, "AP", "shown", **changes)  # type: ignore[arg-type]


def anchors(html: str) -> list[str]:
    return re.findall(r'<section id="([\w-]+)"', html)


def test_a_conclusion_stands_with_effect_certainty_pictures_and_what_to_try(tmp_path: Path) -> None:
    """A joint's map, a person, a figure: three pictures, all files beside the page."""
    store = make_store(tmp_path, [record(i) for i in range(3)])
    pictures = (
        PersonPicture("1000-0", 0, "nose"),
        PersonPicture("1001-1"),
        Picture("f", "a figure", new_figure(2, 1)[0]),
    )
    section = conclusions_section(store, [about("a", pictures=pictures, try_="this <b>")])
    assert section.failures == ()
    html = build_report(store, [section, *poseig_report_sections(store, {})]).read_text()
    card = html[html.index('<ol class="conclusions">') : html.index("</ol>", html.index('<ol class="conclusions">'))]
    for text in ("So it is with a.", "0.031 [0.010, 0.050] AP (n = 12)", "shown", "this &lt;b&gt;"):
        assert text in card
    addresses = re.findall(r'<img src="([^"]+)"', card)
    assert len(addresses) == 3
    assert all((tmp_path / "report" / address).is_file() for address in addresses)


def test_conclusions_come_first_then_pictures_then_numbers_then_settings(tmp_path: Path) -> None:
    """The page's order, by its anchors; tables are folded, and settings are not among the numbers."""
    store = make_store(
        tmp_path, [record(i) for i in range(3)], preflight=[{"name": "weights", "level": "ok", "found": "x"}]
    )
    html = build_report(
        store, [*poseig_report_sections(store, {}), conclusions_section(store, [about("a")])]
    ).read_text()
    assert anchors(html) == [
        "conclusions",
        "gallery",
        "overview",
        "indices",
        "scatter",
        "failures",
        "setup",
        "provenance",
    ]
    assert html.count('<figure class="table">') == len(re.findall(r"</summary>\n<figure class=\"table\">", html)) > 5
    assert html.index("Checked before the run") > html.index('<section id="setup"')
    assert html.index("What was diagnosed") > html.index('<section id="setup"')
    assert 'href="#gallery-person-000"' in html
    assert 'id="gallery-person-000"' in html


def test_three_have_pictures_two_a_line_and_the_rest_is_folded(tmp_path: Path) -> None:
    """Of seven conclusions."""
    store = make_store(tmp_path, [record(0)])
    html = build_report(store, [conclusions_section(store, [about(f"n{i}") for i in range(7)])]).read_text()
    first, rest = html.partition('<ol class="conclusions">')[2].split("</ol>", 1)
    assert [i for i in range(7) if f"n{i}" in first] == [0, 1, 2]
    before, more = rest.split("<summary>2 more</summary>")
    assert re.findall(r"<summary>So it is with (n\d)", before) == ["n3", "n4"]
    assert re.findall(r"<summary>So it is with (n\d)", more) == ["n5", "n6"]


def test_none_is_said(tmp_path: Path) -> None:
    """A sentence, and no empty list."""
    section = conclusions_section(make_store(tmp_path, [record(0)]), [])
    assert section.blocks == ()
    assert "Nothing stands out" in section.lead


def test_a_picture_that_cannot_be_drawn_leaves_its_sentence(tmp_path: Path) -> None:
    """A person who is not there: a failure with its id, and the conclusion without a picture."""
    store = make_store(tmp_path, [record(0)])
    section = conclusions_section(store, [about("a", pictures=(PersonPicture("nobody"), PersonPicture("1000-0")))])
    (block,) = section.blocks
    assert isinstance(block, Conclusions)
    assert [len(pictures) for pictures in block.pictures] == [1]
    assert [f.sample_id for f in section.failures] == ["nobody"]


def test_without_maps_the_person_is_shown(tmp_path: Path) -> None:
    """A joint's picture is then the input with the joints."""
    store = make_store(tmp_path, [record(0)], maps="none")
    section = conclusions_section(store, [about("a", pictures=(PersonPicture("1000-0", 0),))])
    assert section.failures == ()
    (block,) = section.blocks
    assert isinstance(block, Conclusions)
    assert len(block.pictures[0]) == 1


PLUGIN = """
from poseig_mm import hookimpl
from poseig_mm.types import Conclusion

@hookimpl
def poseig_conclusions(store):
    {body}
"""


@pytest.fixture(scope="module")
def planted_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The work dir and the terminal of a run with a plugin that concludes, and one that raises."""
    folder = tmp_path_factory.mktemp("planted")
    bodies = {
        "says": "return [Conclusion('mine', f'{len(store)} persons, says mine.', cost=9.0, cost_unit='AP', try_='it')]",
        "breaks": "raise ValueError('no conclusions today')",
    }
    for name, body in bodies.items():
        (folder / f"{name}.py").write_text(PLUGIN.format(body=body))
    made = tiny(folder / "data", {"attribution": {"quadrature": "midpoint", "nodes": 2, "compute": "exact"}}).train()
    plugins = [option for name in bodies for option in ("-p", str(folder / f"{name}.py"))]
    with redirect_stdout(StringIO()) as out:
        code = cli.main([str(made.config), str(made.weights), "--work-dir", str(folder / "w"), *plugins])
    assert code == 0
    return folder / "w", " ".join(out.getvalue().split())


def test_a_plugin_that_fails_leaves_the_other_conclusions(planted_run: tuple[Path, str]) -> None:
    """Its failure stands in the record and on the page."""
    work, _ = planted_run
    html = (work / "report" / "index.html").read_text()
    assert anchors(html)[0] == "conclusions"
    assert "3 persons, says mine." in html
    assert "no conclusions today" in html
    assert [(f.stage, f.plugin) for f in Store(work).failures] == [("report", "breaks")]


def test_the_terminal_ends_with_the_sentences_of_the_page(planted_run: tuple[Path, str]) -> None:
    """The verdict and each conclusion, after the table of numbers, in the order of the page."""
    work, out = planted_run
    html = (work / "report" / "index.html").read_text()
    lead = re.search(r'<p class="lead">([^<]+)</p>', html)
    assert lead is not None
    said = out[out.index("index.html") :]
    assert lead.group(1) in said
    assert "1. 3 persons, says mine. seen. Try: it." in said
