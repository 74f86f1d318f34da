"""Shortcuts: persons with maps made by hand, for each cause; a whole run; and what the section says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from planted import COCO, record, store_of
from read_from import (
    ARMS,
    CONTEXT,
    ELBOW,
    MARK,
    RIGHT,
    VARIANTS,
    WRIST,
    Array,
    crowd,
    disc,
    mark,
    person,
    table,
)
from tiny import IDS, run, tiny

from poseig_mm.errors import ConfigError
from poseig_mm.studies.shortcuts.joint_shares import JointEvidence, evidence_of_joints, flipped_persons
from poseig_mm.studies.shortcuts.study import Shortcuts
from poseig_mm.types import Picture, Table


def wrist(rows: pl.DataFrame, joint: int = WRIST) -> JointEvidence:
    """The left wrist's evidence, by default."""
    return next(j for j in evidence_of_joints(rows) if j.joint == joint)


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_cause_is_named(variant: str) -> None:
    """The planted wrist's cause, and no other joint is accused."""
    joints = evidence_of_joints(crowd(variant))
    assert {j.name: j.cause.code for j in joints if j.joint != WRIST} == {
        COCO.keypoint_names[k]: "own" for k in ARMS if k != WRIST
    }
    assert wrist(crowd(variant)).cause.code == variant


@pytest.mark.parametrize(("variant", "place"), [("own", "own"), ("parent", "parent"), ("partner", "partner")])
def test_shares_are_exact(variant: str, place: str) -> None:
    """Half of the mass in one place, half spread: 0.5 + 0.5 times the place's area, everywhere else half the area."""
    rows = crowd(variant).filter(pl.col("joint") == WRIST).to_dicts()
    for row in rows:
        for other in ("own", "limb", "parent", "partner", "other", "person", "background"):
            assert row[f"share_{other}"] == pytest.approx(0.5 * (other == place) + 0.5 * row[f"area_{other}"], abs=1e-6)
        assert sum(row[f"area_{p}"] for p in ("own", "limb", "parent", "partner", "other", "person", "background")) == (
            pytest.approx(1.0)
        )


def test_a_mark_is_measured_around_its_spot() -> None:
    """The first spot lies at the mark, and its disc holds all of it: its share is 0.5 + 0.5 of the disc's area."""
    rows = crowd("mark").filter(pl.col("joint") == WRIST)
    assert np.hypot(rows["spot1_x"] - MARK[0], rows["spot1_y"] - MARK[1]).max() <= 0.75  # px: joints lie between pixels
    assert np.allclose(rows["spot1_share"], 0.5 + 0.5 * rows["spot1_area"], atol=1e-6)
    found, free = wrist(crowd("mark")), ~rows["spot1_place"].is_in(("own", "parent", "partner"))
    assert found.offset == pytest.approx(MARK, abs=1)
    assert (found.persons, found.measures["fixed"].mean) == (12, pytest.approx(free.mean()))
    assert found.measures["mark"].mean == pytest.approx(0.5 * free.mean() / rows["spot1_area"].mean() + 0.5, rel=0.1)


def test_half_a_mark_half_a_joint_is_undecided() -> None:
    """As much mass on the mark as on the joint: neither interval lies above the other."""
    rows = table([person(i, lambda p, m: 0.5 * mark(p, m) + 0.5 * disc(p[WRIST], 3)) for i in range(12)])
    assert wrist(rows).cause.code == "undecided"


def test_a_mark_that_moves_is_no_mark() -> None:
    """The same spot at another angle in each person: no fixed offset."""

    def moving(points: Array, mask: Array) -> Array:
        turn = points[WRIST].sum() * 7
        return disc(points[WRIST] + 13 * np.array([np.cos(turn), np.sin(turn)]), 3)

    found = wrist(table([person(i, moving) for i in range(12)]))
    assert found.cause.code != "mark"
    assert found.measures["mark"].high < 4


def test_turned_persons_have_no_left_right_cue() -> None:
    """A third of the persons turned left for right: no joint has a left-right cue."""
    rows = table([person(i, VARIANTS["own"], flip=i % 3 == 0) for i in range(12)])
    flipped = flipped_persons(rows)
    assert (flipped.n, flipped.mean) == (12, pytest.approx(1 / 3))
    assert {j.cause.code for j in evidence_of_joints(rows)} == {"left_right"}
    assert flipped_persons(crowd("own")).mean == 0.0


def test_one_inverted_pair_is_no_turned_person() -> None:
    """Wrists alone exchanged: two joints of many; an elbow found nowhere near is no inversion."""
    found = person(0, VARIANTS["own"])
    found.prediction[ELBOW] += 200
    found.prediction[[WRIST, RIGHT]] = found.prediction[[RIGHT, WRIST]]
    rows = table([found])
    assert rows.filter("inverted")["joint"].to_list() == [WRIST, RIGHT]
    assert flipped_persons(rows).mean == 0.0


def test_kin_that_is_too_near_is_not_told_apart() -> None:
    """Eyes 6 px from the nose: no parent is measured there, and none accused."""
    rows = table([person(i, VARIANTS["own"], visible=(0, 1, ELBOW, WRIST)) for i in range(2)])
    assert not rows.filter(pl.col("joint_name") == "left_eye")["parent_apart"].any()
    assert rows.filter(pl.col("joint") == WRIST)["parent_apart"].all()
    eye = next(j for j in evidence_of_joints(rows) if j.name == "left_eye")
    assert eye.measures["parent"].n == 0


def test_without_masks() -> None:
    """Person and background are NaN with a reason; joints are still told, a background is not."""
    for variant, cause in (("partner", "partner"), ("mark", "mark"), ("own", "own"), ("context", "undecided")):
        rows = table([person(i, VARIANTS[variant], masked=False) for i in range(12)])
        assert set(rows["reason"]) == {"no_mask"}
        found = wrist(rows)
        assert math.isnan(found.shares["background"].mean)
        assert found.measures["background"].n == 0
        assert found.cause.code == cause


def test_few_persons() -> None:
    """Seven are too few."""
    found = wrist(crowd("mark").filter(pl.col("sample_id") < "007-1"))
    assert (found.persons, found.cause.code) == (7, "undecided")


def test_joints_that_are_not_there_have_no_row() -> None:
    """Only visible ones; a partner that is not visible takes no mass."""
    rows = table([person(0, VARIANTS["partner"], visible=(ELBOW, WRIST))])
    assert rows["joint"].to_list() == [ELBOW, WRIST]
    assert rows["area_partner"].to_list() == [0.0, 0.0]
    assert not rows["partner_apart"].any()


def test_rows_without_numbers_say_why() -> None:
    """A zero map, an input that is no image, a person without a size."""
    found = person(0, VARIANTS["own"], visible=(ELBOW, WRIST))
    found.attribution.maps[WRIST] = math.nan
    assert table([found])["reason"].to_list() == ["", "no_map"]
    sequence = replace(found, sample=replace(found.sample, pixels=None))
    assert table([sequence])["reason"].to_list() == ["no_place", "no_place"]
    found.sample.mask[:] = False  # type: ignore[index]
    assert table([found]).row(0, named=True)["reason"] == "empty_mask"
    assert table([found])["area_background"][0] == 0.0  # not all of the input
    lonely = person(0, VARIANTS["own"], visible=(WRIST,))
    lonely.sample.extra["bbox"] = None  # type: ignore[index]
    assert table([lonely])["reason"].to_list() == ["no_size"]
    assert math.isnan(table([lonely])["share_own"][0])
    assert evidence_of_joints(table([lonely])) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"radius": 0},
        {"radius": 1.5},
        {"flipped": 1.0},
        {"background": -1},
        {"weak": 0},
        {"margin": 0},
        {"fixed": 1},
        {"fewest": 1},
        {"pictures": -1},
    ],
)
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    """What, got, expected."""
    with pytest.raises(ConfigError, match=rf"{next(iter(settings))} is .*; expected"):
        Shortcuts(**settings)


def test_the_section_accuses_the_joint(tmp_path: Path) -> None:
    """The lead names joint, cause and numbers; the tables have a line a joint; without kept maps there is no mean
    map.
    """
    findings = [person(i, VARIANTS["mark"]) for i in range(10)]
    rows = [r for f in findings for r in Shortcuts().sample_rows(f, CONTEXT)]
    records = [record(f.sample.sample_id, f.sample.keypoints.numpy(), f.prediction.numpy()) for f in findings]
    section = Shortcuts().section(store_of(tmp_path, records, "shortcuts", rows))
    assert section is not None
    assert "Left_wrist is read from a mark at a fixed offset" in section.lead
    assert "5 joints of 6 are read from themselves" in section.lead
    tables = [b for b in section.blocks if isinstance(b, Table)]
    assert [len(t.rows) for t in tables] == [6, 6]
    assert {r[0]: r[-1] for r in tables[0].rows}["left_wrist"] == "mark"
    assert [b.name for b in section.blocks if isinstance(b, Picture)] == ["shortcuts-shares"]


def test_a_whole_run(tiny_files: tiny, tmp_path: Path) -> None:
    """Rows of every visible joint, committed with their person; too few persons to name a cause, and the section says
    so.
    """
    store = run(tiny_files, tmp_path, {"studies": [{"type": "shortcuts", "pictures": 2}]})
    assert not store.failures
    rows = store.study("shortcuts")
    assert set(rows["sample_id"]) == set(IDS)
    assert len(rows) == int(store.joints()["visible"].sum())
    total = rows.select(pl.sum_horizontal(pl.col("^share_.*$"))).to_series()
    assert np.allclose(total, 1.0)
    section = Shortcuts(pictures=2).section(store)
    assert section is not None
    assert "too few" in section.lead
    assert [b.name for b in section.blocks if isinstance(b, Picture)] == ["shortcuts-shares", "shortcuts-mean-maps"]
