"""The study of kinds of errors: areas, persons of one image, tables, and what each kind costs in AP."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import COCO, PLACES, PatchesContext, patches_finding, record, store_of
from synthetic_store import COLUMNS

from poseig_mm.errors import ConfigError, StoreError
from poseig_mm.settings_fields import configured
from poseig_mm.store import Store, StoreWriter
from poseig_mm.studies.error_kinds.classify import KINDS
from poseig_mm.studies.error_kinds.precision import person_ap
from poseig_mm.studies.error_kinds.rows import COCO_SIGMAS, sigmas_of
from poseig_mm.studies.error_kinds.study import ErrorKinds
from poseig_mm.types import Picture, Section, Table

AREA = 60.0**2  # s = 60 px: a wrist (sigma 0.062) is near up to 8.8 px, a hip (0.107) up to 15.1 px
WRIST, OTHER_WRIST, KNEE = 9, 10, 13


def area_row(name: str, area: float = AREA, source: str = "annotation") -> dict[str, Any]:
    return {"sample_id": name, "area": area, "area_source": source, "reason": "" if area > 0 else "no_area"}


def moved(**by: tuple[float, float]) -> np.ndarray[Any, Any]:
    """Every joint at its place, but `joint_<k>` moved by (dx, dy) px."""
    found = PLACES.copy()
    for joint, step in by.items():
        found[int(joint.removeprefix("joint_"))] += step
    return found


def rows(section: Section, start: str) -> dict[str, tuple[Any, ...]]:
    found = next(b for b in section.blocks if isinstance(b, Table) and b.caption.startswith(start))
    return {row[0]: row[1:] for row in found.rows}


def kinds(study: ErrorKinds, path: Path, people: list[Any], areas: list[dict[str, Any]]) -> dict[tuple[str, int], str]:
    """Joints that are not good."""
    table = study.joint_kinds(store_of(path, people, study.name, areas))
    return {(s, j): k for s, j, k in table.select("sample_id", "joint", "kind").iter_rows() if k != "good"}


def test_hand_placed_joints_have_their_kinds(tmp_path: Path) -> None:
    """A wrist 6 px off jitters, a wrist at the other wrist is inverted, a knee 20 px off is missed."""
    people = [record("a", PLACES, moved(joint_9=(6, 0), joint_13=(0, 20))), record("b", PLACES, moved(joint_9=(40, 0)))]
    found = kinds(ErrorKinds(), tmp_path, people, [area_row("a"), area_row("b")])
    assert found == {("a", WRIST): "jitter", ("a", KNEE): "miss", ("b", WRIST): "inversion"}


def box_row(name: str, box: tuple[float, float, float, float]) -> dict[str, Any]:
    sides = zip(("box_left", "box_top", "box_right", "box_bottom"), box, strict=True)
    return {**area_row(name), **dict(sides)}


def test_chance_stands_beside_each_kind(tmp_path: Path) -> None:
    """One visible knee in a box of 100 x 100 px: good by chance in a disc of pi r^2, r^2 = 2 s^2 k^2 ln(1 / 0.85)."""
    shown = [k == KNEE for k in range(17)]
    left, top = PLACES[KNEE] - 50
    people = [record("a", PLACES, PLACES, visible=shown)]
    store = store_of(tmp_path, people, "error_kinds", [box_row("a", (left, top, left + 100, top + 100))])
    chance = {kind: values[2] for kind, values in rows(ErrorKinds().section(store), "Visible joints by kind").items()}
    unit = 100 * math.pi * 2 * AREA * (2 * 0.087) ** 2 / 1e4  # % of the box
    good, near = -unit * math.log(0.85), unit * math.log(2)
    expected = {"good": good, "jitter": near - good, "inversion": 0.0, "swap": 0.0, "miss": 100 - near}
    for kind, percent in expected.items():
        assert chance[kind].mean == pytest.approx(percent, abs=4 * math.sqrt(percent * (100 - percent) / 4096) + 1e-9)
    again = rows(ErrorKinds().section(store), "Visible joints by kind")
    assert repr(again) == repr(rows(ErrorKinds().section(store), "Visible joints by kind"))


def test_without_boxes_chance_is_unknown(tmp_path: Path) -> None:
    """An older run holds none: no number, and the caption says why."""
    store = store_of(tmp_path, [record("a", PLACES, PLACES)], "error_kinds", [area_row("a")])
    section = ErrorKinds().section(store)
    assert all(math.isnan(v[2].mean) for v in rows(section, "Visible joints by kind").values())
    assert any("unknown: the run holds no boxes" in b.caption for b in section.blocks if isinstance(b, Table))


def test_kinds_of_an_older_rule_are_not_shown(tmp_path: Path) -> None:
    """Rows with `kind_symmetric` are of an older rule: made again from the stored predictions."""
    people, areas = [record("a", PLACES, moved(joint_9=(40, 0)))], [area_row("a")]
    old = [
        {
            "sample_id": "a", "joint": k, "sigma": sigmas_of(COCO.keypoint_names, 0.067, COCO)[0][k], "ks": 1.0,
            "kind_any": "good", "kind_symmetric": "good", "reason": "",
        }
        for k in range(17)
    ]  # fmt: skip
    store = store_of(tmp_path, people, "error_kinds", [*areas, *old])
    for confusable in ("partner", "symmetric", "any"):
        table = ErrorKinds(confusable=confusable).joint_kinds(store)
        assert table["kind"][WRIST] == "inversion"
        assert table["ks"][WRIST] < 1e-3


def test_swaps_are_found_in_the_original_image(tmp_path: Path) -> None:
    """Two crops of one image: b lies 300 px to the right of a there, and a's crop is halved; another image never
    counts.
    """
    wide = [[2, 0, 0], [0, 2, 0]]  # input px -> original px
    truth = PLACES / 2
    prediction = truth.copy()
    prediction[WRIST, 0] += 150  # 300 px in the original: at the wrist of b
    people = [
        record("a", truth, prediction, image="one", warp=wide),
        record("b", PLACES, PLACES, image="one", warp=[[1, 0, 300], [0, 1, 0]]),
    ]
    areas = [area_row("a"), area_row("b")]
    assert kinds(ErrorKinds(), tmp_path / "same", people, areas) == {("a", WRIST): "swap"}
    people[1] = record("b", PLACES, PLACES, image="two", warp=[[1, 0, 300], [0, 1, 0]])
    assert kinds(ErrorKinds(), tmp_path / "other", people, areas) == {("a", WRIST): "miss"}


def test_partners_alone_are_confused_by_default(tmp_path: Path) -> None:
    """A wrist at the hip beside it is an inversion with any joint, a miss with partners; at the other wrist it is
    both.
    """
    people = [record("a", PLACES, moved(joint_9=(80, 0))), record("b", PLACES, moved(joint_9=(40, 0)))]
    areas = [area_row("a"), area_row("b")]
    asked = {"any": ErrorKinds(confusable="any"), "default": ErrorKinds(), "older": ErrorKinds(confusable="symmetric")}
    found = {c: kinds(study, tmp_path / c, people, areas) for c, study in asked.items()}
    assert found["any"] == {("a", WRIST): "inversion", ("b", WRIST): "inversion"}
    assert found["default"] == found["older"] == {("a", WRIST): "miss", ("b", WRIST): "inversion"}


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"area": 90.0, "bbox": [0, 0, 10, 20]}, (90.0, "annotation", "")),
        ({"area": None, "bbox": [5, 5, 15, 25]}, (0.53 * 200, "box", "")),
        ({"area": 0.0, "bbox": [5, 5, 15, 25]}, (0.53 * 200, "box", "")),
        ({}, (math.nan, "none", "no_area")),
    ],
)
def test_area_is_the_annotations_or_from_the_box(
    tmp_path: Path, extra: dict[str, Any], expected: tuple[float, str, str]
) -> None:
    """0.53 of the box where there is no area; NaN and a reason where there is neither."""
    finding = patches_finding()
    finding = replace(finding, sample=replace(finding.sample, extra=extra))
    (row,) = ErrorKinds().sample_rows(finding, PatchesContext(tmp_path))
    box = [row[f"box_{side}"] for side in ("left", "top", "right", "bottom")]
    assert box == pytest.approx(extra.get("bbox", [math.nan] * 4), nan_ok=True)
    assert (row["area"], row["area_source"], row["reason"]) == pytest.approx(expected, nan_ok=True)


def test_gain_in_ap_by_hand(tmp_path: Path) -> None:
    """Two joints a person: a has a miss (ks 0) and a good one, OKS 0.5, AP 0.1; b is perfect.

    The miss at ks 0.5: OKS 0.75, AP 0.6; at 0.5^(1/4) = 0.84, as the published code has it: 0.92, AP 0.9; put right: 1.
    """
    shown = [k in (WRIST, KNEE) for k in range(17)]
    people = [
        record("a", PLACES, moved(joint_13=(0, 1000)), visible=shown),
        record("b", PLACES, PLACES, visible=shown),
    ]
    store = store_of(tmp_path, people, "error_kinds", [area_row("a"), area_row("b")])
    section = ErrorKinds().section(store)
    found = rows(section, "OKS, and AP")
    assert found["as predicted"][1].mean == pytest.approx((0.1 + 1) / 2)
    assert {k: v[2].mean for k, v in found.items() if v[2]} == pytest.approx(
        {
            "jitter corrected": 0,
            "inversion corrected": 0,
            "swap corrected": 0,
            "miss corrected": 0.25,
            "all corrected": 0.25,
        }
    )
    assert found["miss corrected"][0].mean == pytest.approx((0.75 + 1) / 2)
    assert [e.mean for e in found["miss corrected"][3:]] == pytest.approx([0.4, 0.45])
    assert "AP 0.550; correcting miss alone would gain most, 0.250" in section.lead


def test_a_persons_part_of_ap(tmp_path: Path) -> None:
    """Of 17 joints all right but k far off, OKS is 1 - k / 17; AP the share of COCO's thresholds up to it; their mean
    is the section's, to the bit.
    """
    far = {n: {f"joint_{k}": (900.0, 900.0) for k in range(n)} for n in (0, 2, 8, 17)}
    people = [record(f"p{n}", PLACES, moved(**steps), image=f"i{n}") for n, steps in far.items()]
    people.append(record("unknown", PLACES, PLACES))
    areas = [area_row(f"p{n}") for n in far] + [area_row("unknown", math.nan)]
    store = store_of(tmp_path, people, "error_kinds", areas)
    found = person_ap(store)
    assert found.columns == ["sample_id", "image_id", "oks", "ap"]
    assert found["sample_id"].to_list() == [f"p{n}" for n in far]
    assert found["image_id"].to_list() == [f"i{n}" for n in far]
    assert found["oks"].to_list() == pytest.approx([1 - n / 17 for n in far], abs=1e-9)
    assert found["ap"].to_list() == [1.0, 0.8, 0.1, 0.0]  # 0.882: 0.5, 0.55 ... 0.85; 0.529: 0.5
    oks, ap = rows(ErrorKinds().section(store), "OKS, and AP")["as predicted"][:2]
    assert (oks.mean, ap.mean) == (found["oks"].mean(), found["ap"].mean())


def test_a_persons_part_of_ap_is_by_the_runs_own_settings(tmp_path: Path) -> None:
    """A sigma that the study was given holds, where the data set has none; without the study there is nothing."""
    groups = replace(COCO, keypoint_names=tuple(f"point{i}" for i in range(17)))
    shown = [k < 2 for k in range(17)]
    people = [record("a", PLACES, moved(joint_0=(12, 0)), visible=shown, groups=groups)]
    settings = {"studies": [["error_kinds", {"sigma": 0.1}]]}
    store = store_of(tmp_path, people, "error_kinds", [area_row("a")], groups=groups, settings=settings)
    similar = math.exp(-(12**2) / (2 * AREA * 0.2**2))
    assert person_ap(store)["oks"].to_list() == pytest.approx([(similar + 1) / 2])
    with pytest.raises(StoreError, match=r"no study 'other'; diagnose with diagnosis.studies=\['other'\]"):
        person_ap(store, "other")


def test_shares_and_indices_by_hand(tmp_path: Path) -> None:
    """Of 34 joints one is missed; its DI is its own (20 + k in these persons)."""
    people = [record("a", PLACES, moved(joint_13=(0, 20))), record("b", PLACES, PLACES)]
    section = ErrorKinds().section(store_of(tmp_path, people, "error_kinds", [area_row("a"), area_row("b")]))
    shares = rows(section, "Visible joints by kind")
    assert {kind: shares[kind][0] for kind in KINDS} == {"good": 33, "jitter": 0, "inversion": 0, "swap": 0, "miss": 1}
    assert shares["miss"][1].mean == pytest.approx(100 / 34)
    assert rows(section, "Indices of the joints")["miss"][1].mean == 20 + KNEE
    branch = rows(section, "Kinds by group")["branch"]
    assert (branch[0], branch[5].mean) == (8, 12.5)


def test_the_figure_has_a_bar_a_joint_that_fills_the_axis(tmp_path: Path) -> None:
    """Shares of each joint add up to 100 %."""
    people = [record("a", PLACES, moved(joint_13=(0, 20))), record("b", PLACES, PLACES)]
    section = ErrorKinds().section(store_of(tmp_path, people, "error_kinds", [area_row("a"), area_row("b")]))
    (picture,) = (b for b in section.blocks if isinstance(b, Picture))
    axis = picture.figure.axes[0]  # type: ignore[union-attr]
    widths: dict[float, float] = {}
    for bar in axis.patches:
        widths[bar.get_y()] = widths.get(bar.get_y(), 0.0) + bar.get_width()
    assert list(widths.values()) == pytest.approx([100.0] * 17)


def test_persons_left_out_are_counted(tmp_path: Path) -> None:
    """No area, or no row at all: left out, and said; a box in the area's place is said too."""
    people = [record(name, PLACES, PLACES) for name in "abc"]
    areas = [area_row("a", source="box"), area_row("b", math.nan, "none")]
    lead = ErrorKinds().section(store_of(tmp_path, people, "error_kinds", areas)).lead
    assert "Of 17 visible joints of 1 person" in lead
    assert "1 person without an annotated area: 0.53 of the box." in lead
    assert "2 persons left out, 1 of them without area or box." in lead


def test_other_joints_than_cocos_have_one_sigma(tmp_path: Path) -> None:
    """It is said; COCO's own are a table."""
    assert sigmas_of(COCO.keypoint_names, 0.5, COCO)[0][:2] == [COCO_SIGMAS["nose"], COCO_SIGMAS["eye"]]
    assert sigmas_of([*COCO.keypoint_names, "neck"], 0.5, COCO) == ([0.5] * 18, "setting")
    groups = replace(COCO, keypoint_names=tuple(f"point{i}" for i in range(17)))
    people = [record("a", PLACES, PLACES, groups=groups)]
    store = store_of(tmp_path, people, "error_kinds", [area_row("a")], groups=groups)
    assert "sigma 0.067 stands for all" in ErrorKinds().section(store).lead


def test_the_data_set_s_own_sigmas_are_used(tmp_path: Path) -> None:
    """A wrist 6 px off jitters by COCO's sigma 0.062, and is missed by the data set's own 0.02: d / (s k) is 2.5."""
    people = [record("a", PLACES, moved(joint_9=(6, 0)))]
    own = replace(COCO, sigmas=(0.02,) * 17)
    store = store_of(tmp_path / "own", people, "error_kinds", [area_row("a")], groups=own)
    row = ErrorKinds().joint_kinds(store).row(WRIST, named=True)
    assert (row["kind"], row["ks"]) == ("miss", pytest.approx(math.exp(-(2.5**2) / 2)))
    assert "sigma" not in ErrorKinds().section(store).lead
    store = store_of(tmp_path / "none", people, "error_kinds", [area_row("a")])
    assert ErrorKinds().joint_kinds(store)["kind"][WRIST] == "jitter"
    assert "no sigmas of the data set's own metainfo: COCO's, by" in ErrorKinds().section(store).lead


def test_without_rows_or_pixels_the_section_says_why(tmp_path: Path) -> None:
    """No area is known; or the joints are in another unit."""
    assert "No person's area" in ErrorKinds().section(store_of(tmp_path / "a", [record("a", PLACES, PLACES)])).lead
    store = store_of(tmp_path / "b", [record("a", PLACES, PLACES, unit="mm")])
    assert "another unit" in ErrorKinds().section(store).lead


def finished(store: Store, study: ErrorKinds, most: int | None = None) -> Store:
    """The same run with the kinds stored, or only the first of them."""
    with StoreWriter(store.path, identity={"model": "made up"}, maps="none", resume=True, **COLUMNS) as writer:
        writer.write_study(study.name, study.store_rows(store)[:most], replace_all=True)
    return Store(store.path)


def swapped(path: Path) -> Store:
    """Two persons of one image, 300 px apart, and a wrist of a at the wrist of b; b has a joint without prediction."""
    prediction, of_b = PLACES.copy(), moved(joint_9=(40, 0))
    prediction[WRIST, 0] += 300
    of_b[KNEE] = np.nan
    people = [
        record("a", PLACES, prediction, image="one"),
        record("b", PLACES, of_b, image="one", warp=[[1, 0, 300], [0, 1, 0]]),
        record("c", PLACES, PLACES),
    ]
    return store_of(path, people, "error_kinds", [area_row("a"), area_row("b"), area_row("c", math.nan, "none")])


@pytest.mark.parametrize("confusable", ["any", "partner"])
def test_stored_kinds_are_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, confusable: str) -> None:
    """Table and section are those that a run without stored kinds has; nobody is classified for them."""
    study, store = ErrorKinds(confusable=confusable), swapped(tmp_path)
    table, section = study.joint_kinds(store), study.section(store)
    assert "swap" in set(table["kind"])
    store = finished(store, study)
    monkeypatch.setattr("poseig_mm.studies.error_kinds.rows.classify", None)
    assert study.joint_kinds(store).equals(table, null_equal=True)
    again = study.section(store)
    assert again.lead == section.lead
    assert repr([b for b in again.blocks if isinstance(b, Table)]) == repr(
        [b for b in section.blocks if isinstance(b, Table)]
    )


def test_stored_kinds_count_only_where_all_are_there(tmp_path: Path) -> None:
    """Some are missing in a run that is being resumed: everybody is classified again."""
    store = swapped(tmp_path)
    table = ErrorKinds().joint_kinds(store)
    assert ErrorKinds().joint_kinds(finished(store, ErrorKinds(), 5)).equals(table, null_equal=True)


def test_stored_kinds_of_another_sigma_do_not_count(tmp_path: Path) -> None:
    """Asked with a sigma of their own, the joints (not COCO's) are classified by it."""
    groups = replace(COCO, keypoint_names=tuple(f"point{i}" for i in range(17)))
    people = [record("a", PLACES, moved(joint_9=(6, 0)), groups=groups)]
    store = store_of(tmp_path, people, "error_kinds", [area_row("a")], groups=groups)
    strict, lenient = ErrorKinds(sigma=0.02), ErrorKinds(sigma=0.5)
    store = finished(store, strict)
    assert strict.joint_kinds(store)["kind"][WRIST] == "miss"
    assert lenient.joint_kinds(store)["kind"][WRIST] == "good"


def test_a_joint_without_a_kind_says_why(tmp_path: Path) -> None:
    """A row for each visible joint of a person with an area; no prediction, no kind."""
    rows = {(r["sample_id"], r["joint"]): r for r in ErrorKinds().store_rows(swapped(tmp_path))}
    assert {name for name, _ in rows} == {"a", "b"}
    unknown = rows["b", KNEE]
    assert (unknown["kind_any"], unknown["kind_partner"], unknown["reason"]) == ("", "", "no_prediction")
    assert math.isnan(unknown["ks"])
    assert rows["a", WRIST]["kind_any"] == "swap"
    assert all(r["reason"] == "" for key, r in rows.items() if key != ("b", KNEE))


def test_settings_are_checked() -> None:
    """What cannot be meant is a ConfigError."""
    for changes in ({"sigma": 0.0}, {"confusable": "all"}):
        with pytest.raises(ConfigError, match="error_kinds"):
            configured(ErrorKinds(), changes, "study")
