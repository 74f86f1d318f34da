"""The whole page, from a store to files that open from disk."""

from __future__ import annotations

import csv
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl
import pytest
from synthetic_store import COLUMNS, RUN, make_store, record

from poseig_mm.report.blocks import Listing, Notices
from poseig_mm.report.build import build_report
from poseig_mm.report.failures import failures_section
from poseig_mm.report.gallery import gallery_section
from poseig_mm.report.index_section import indices_section
from poseig_mm.report.overview import overview_section
from poseig_mm.report.plugin import poseig_report_sections
from poseig_mm.store import Store, StoreWriter
from poseig_mm.types import Failure, Picture, Section, Table

SECTIONS = ["gallery", "overview", "indices", "scatter", "failures", "setup", "provenance"]
VOID = {"meta", "link", "img", "br", "input", "hr"}


class Page(HTMLParser):
    """Elements with attributes, text per section, and unbalanced tags."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def sections(self) -> list[str]:
        return [a["id"] for a in self.all("section")]


def warnings(store: Store) -> str:
    """The overview's warnings."""
    (notices,) = (b for b in overview_section(store).blocks if isinstance(b, Notices))
    return " ".join(text for level, text in notices.rows if level == "warning")


def build(store: Store, **config: Any) -> Page:
    return Page(build_report(store, poseig_report_sections(store, config)))


def test_markup_is_balanced_and_ids_are_unique(page: Path) -> None:
    """Every tag that opens closes, in order, and no id stands twice."""
    parsed = Page(page)
    assert parsed.unbalanced == []
    assert parsed.open == []
    ids = [a["id"] for _, a in parsed.elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_sections_stand_in_order_and_in_the_navigation(page: Path) -> None:
    """Pictures, then numbers, settings and provenance last; the navigation links to exactly these."""
    parsed = Page(page)
    assert parsed.sections == SECTIONS
    links = [a["href"] for a in parsed.all("a") if a.get("href", "").startswith("#")]
    assert links[1:8] == [f"#{name}" for name in parsed.sections]


def test_every_address_is_a_file_beside_the_page(page: Path) -> None:
    """Nothing comes from a network, nothing is inlined, and every file that is named exists."""
    parsed = Page(page)
    addresses = [v for _, a in parsed.elements for k, v in a.items() if k in ("src", "href") and not v.startswith("#")]
    for address in addresses:
        if address == "data:,":  # an empty icon, so that browsers do not ask for one
            continue
        assert not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//|/", address), address
        assert (page.parent / unquote(address)).is_file(), address
    style_and_script = [page.parent / "assets" / name for name in ("report.css", "report.js", "scatter.js")]
    for path in (page, *style_and_script):
        assert not re.search(r"https?://|@import|url\(", path.read_text(encoding="utf-8"))


def test_images_are_lazy_and_described(page: Path) -> None:
    """Each image but the viewer's own waits until it is scrolled to, and has a text for those who do not see it."""
    images = [a for a in Page(page).all("img") if "src" in a]
    assert len(images) > 20
    assert all(a["loading"] == "lazy" and a["alt"] for a in images)


def test_figures_are_there_for_papers(page: Path) -> None:
    """Every figure of the page is an SVG in it, and a PDF and a PNG in the work dir's figures/."""
    svgs = {p.stem for p in (page.parent / "assets" / "figures").glob("*.svg")}
    assert svgs == {"overview-trust", "indices-joints", "indices-groups", "indices-relations", "scatter-joints"}
    for suffix in ("pdf", "png"):
        assert {p.stem for p in (page.parent.parent / "figures").glob(f"*.{suffix}")} == svgs


def test_csv_of_the_joints_holds_the_means_of_the_store(page: Path, store: Store) -> None:
    """The table's file has, at full precision, the mean that polars computes from the rows."""
    with (page.parent / "assets" / "tables" / "indices-Per-joint.csv").open(newline="") as file:
        rows = {row["joint"]: row for row in csv.DictReader(file)}
    visible = store.joints().filter(pl.col("visible"))
    assert set(rows) == set(visible["joint_name"])
    for name, row in rows.items():
        own = visible.filter(pl.col("joint_name") == name)
        assert int(row["n"]) == len(own)
        for column, title in (("epe", "EPE (px)"), ("di", "DI"), ("fi", "FI"), ("li", "LI")):
            assert float(row[title]) == pytest.approx(own[column].mean(), rel=1e-12)
            if own.filter(pl.col(column).is_finite())["image_id"].n_unique() < 4:
                assert row[f"{title} low"] == row[f"{title} high"] == ""
            else:
                assert float(row[f"{title} low"]) <= float(row[title]) <= float(row[f"{title} high"])


def test_a_store_without_persons_says_so(tmp_path: Path) -> None:
    """No samples: a page with the same sections, and a sentence instead of numbers."""
    with StoreWriter(tmp_path, identity={}, **COLUMNS) as writer:
        writer.update_run(**RUN)
        writer.record_failure(Failure("sample", "cannot read x.jpg", "DataError", sample_id="7-7"))
    parsed = build(Store(tmp_path))
    assert parsed.sections == SECTIONS
    assert "No person was diagnosed" in parsed.text
    assert "cannot read x.jpg" in parsed.text
    assert "Traceback" not in parsed.text
    assert "could not be made" not in parsed.text


def test_without_masks_fi_is_a_dash_with_its_reason(tmp_path: Path) -> None:
    """All FI are NaN: the page shows a dash, never 0 or nan, and says why."""
    parsed = build(make_store(tmp_path, [record(i, mask=False) for i in range(2)]))
    assert "No person has a mask" in parsed.text
    assert "no mask of this person" in parsed.text
    assert not re.search(r"\bnan\b", parsed.text, re.IGNORECASE)
    with (tmp_path / "report/assets/tables/indices-Per-group.csv").open(newline="") as file:
        assert {row["FI"] for row in csv.DictReader(file)} == {""}


def test_no_failure_is_said(page: Path) -> None:
    """Where nothing failed, the section on failures says "None"."""
    assert "None: nothing failed." in Page(page).text


def test_failures_are_grouped_and_counted(tmp_path: Path) -> None:
    """Three failures of one kind are one line with their number, the first message and the first sample."""
    failures = tuple(Failure("sample", f"bad {i}", "DataError", sample_id=f"s{i}") for i in range(3))
    section = failures_section(make_store(tmp_path, [record(0)], failures=failures))
    table = section.blocks[0]
    assert isinstance(table, Table)
    assert table.rows == (("sample", "", "DataError", 3, "bad 0", "s0"),)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"model": {**RUN["model"], "random_weights": True}}, "random weights"),
        ({"keypoints": {**RUN["keypoints"], "derived": True}}, "derived from the data set's skeleton"),
        (
            {"agreement": {"n": 10, "share_within": 0.9, "mean_distance": 3.0, "threshold": 4.0, "unit": "px"}},
            "Below 95 %",
        ),
    ],
)
def test_weak_spots_are_warnings(tmp_path: Path, store: Store, run: dict[str, Any], said: str) -> None:
    """What weakens the numbers stands in a warning of the overview, and only then."""
    assert said in warnings(make_store(tmp_path, [record(0)], **run))
    assert said not in warnings(store)


def test_persons_who_failed_are_a_warning(tmp_path: Path) -> None:
    """Two persons could not be loaded: the overview says that the numbers are without them."""
    failures = tuple(Failure("sample", "corrupt", "DataError", sample_id=f"s{i}") for i in range(2))
    assert "2 persons failed and are missing" in warnings(make_store(tmp_path, [record(0)], failures=failures))


def test_run_notes_are_shown(page: Path) -> None:
    """What was changed in the user's config stands on the page."""
    assert "bbox_file was replaced by the annotated boxes" in Page(page).text


def test_what_was_left_out_of_the_fast_way_is_shown(tmp_path: Path, page: Path) -> None:
    """By name among the remarks, and as a line of the provenance; nothing of it where nothing was left out."""
    about = {
        "folded_batch_norm": True,
        "backward_dtype": "float32",
        "note": "the backward pass stays in float32: old torch",
    }
    text = build(make_store(tmp_path, [record(0)], acceleration=about)).text
    assert "Speed: the backward pass stays in float32: old torch. The maps are the same" in text
    assert "backward_dtype" in text
    assert "Speed:" not in Page(page).text
    assert "Speed:" not in build(make_store(tmp_path / "fast", [record(0)], acceleration={**about, "note": ""})).text


CHECKS = [
    {"name": "weights", "level": "ok", "found": "weights.pth, hash abc", "advice": ""},
    {"name": "masks", "level": "warning", "found": "0 of the first 6 persons", "advice": "draw <b>masks</b>"},
]


def test_what_was_checked_before_is_a_table(tmp_path: Path, page: Path) -> None:
    """The gravest first, with what to do; what a check says is no remark too.  Runs of before have remarks alone."""
    parsed = build(make_store(tmp_path, [record(0)], preflight=CHECKS))
    text = parsed.text
    assert text.index("0 of the first 6 persons") < text.index("weights.pth, hash abc")
    assert "draw <b>masks</b>" in text
    assert {"warning", "ok"} <= {a.get("class") for a in parsed.all("tr")}
    assert "Decoding: 97.4 % of 78 joints" not in text
    assert "Checked before the run" not in Page(page).text
    assert "Decoding: 97.4 % of 78 joints" in Page(page).text


def test_text_of_the_store_cannot_become_markup(tmp_path: Path) -> None:
    """Names, messages and notes are text, whatever they hold."""
    evil = "<script>alert('x')</script>"
    failure = Failure("sample", evil, "E", plugin=evil, sample_id="é関節 <b>")
    notes = [evil]
    made = make_store(tmp_path, [record(0, name='"><img src=x onerror=alert(1)>')], failures=(failure,), notes=notes)
    parsed = build(made)
    assert all(set(a) == {"src", "defer"} for a in parsed.all("script"))
    assert not any("onerror" in a for a in parsed.all("img"))
    assert parsed.text.count(evil) >= 2
    assert "é関節 <b>" in parsed.text


def test_indices_of_plugins_are_summarised(tmp_path: Path) -> None:
    """A further index of the run is a column of the tables, under its own title."""
    rows = record(0)
    for row in rows.joints:
        row["entropy"] = 2.5 if row["visible"] else math.nan  # type: ignore[index]
    with StoreWriter(tmp_path, identity={}, **{**COLUMNS, "indices": [*COLUMNS["indices"], "entropy"]}) as writer:
        about = [*RUN["indices"], {"name": "entropy", "title": "Entropy", "unit": "bit", "kind": "joint"}]
        writer.update_run(**{**RUN, "indices": about})
        writer.write([rows])
    table = indices_section(Store(tmp_path)).blocks[0]
    assert isinstance(table, Table)
    assert table.columns[-1] == "Entropy (bit)"
    assert table.rows[-1][-1].mean == 2.5


def test_building_twice_leaves_no_old_file(tmp_path: Path) -> None:
    """A second build takes the place of the first: a gallery of one person has the pictures of one."""
    made = make_store(tmp_path, [record(i) for i in range(2)])
    build_report(made, [gallery_section(made)])
    build_report(made, [gallery_section(made, 1)])
    assert len(list((tmp_path / "report/assets/gallery").glob("*-strip.jpg"))) == 1


def test_the_page_stays_small_however_many_failures(tmp_path: Path) -> None:
    """Long tables are cut on the page and whole in the CSV."""
    failures = tuple(Failure("sample", "x" * 300, "DataError", sample_id=f"s{i}") for i in range(900))
    made = make_store(tmp_path, [record(0)], failures=failures)
    build_report(made, [failures_section(made)])
    index = tmp_path / "report/index.html"
    assert index.stat().st_size < 200_000
    assert index.read_text().count("<tr>") < 320
    text = (tmp_path / "report/assets/tables/failures-Samples-that-failed.csv").read_text()
    assert text.count("\n") == 901


def test_relations_of_plugins_have_their_figure(tmp_path: Path) -> None:
    """As RI has: with what the index says it means, and which value says 'no preference'."""
    rows = record(0)
    for row in rows.relations:
        row["shared"] = -row["ri"]  # type: ignore[index]
    with StoreWriter(tmp_path, identity={}, indices=COLUMNS["indices"], relations=["ri", "shared"]) as writer:
        mine = {"name": "shared", "title": "Shared", "unit": "bit", "meaning": "less is more", "neutral": None}
        writer.update_run(**{**RUN, "indices": [*RUN["indices"], {**mine, "kind": "relation"}]})
        writer.write([rows])
    ri, shared = (b for b in indices_section(Store(tmp_path)).blocks if isinstance(b, Picture) and "relat" in b.name)
    assert (ri.name, shared.name, shared.caption) == ("relations", "relations-shared", "Shared (bit): less is more.")
    images = []
    for picture, label in ((ri, "RI, 1 = no preference"), (shared, "Shared (bit)")):
        matrix, bar = picture.figure.axes  # type: ignore[union-attr]
        assert bar.get_ylabel() == label
        images.append(matrix.images[0])
    assert [type(image.norm).__name__ for image in images] == ["LogNorm", "Normalize"]
    assert images[1].get_array().max() <= 0


def test_importing_the_report_loads_no_torch() -> None:
    """Rebuilding and listing plugins stay quick: torch, matplotlib and jinja2 come only when something is drawn."""
    code = (
        "import sys, poseig_mm.report.build, poseig_mm.report.plugin; "
        "print([m for m in ('torch', 'matplotlib', 'jinja2', 'mmpose') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_listing_is_shown_as_it_is_and_escaped(tmp_path: Path) -> None:
    """Lines and blanks stay; what looks like markup is text; no table is written for it."""
    text = "a = dict(\n    b='<b>&amp;</b>')\n"
    section = Section("recipe", "Recipe", "", (Listing("Copy it.", ("text",), ((text,),)),))
    out = tmp_path / "report"
    build_report(make_store(tmp_path / "run", [record(0)]), [section], out)
    page = (out / "index.html").read_text()
    assert "<code>a = dict(\n    b=&#39;&lt;b&gt;&amp;amp;&lt;/b&gt;&#39;)\n</code></pre>" in page
    assert Page(out / "index.html").unbalanced == []
    assert not list((out / "assets").rglob("*.csv"))


def test_a_single_person_has_no_tables_of_intervals(tmp_path: Path, page: Path) -> None:
    """Means alone, and nothing that says they had intervals; six persons have them."""
    text = build(make_store(tmp_path, [record(0)])).text
    assert "interval per joint" not in text
    assert "95 % interval" not in text
    assert "Per joint: means (so few images have no intervals)." in text
    assert "Per joint: mean [95 % interval], images resampled." in Page(page).text


def test_a_run_without_annotations_has_no_column_of_errors(tmp_path: Path) -> None:
    """Where nobody was annotated, EPE is in no table; the indices are."""
    people = [record(i) for i in range(5)]
    for person in people:
        for row in person.joints:
            row["epe"] = math.nan  # type: ignore[index]
    store = make_store(tmp_path, people)
    build(store)
    for name in ("indices-Per-joint", "indices-Per-group"):
        header, row, *_ = (tmp_path / f"report/assets/tables/{name}.csv").read_text().splitlines()
        assert "EPE" not in header
        assert "DI" in header
        assert re.search(r",\d+,", row)
    assert "not annotated" in overview_section(store).lead
