"""The study of inversions: what it finds, where the contrastive map's mass lies, what its section says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from planted import COCO, PLACES, PatchesContext, patches_finding, record, store_of

from poseig_mm.errors import ConfigError
from poseig_mm.settings_fields import configured
from poseig_mm.studies.inversion.rows import row_without_numbers
from poseig_mm.studies.inversion.study import Inversion
from poseig_mm.types import Gallery, Picture, Section, Table

if TYPE_CHECKING:
    from tiny import tiny

    from poseig_mm.store import Store

WRIST, OTHER_WRIST, ELBOW = 9, 10, 7


def predicted(**at: int) -> np.ndarray[Any, Any]:
    """Every joint at its place, but `joint_<a>=b` at the place of joint b."""
    found = PLACES.copy()
    for joint, place in at.items():
        found[int(joint.removeprefix("joint_"))] = PLACES[place] + [3.0, 0.0]
    return found


def table(section: Section, start: str) -> Table:
    return next(b for b in section.blocks if isinstance(b, Table) and b.caption.startswith(start))


def rows(section: Section, start: str) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in table(section, start).rows}


# ---- the contrastive map ---------------------------------------------------------------------------------------------


def test_contrastive_mass_lies_where_it_must(tmp_path: Path) -> None:
    """Patch THERE moves the joint by 30 x 1 px, HERE by -10 x 0.2: 15/16 and 1/16 of the mass, one for, one against."""
    (row,) = Inversion(limb_radius=4.0).sample_rows(patches_finding(), PatchesContext(tmp_path))
    assert (row["joint_name"], row["other_name"], row["kind"], row["swap"]) == (
        "left_wrist",
        "right_wrist",
        "symmetric",
        False,
    )
    assert (row["distance_own"], row["distance_other"]) == pytest.approx((28.0, 2.0))
    assert (row["mass_wrong"], row["mass_right"]) == pytest.approx((15 / 16, 1 / 16))
    assert (row["positive_wrong"], row["positive_right"], row["positive"]) == pytest.approx((1.0, 0.0, 15 / 16))
    assert row["area_wrong"] == row["area_right"] == 49 / (32 * 48)  # a disc of radius 4 has 49 pixels
    assert (row["ri"], row["reason"], row["soft_distance_other"]) == (2.5, "", pytest.approx(2.0))


def test_it_asks_for_there_against_here_of_that_joint_alone(tmp_path: Path) -> None:
    """T_{a|b} - T_{a|a}, signed, for joint a."""
    context = PatchesContext(tmp_path)
    Inversion().sample_rows(patches_finding(), context)
    assert context.asked == [
        {"reference": "right_wrist", "contrast": "truth", "joints": ["left_wrist"], "signed": True}
    ]


@pytest.mark.parametrize(("far", "n"), [(0.76, 1), (0.72, 0), (0.3, 0)])
def test_rows_are_of_inversions_alone(tmp_path: Path, far: float, n: int) -> None:
    """At 28.8 px joint 0 is 9.2 px from the other's truth; at 27.6 px it is 10.4 px; at 15 px it is nearer its own."""
    finding = patches_finding(far=far)
    assert len(Inversion().sample_rows(finding, PatchesContext(tmp_path))) == n


def test_a_map_of_zeros_is_nan_with_its_reason(tmp_path: Path) -> None:
    """A black image is its own baseline, so that there is no map: the inversion stays, its shares are NaN."""
    finding = patches_finding(far=0.0, near=0.0)
    there = torch.tensor([[37.0, 16.0], [38.0, 16.0]])
    (row,) = Inversion().sample_rows(replace(finding, prediction=there), PatchesContext(tmp_path))
    assert (row["reason"], row["picture"]) == ("zero_map", "")
    assert math.isnan(row["mass_wrong"])
    assert math.isnan(row["positive"])


def test_other_units_than_pixels_are_said(tmp_path: Path) -> None:
    """In mm, or in three dimensions, there is one row with a reason and the same columns."""
    finding, context = patches_finding(), PatchesContext(tmp_path)
    (known,) = Inversion().sample_rows(finding, context)
    context.unit = "mm"
    (row,) = Inversion().sample_rows(finding, context)
    assert row["reason"] == "not_pixels"
    assert list(row) == list(known)
    assert {k: type(v) for k, v in row.items()} == {k: type(v) for k, v in known.items()}


def test_the_pictures_kept_do_not_depend_on_the_order(tmp_path: Path) -> None:
    """The same two of six persons, first to last or last to first."""
    study, kept = Inversion(pictures=2), []
    for order in (range(6), reversed(range(6))):
        context = PatchesContext(tmp_path / str(len(kept)))
        for i in order:
            study.sample_rows(patches_finding(f"{i}-1"), context)
        kept.append(sorted(path.name for path in (context.folder / "inversion").iterdir()))
    assert len(kept[0]) == 2
    assert kept[0] == kept[1]


def test_a_picture_shows_three_panels(tmp_path: Path) -> None:
    """Input, own map and contrast, side by side; an awkward sample id makes no folder."""
    context = PatchesContext(tmp_path)
    (row,) = Inversion().sample_rows(patches_finding("a/b c"), context)
    with Image.open(tmp_path / "inversion" / f"{row['picture']}.jpg") as image:
        assert image.width == 3 * 480 + 2 * 6


# ---- the section -----------------------------------------------------------------------------------------------------


def test_planted_inversions_are_counted_by_kind(tmp_path: Path) -> None:
    """A swap of wrists and a wrist at its elbow in 2 of 3 persons, of 16 x 17 pairs each."""
    people = [
        record("a", PLACES, predicted(joint_9=10, joint_10=9)),
        record("b", PLACES, predicted(joint_9=7)),
        record("c", PLACES, PLACES),
    ]
    section = Inversion().section(store_of(tmp_path, people))
    found = rows(section, "Inversions by kind")
    assert {k: v[:4] for k, v in found.items()} == {
        "symmetric": (2, 2, 1, 36), "child-as-parent": (1, 0, 1, 24), "parent-as-child": (0, 0, 0, 24),
        "other": (0, 0, 0, 3 * 244), "all": (3, 2, 2, 3 * 272),
    }  # fmt: skip
    assert found["symmetric"][4].mean == pytest.approx(100 * 2 / 36)
    assert section.lead.startswith("3 inversions among 816 eligible ordered pairs of joints of 3 persons: 0.37 %")
    assert "1 swapped both ways" in section.lead
    assert "too few to test" in section.lead


def test_as_printed_moves_the_wrist_to_others(tmp_path: Path) -> None:
    """The preset of the paper's words has hip and elbow instead."""
    store = store_of(tmp_path, [record("a", PLACES, predicted(joint_9=7, joint_11=7))])
    found = {p: rows(Inversion(pairs=p).section(store), "Inversions by pair") for p in ("corrected", "as_printed")}
    assert [found[p][j][1] for p in found for j in ("left_wrist", "left_hip")] == [
        "child-as-parent", "other", "other", "child-as-parent",
    ]  # fmt: skip


def test_no_inversion_is_a_finding(tmp_path: Path) -> None:
    """The study has no table then; the section says of how many pairs, and how sure that is."""
    section = Inversion().section(store_of(tmp_path, [record(n, PLACES, PLACES) for n in "ab"]))
    assert section.lead.startswith("None of 544 eligible ordered pairs of joints of 2 persons is inverted at 10 px")
    assert "of fewer than 4 images there is no interval" in section.lead
    section = Inversion().section(store_of(tmp_path / "more", [record(n, PLACES, PLACES) for n in "abcdef"]))
    assert "ends at 52.41 %" in section.lead  # t^2 / (6 + t^2), t = 2.571: of six persons, as if each were one pair


def test_invisible_joints_are_not_eligible(tmp_path: Path) -> None:
    """Two visible joints are two ordered pairs; an inversion of the others is none."""
    shown = [k in (0, 1) for k in range(17)]
    section = Inversion().section(store_of(tmp_path, [record("a", PLACES, predicted(joint_9=10), visible=shown)]))
    assert section.lead.startswith("None of 2 eligible")


def relations(tmp_path: Path, n: int, study: Inversion, extra: int = 0) -> dict[str, tuple[Any, ...]]:
    """RI of n persons with wrists inverted (RI 3) and n without (RI 1)."""
    people = [record(f"y{i}", PLACES, predicted(joint_9=10), ri={(9, 10): 3.0 + 0.01 * i}) for i in range(n)]
    people += [record(f"n{i}", PLACES, PLACES, ri={(9, 10): 1.0}) for i in range(n + extra)]
    return rows(study.section(store_of(tmp_path, people)), "RI(a")


def test_ri_of_inverted_against_not(tmp_path: Path) -> None:
    """The same ordered pair in other persons; the reverse pair, and other pairs, do not count."""
    n_yes, n_no, yes, no, difference, effect, p = relations(tmp_path, 10, Inversion())["symmetric"]
    assert (n_yes, n_no) == (10, 10)
    assert (yes.mean, no.mean, difference.mean) == pytest.approx((3.045, 1.0, 2.045))
    assert effect == pytest.approx(1.0)
    assert p < 0.001


def test_few_values_are_not_tested(tmp_path: Path) -> None:
    """Seven inverted values have an effect size and no p."""
    *_, effect, p = relations(tmp_path, 7, Inversion())["symmetric"]
    assert effect == pytest.approx(1.0)
    assert p.reason == "fewer than 8 images"


def test_as_many_not_inverted_as_asked_for(tmp_path: Path) -> None:
    """The published comparison draws 100; here 5 of 30."""
    assert relations(tmp_path, 3, Inversion(not_inverted=5), extra=27)["symmetric"][:2] == (3, 5)


def test_the_matched_difference_is_of_the_same_pair_of_joints(tmp_path: Path) -> None:
    """Pairs of joints of different usual RI: inverted values equal their pair's usual one, so that nothing is
    different.
    """
    near, far = {(9, 10): 8.0, (7, 8): 1.0}, {(9, 10): 8.0, (7, 8): 1.0}
    people = [record(f"y{i}", PLACES, predicted(joint_9=10), ri=near) for i in range(3)]
    people += [record("z", PLACES, predicted(joint_7=8), ri=far)]
    *_, yes, no, difference, _, _ = rows(Inversion().section(store_of(tmp_path, people)), "RI(a")["symmetric"]
    assert yes.mean > no.mean  # 6.25 and 2.75: which pairs are inverted, not what their maps do
    assert difference.mean == 0.0


def contrast_row(name: str, wrong: float, right: float, **changes: Any) -> dict[str, Any]:
    """A row as `sample_rows` makes it, both limbs a tenth of the area."""
    known = {"joint": 9, "joint_name": "left_wrist", "other": 10, "other_name": "right_wrist", "kind": "symmetric"}
    shares = {"mass_wrong": wrong, "mass_right": right, "area_wrong": 0.1, "area_right": 0.1, "positive_wrong": 0.9}
    return row_without_numbers(name, **{**known, **shares, "positive_right": 0.2, "distance_own": 40.0, **changes})


def test_contrast_shares_by_hand(tmp_path: Path) -> None:
    """Mass over area in the limbs: 4 and 2, then 2 and 1: means 3 and 1.5, difference 1.5; what has no map is
    counted.
    """
    people = [record(n, PLACES, predicted(joint_9=10)) for n in "abc"]
    nothing = {"area_wrong": math.nan, "positive_wrong": math.nan, "positive_right": math.nan, "reason": "zero_map"}
    made = [contrast_row("a", 0.4, 0.2), contrast_row("b", 0.2, 0.1), contrast_row("c", math.nan, math.nan, **nothing)]
    section = Inversion().section(store_of(tmp_path, people, "inversion", made))
    n, wrong, right, difference, p, pulls, holds = rows(section, "The map of why")["symmetric"]
    assert (n, wrong.mean, right.mean, difference.mean) == pytest.approx((2, 3.0, 1.5, 1.5))
    assert (pulls.mean, holds.mean, math.isnan(p)) == (pytest.approx(0.9), pytest.approx(0.2), True)
    assert "Without a map: 1 zero_map." in table(section, "The map of why").caption


def test_pictures_are_shown_with_what_they_are_of(tmp_path: Path) -> None:
    """Those that are kept; a picture without a row is none of ours."""
    made = [contrast_row("a", 0.4, 0.2, picture="one"), contrast_row("b", 0.4, 0.2, picture="gone")]
    people = [record(n, PLACES, predicted(joint_9=10)) for n in "ab"]
    store = store_of(tmp_path, people, "inversion", made)
    folder = tmp_path / "pictures" / "inversion"
    folder.mkdir(parents=True)
    for name in ("one", "stray"):
        Image.new("RGB", (4, 4)).save(folder / f"{name}.jpg")
    (gallery,) = (b for b in Inversion().section(store).blocks if isinstance(b, Gallery))
    assert [(path.stem, text.split(",")[0]) for path, text in gallery.images] == [
        ("one", "a: left_wrist at right_wrist (symmetric)")
    ]
    assert "1 of 2, a random choice" in gallery.caption


def test_the_matrix_shows_joints_that_were_inverted(tmp_path: Path) -> None:
    """Rows and columns without a count are left out."""
    store = store_of(tmp_path, [record("a", PLACES, predicted(joint_9=10, joint_13=7))])
    (picture,) = (b for b in Inversion().section(store).blocks if isinstance(b, Picture))
    axis = picture.figure.axes[0]  # type: ignore[union-attr]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["left_wrist", "left_knee"]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["left_elbow", "right_wrist"]
    assert sorted(t.get_text() for t in axis.texts) == ["1", "1"]


def test_a_run_in_millimetres_has_a_section_that_says_so(tmp_path: Path) -> None:
    """No count is made of what is no place in the image."""
    section = Inversion().section(store_of(tmp_path, [record("a", PLACES, predicted(joint_9=10), unit="mm")]))
    assert "another unit" in section.lead
    assert section.blocks == ()


def test_joints_of_unknown_names_are_said(tmp_path: Path) -> None:
    """Pairs then follow chain and partners."""
    groups = replace(COCO, keypoint_names=tuple(f"point{i}" for i in range(17)))
    store = store_of(tmp_path, [record("a", PLACES, predicted(joint_9=10), groups=groups)], groups=groups)
    section = Inversion().section(store)
    assert "names are not known" in section.lead
    assert rows(section, "Inversions by kind")["symmetric"][0] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": "printed"}, "pairs is 'printed'; .*'as_printed'"),
        ({"epsilon": 0}, "epsilon is 0; expected above 0"),
        ({"limb_radius": math.nan}, "limb_radius is nan"), ({"pictures": -1}, "pictures is -1"),
        ({"not_inverted": 0}, "not_inverted is 0; expected at least 1"),
    ],
)  # fmt: skip
def test_settings_are_checked(changes: dict[str, Any], message: str) -> None:
    """What cannot be meant is a ConfigError."""
    with pytest.raises(ConfigError, match=message):
        configured(Inversion(), changes, "study")


def test_a_whole_run_has_a_row_for_each_inversion_of_its_tables(tiny_files: tiny, tmp_path: Path) -> None:
    """With a wide epsilon the untrained model inverts something; rows and section agree."""
    from tiny import run

    settings = {"studies": [{"type": "inversion", "epsilon": 22.0}]}
    store: Store = run(tiny_files, tmp_path / "run", settings)
    section = Inversion(epsilon=22.0).section(store)
    total = rows(section, "Inversions by kind")["all"][0]
    assert total > 0
    assert len(store.study("inversion")) == total == len(store.pictures("inversion"))
    assert store.study("inversion")["mass_wrong"].is_finite().any()
    assert not [f for f in store.failures if f.stage in ("study", "report")]
