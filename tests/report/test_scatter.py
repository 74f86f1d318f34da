"""Index against error: which points, which pictures, and what the page's script is given."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image
from synthetic_store import make_store, record

from poseig_mm.report import scatter_section as module
from poseig_mm.report.blocks import LinkedScatter
from poseig_mm.report.build import build_report
from poseig_mm.report.failures import failures_section
from poseig_mm.report.gallery import gallery_section
from poseig_mm.report.person import main
from poseig_mm.report.scatter_section import chosen_sheets, scatter_section, thinned
from poseig_mm.store import SampleRecord, Store
from poseig_mm.types import Picture


def block_of(store: Store, sheets: int = 0) -> LinkedScatter:
    (block,) = scatter_section(store, sheets=sheets).blocks
    assert isinstance(block, LinkedScatter)
    return block


def test_every_visible_joint_is_a_point_with_its_numbers(store: Store) -> None:
    """Sample, joint, group, error and indices of the store, to five figures."""
    data = block_of(store).points
    rows = store.joints().filter(pl.col("visible")).to_dicts()
    assert len(data["epe"]) == len(rows)
    for i, row in enumerate(rows):
        assert data["samples"][data["sample"][i]] == row["sample_id"]
        assert data["joints"][data["joint"][i]] == row["joint_name"]
        assert data["groups"][data["group"][i]]["name"] == row["group"]
        assert data["epe"][i] == pytest.approx(row["epe"], rel=1e-4)
        for name in ("di", "fi", "li", "map_error"):
            assert data["values"][name][i] == pytest.approx(row[name], rel=1e-4)


def test_groups_differ_in_colour_and_mark(store: Store) -> None:
    """Whoever cannot tell the colours has the marks."""
    groups = block_of(store).points["groups"]
    assert len({g["color"] for g in groups}) == len({g["symbol"] for g in groups}) == len(groups) == 3


def test_missing_numbers_are_null_with_their_reason(tmp_path: Path) -> None:
    """Without masks FI is null everywhere, never 0, and the script knows why."""
    data = block_of(make_store(tmp_path, [record(0, mask=False)])).points
    assert set(data["values"]["fi"]) == {None}
    (fi,) = (m for m in data["measures"] if m["name"] == "fi")
    assert fi["missing"] == "no_mask"
    json.dumps(data, allow_nan=False)


def test_more_points_than_a_browser_draws_are_thinned_and_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seeded draw, and the lead says how many of how many."""
    monkeypatch.setattr(module, "MOST_POINTS", 10)
    section = scatter_section(store, sheets=0)
    assert len(section.blocks[0].points["epe"]) == 10  # type: ignore[union-attr]
    assert "Shown are 10 of them, a seeded draw" in section.lead


def test_the_draw_does_not_depend_on_the_order_of_rows(store: Store) -> None:
    """A resumed run has its rows elsewhere, and the same points; they come from all over the run."""
    rows = store.joints()
    one = set(thinned(rows, 30).select("sample_id", "joint").rows())
    assert one == set(thinned(rows.sample(fraction=1, shuffle=True, seed=3), 30).select("sample_id", "joint").rows())
    assert len(one) == 30
    assert len({sample for sample, _ in one}) == 6


def test_pictures_go_to_the_worst_the_best_and_a_draw() -> None:
    """A third each, nobody twice, nobody who has one already or no map."""
    samples = pl.DataFrame(
        {
            "sample_id": [f"s{i:03d}" for i in range(100)],
            "mepe": [float(i) for i in range(100)],
            "maps_file": ["m"] * 99 + [None],
        }
    )
    chosen = chosen_sheets(samples, {"s098"}, 9)
    assert chosen[:6] == ["s097", "s096", "s095", "s002", "s001", "s000"]
    assert len(set(chosen)) == 9
    assert chosen == chosen_sheets(samples.reverse(), {"s098"}, 9)
    for limit in range(8):
        assert len(set(chosen_sheets(samples, set(), limit))) == limit


def test_pictures_of_the_gallery_are_shared(store: Store, page: Path) -> None:
    """Samples of the gallery link to its files, the others to sheets; every file is there."""
    data = points_of(page)
    kinds = {("gallery" if "gallery" in of["whole"] else "sheet") for of in data["pictures"].values()}
    assert kinds == {"gallery", "sheet"}
    assert set(data["pictures"]) == set(store.sample_ids)
    for of in data["pictures"].values():
        assert of["joints"] or of["cells"]
        for address in (of["whole"], *of["joints"].values()):
            assert (page.parent / address).is_file()


def test_only_what_it_is_given_is_linked(tmp_path: Path) -> None:
    """Pictures of an earlier build that still lie there are not taken for this one's."""
    store = make_store(tmp_path, [record(i) for i in range(2)])
    pictures = gallery_section(store, 2).pictures
    assert set(pictures) == set(store.sample_ids)
    assert all(set(of.joints) and of.whole.is_file() for of in pictures.values())
    assert block_of(store).samples == {}
    (block,) = scatter_section(store, pictures, 0).blocks
    assert block.samples == pictures  # type: ignore[union-attr]


def points_of(page: Path) -> dict[str, Any]:
    text = (page.parent / "assets" / "scatter-points.js").read_text()
    return json.loads(text[text.index("] = ") + 4 :].rstrip(";\n"))  # type: ignore[no-any-return]


def test_plotly_is_loaded_once_and_lies_beside_the_page(page: Path) -> None:
    """Not inlined; deferred, like everything that needs the page."""
    html = page.read_text()
    assert html.count("plotly.min.js") == 1
    assert '<script src="assets/plotly.min.js" defer></script>' in html
    assert "plotly.js v" in (page.parent / "assets" / "plotly.min.js").read_text()[:200]


def test_without_plotly_there_is_a_picture_and_a_sentence(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page is whole, and no script asks for what is not there."""
    monkeypatch.setattr("poseig_mm.report.rendering.find_spec", lambda name: None)
    section = scatter_section(store, sheets=0)
    assert type(section.blocks[0]) is Picture
    assert "plotly is not installed" in section.lead
    index = build_report(store, [section], tmp_path / "page")
    assert "plotly.min.js" not in index.read_text()
    assert list((tmp_path / "page" / "assets" / "figures").glob("*.svg"))


def test_a_store_without_errors_says_so(tmp_path: Path) -> None:
    """Nothing visible: a sentence, no empty axes."""
    rows = record(0)
    rows = replace(rows, joints=[{**row, "epe": math.nan} for row in rows.joints])
    section = scatter_section(make_store(tmp_path, [rows]))
    assert section.blocks == ()
    assert "nothing to plot" in section.lead


def test_a_sheet_holds_every_joint_s_map_in_its_place(store: Store, tmp_path: Path) -> None:
    """Cells tile the sheet without overlap, one for each map; the command line draws the same."""
    pictures = next(iter(block_of(store, 1).samples.items()))
    sample_id, of = pictures
    visible = store.joints().filter((pl.col("sample_id") == sample_id) & pl.col("visible"))
    assert set(of.cells) == set(visible["joint"])
    assert len(set(of.cells.values())) == len(of.cells)
    for left, top, width, height in of.cells.values():
        assert 0 <= left < left + width <= 1 + 1e-9
        assert 0 <= top < top + height <= 1 + 1e-9
    main([str(store.path), sample_id, str(tmp_path / "one.jpg")])
    with Image.open(of.whole) as a, Image.open(tmp_path / "one.jpg") as b:
        assert a.size == b.size


def test_the_command_that_the_page_names_runs(store: Store, tmp_path: Path) -> None:
    """As a process of its own; an unknown sample is named."""
    line = [sys.executable, "-m", "poseig_mm.report.person", str(store.path), "nobody", str(tmp_path / "x.jpg")]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode != 0
    assert "no sample 'nobody'" in done.stderr


def many(n: int, with_maps: int) -> list[SampleRecord]:
    """Persons of a large run: six that repeat under other names, the first few with maps."""
    six, found = [record(i) for i in range(6)], []
    for i in range(n):
        of, name = six[i % 6], f"{100000 + i}-{i}"
        rename = {"sample_id": name, "image_id": str(100000 + i), "instance_id": str(i)}
        kept = {} if i < with_maps else {"maps": None, "display": None}
        sample, joints = {**of.sample, **rename}, [{**row, **rename} for row in of.joints]
        found.append(replace(of, sample_id=name, sample=sample, joints=joints, relations=[], **kept))
    return found


def test_a_page_of_two_thousand_persons_stays_small(tmp_path: Path) -> None:
    """index.html is far below 6 MB, with plotly and points too; pictures wait until they are looked at."""
    store = make_store(tmp_path, many(2000, 6))
    gallery = gallery_section(store, 1)
    sections = (gallery, scatter_section(store, gallery.pictures, 3), failures_section(store))
    index = build_report(store, sections)
    html = index.read_text()
    assert len(html) < 300_000
    loaded = sum(path.stat().st_size for path in (index, *index.parent.glob("assets/*.*")))
    assert loaded < 6_000_000
    assert html.count("<img src") == html.count('loading="lazy"')
    data = points_of(index)
    assert len(data["epe"]) == 10_000
    assert "Shown are 10000 of them" in html
