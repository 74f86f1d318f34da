"""Which persons are shown, and what is left out when something is missing."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import synthetic_store
from PIL import Image
from synthetic_store import RUN, make_store, record

from poseig_mm.report.blocks import Cover, PersonGallery
from poseig_mm.report.gallery import choose, gallery_section
from poseig_mm.report.person import draw_sample
from poseig_mm.report.plugin import poseig_report_sections
from poseig_mm.store import Store
from poseig_mm.types import Section


def frame(mepe: list[float], maps: list[str | None] | None = None) -> pl.DataFrame:
    ids = [f"s{i}" for i in range(len(mepe))]
    return pl.DataFrame(
        {"sample_id": ids, "mepe": mepe, "maps_file": maps or ["m"] * len(ids)}, schema_overrides={"mepe": pl.Float64}
    )


def test_worst_median_and_best_are_chosen() -> None:
    """Of 0 ... 99 px and six places: the two largest, two around the middle, the two smallest."""
    chosen = choose(frame([float(i) for i in range(100)]), 6)
    assert [(kind, row["mepe"]) for kind, row in chosen] == [
        ("worst", 99), ("worst", 98), ("median", 50), ("median", 49), ("best", 1), ("best", 0),
    ]  # fmt: skip


@pytest.mark.parametrize("limit", range(1, 9))
def test_nobody_is_chosen_twice(limit: int) -> None:
    """Any limit: as many as asked for, all different, from the worst down."""
    chosen = choose(frame([3.0, 1.0, 4.0, 1.5, 9.0, 2.6, 5.0]), limit)
    ids = [row["sample_id"] for _, row in chosen]
    assert len(ids) == min(limit, 7) == len(set(ids))
    errors = [row["mepe"] for _, row in chosen]
    assert errors == sorted(errors, reverse=True)


def test_persons_with_maps_come_first_and_those_without_joints_never() -> None:
    """Where only some kept their maps, these are shown; NaN errors are not ranked."""
    chosen = choose(frame([9.0, 5.0, float("nan")], [None, "m", "m"]), 3)
    assert [row["sample_id"] for _, row in chosen] == ["s1"]
    assert choose(frame([9.0]), 0) == []


def galleries(made: Store) -> list[PersonGallery]:
    return persons_of(gallery_section(made))


def persons_of(section: Section) -> list[PersonGallery]:
    """All blocks but the first, the cover."""
    cover, *persons = section.blocks
    assert isinstance(cover, Cover)
    assert all(isinstance(person, PersonGallery) for person in persons)
    return persons  # type: ignore[return-value]


@pytest.mark.parametrize(("settings", "shown"), [({"report": {"gallery": 1}}, 1), ({}, 3)])
def test_the_run_s_own_setting_counts(tmp_path: Path, settings: dict[str, Any], shown: int) -> None:
    """`diagnosis.report.gallery` as run.json has it, whatever config is at hand; runs without it have the default."""
    made = make_store(tmp_path, [record(i) for i in range(3)], settings=settings)
    (section,) = (
        s for s in poseig_report_sections(made, {"diagnosis": {"report": {"gallery": 2}}}) if s.name == "gallery"
    )
    assert len(persons_of(section)) == shown


def test_each_visible_joint_has_a_tile(tmp_path: Path) -> None:
    """A strip, then one picture a joint that has a map, with its numbers in words."""
    made = make_store(tmp_path, [record(0)])
    (gallery,) = galleries(made)
    visible = made.joints().filter(pl.col("visible"))
    assert len(gallery.images) == 1 + len(visible)
    caption = gallery.images[1][1].replace("\u00a0", " ")
    row = visible.row(0, named=True)
    assert caption.startswith(
        f"{row['joint_name']} · EPE {row['epe']:.1f} px · DI {row['di']:.1f} · FI {row['fi']:.2f}"
    )


def test_a_number_of_one_joint_has_its_error_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the run states one; an error that is unknown is not made up."""
    monkeypatch.setitem(synthetic_store.COLUMNS, "errors", ("fi_error", "li_error"))
    person = record(0)
    for joint in person.joints:
        assert isinstance(joint, dict)
        joint |= {"fi": 1.8, "fi_error": 0.123, "li_error": math.nan}
    (gallery,) = galleries(make_store(tmp_path, [person]))
    caption = gallery.images[1][1].replace("\u00a0", " ")
    assert " · FI 1.80 ± 0.12 · LI " in caption
    assert caption.count("±") == 1


def test_the_strip_shows_the_original_image_and_a_note_where_it_is_gone(tmp_path: Path) -> None:
    """Without the file there is one panel less and a sentence that says so."""
    with_file = gallery_section(make_store(tmp_path / "a", [record(0)]))
    lost = record(0)
    lost = replace(lost, sample={**lost.sample, "image_path": str(tmp_path / "gone.jpg")})
    without = gallery_section(make_store(tmp_path / "b", [lost]))
    widths = [Image.open(persons_of(s)[0].images[0][0]).width for s in (with_file, without)]
    assert widths[0] > widths[1] + 100
    assert "original image is gone" in without.lead
    assert "original image is gone" not in with_file.lead


@pytest.mark.parametrize("missing", ["maps", "display"])
def test_missing_maps_or_inputs_are_said(tmp_path: Path, missing: str) -> None:
    """The rest is drawn."""
    section = gallery_section(make_store(tmp_path, [replace(record(0), **{missing: None})]))
    assert {"maps": "No maps were kept", "display": "The input was not kept"}[missing] in section.lead
    assert len(persons_of(section)) == 1
    assert section.failures == ()


def test_pooled_maps_are_drawn(tmp_path: Path) -> None:
    """Maps kept at a sixteenth of their size are shown at the input's."""
    (gallery,) = galleries(make_store(tmp_path, [record(0)], maps="pooled"))
    assert len(gallery.images) > 5


def test_maps_by_rank_show_their_order_alone(tmp_path: Path) -> None:
    """Maps and their fourth powers: by rank both sheets are alike, by peak they are not; the lead says which."""
    rows = record(0)
    maps = np.asarray(rows.maps, dtype=np.float64)
    maps = np.where(np.isfinite(maps), np.round(maps, 1), maps)  # ten steps: kept apart by float16
    sheets = {}
    for shown in ("peak", "rank"):
        for power in (1, 4):
            folder = tmp_path / f"{shown}{power}"
            settings = {**RUN["settings"], "report": {"gallery": 1, "maps_shown": shown}}
            made = make_store(folder, [replace(rows, maps=maps**power)], settings=settings)
            draw_sample(made, made.sample_ids[0], tmp_path / "sheet.png")
            sheets[shown, power] = np.asarray(Image.open(tmp_path / "sheet.png")).astype(int)
            assert ("rank" in gallery_section(made).lead) == (shown == "rank")
    assert np.abs(sheets["rank", 1] - sheets["rank", 4]).max() == 0
    assert np.abs(sheets["peak", 1] - sheets["peak", 4]).max() > 20
    assert np.abs(sheets["peak", 1] - sheets["rank", 1]).max() > 20


def test_joints_in_millimetres_are_not_drawn_on_the_image(tmp_path: Path) -> None:
    """3D joints have no place in the input frame; the maps are shown all the same."""
    rows = record(0)
    rows = replace(rows, joints=[{**row, "unit": "mm"} for row in rows.joints])
    section = gallery_section(make_store(tmp_path, [rows]))
    assert "other units than pixels" in section.lead
    assert section.failures == ()


def test_a_person_who_cannot_be_drawn_is_a_failure_and_the_others_are_shown(tmp_path: Path) -> None:
    """A display of another size than its maps: one failure with the sample's id, one person shown."""
    bad = replace(record(1), display=np.zeros((5, 4, 3), np.uint8))
    section = gallery_section(make_store(tmp_path, [record(0), bad]))
    assert len(persons_of(section)) == 1
    assert [f.sample_id for f in section.failures] == ["1001-1"]


def test_a_map_of_one_pixel_is_drawn_without_its_density(tmp_path: Path) -> None:
    """One pixel has no spread; the tile has one panel, not an error."""
    rows = record(0)
    assert rows.maps is not None
    maps = np.array(rows.maps)
    maps[0] = 0
    maps[0, 40, 40] = 1
    section = gallery_section(make_store(tmp_path, [replace(rows, maps=maps)]))
    assert section.failures == ()


def test_the_cover_shows_the_worst_a_typical_and_the_best_person(tmp_path: Path) -> None:
    """Six persons: three pictures, each of which leads to the gallery of its person."""
    cover, *persons = gallery_section(make_store(tmp_path, [record(i) for i in range(6)])).blocks
    assert isinstance(cover, Cover)
    assert [caption.split(":")[0] for _, caption in cover.images] == ["worst", "typical", "best"]
    captions = {person.key: person.caption for person in persons if isinstance(person, PersonGallery)}
    assert [captions[key] for key in cover.keys] == [caption for _, caption in cover.images]
    assert cover.images[0][1].startswith("worst: 1005-5")
    assert cover.images[-1][1].startswith("best: 1000-0")


def test_the_cover_leaves_out_black_padding(tmp_path: Path) -> None:
    """A person in the middle third of a black input: the two panels show that third alone."""
    person = record(0)
    assert person.display is not None
    display = np.zeros_like(person.display)
    display[40:80, 30:60] = 200
    cover = gallery_section(make_store(tmp_path, [replace(person, display=display)])).blocks[0]
    assert isinstance(cover, Cover)
    width, height = Image.open(cover.images[0][0]).size
    assert width / height == pytest.approx(2 * 30 / 40, rel=0.05)
