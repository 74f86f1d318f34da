"""What stands out in planted stores whose truth is known; what does not; and the order and words of conclusions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from planted import COCO, PLACES, record, store_of

from poseig_mm.functional.statistics import Estimate
from poseig_mm.report.plugin import poseig_conclusions
from poseig_mm.store import SampleRecord, Store
from poseig_mm.studies.error_kinds.study import ErrorKinds
from poseig_mm.summary.conclusions import effect_in_words, ranked, verdict
from poseig_mm.types import Conclusion, PersonPicture

ANKLES, RIGHT_WRIST = [15, 16], 10
PERSONS = 20


def person(i: int, *, off: dict[int, float] | None = None, noise: float = 1.0, **sample: Any) -> SampleRecord:
    """Every joint off by about `noise` px, some by more."""
    rng = np.random.default_rng(i)
    prediction = PLACES + rng.normal(0, noise, PLACES.shape)
    for joint, px in (off or {}).items():
        prediction[joint, 0] = PLACES[joint, 0] + px
    made = record(f"p{i:02d}", PLACES, prediction, warp=((1, 0, 0), (0, 1, 0)))
    return SampleRecord(made.sample_id, {**made.sample, **sample}, made.joints, made.relations)


def conclusions(store: Store) -> dict[str, Conclusion]:
    """The core's, by name."""
    return {c.name: c for c in poseig_conclusions(store)}


def test_nothing_stands_out_of_noise(tmp_path: Path) -> None:
    """Twenty persons whose joints are all off by the same noise: no conclusion, and the verdict says so."""
    store = store_of(tmp_path, [person(i) for i in range(PERSONS)])
    assert conclusions(store) == {}
    assert verdict(store, []).endswith("Nothing stands out: what joints and persons differ in is within noise.")


def test_of_few_persons_it_is_said_that_they_are_few(tmp_path: Path) -> None:
    """One person: nothing can be tested, so nothing is concluded and nothing is called noise."""
    store = store_of(tmp_path, [person(0)])
    said = verdict(store, [])
    assert "One image is too few to tell: with fewer than 8 nothing is tested." in said
    assert "noise" not in said
    assert "[" not in said


def test_the_worst_joint_is_named_with_its_effect_and_persons(tmp_path: Path) -> None:
    """The right wrist is 11 px off, all others are exact: 11 px more error than they have; 11/17 px of the mean."""
    store = store_of(tmp_path, [person(i, off={RIGHT_WRIST: 11.0 + 0.1 * i}, noise=0) for i in range(PERSONS)])
    (worst,) = conclusions(store).values()
    assert worst.name == "worst joints"
    assert worst.sentence == "right_wrist is farther off than the same persons' other joints."
    assert worst.effect is not None
    assert worst.effect.mean == pytest.approx(11 + 0.1 * 9.5)
    assert worst.effect.low < worst.effect.mean < worst.effect.high
    assert (worst.effect.n, worst.unit, worst.sure, worst.cost_unit) == (PERSONS, "px more error", "shown", "px")
    assert worst.cost == pytest.approx((11 + 0.1 * 9.5) / 17)
    assert worst.pictures[0] == PersonPicture("p19", RIGHT_WRIST, "right_wrist, 13 px off")
    assert worst.try_


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        ("border", {"padding": 0.2}),
        ("small", {"warp_00": 0.3, "warp_11": 0.3}),
    ],
)
def test_persons_at_the_border_and_small_ones_that_are_worse_stand_out(
    tmp_path: Path, name: str, sample: dict[str, float]
) -> None:
    """Every second person is of the group and 6 times as far off: their excess, times their share, is the cost."""
    people = [person(i, noise=6.0 if i % 2 else 1.0, **(sample if i % 2 else {})) for i in range(PERSONS)]
    store = store_of(tmp_path, people, frame="input")
    found = conclusions(store)
    assert set(found) == {name}
    errors = store.joints().group_by("sample_id").agg(pl.col("epe").mean().alias("mean")).sort("sample_id")
    means = errors["mean"].to_numpy()
    excess = means[1::2].mean() - means[::2].mean()
    effect = found[name].effect
    assert effect is not None
    assert effect.mean == pytest.approx(excess)
    assert found[name].cost == pytest.approx(excess / 2)
    assert found[name].sure == "shown"
    assert f"(10 of {PERSONS} persons)" in found[name].sentence


def test_a_group_that_fares_no_worse_does_not_stand_out(tmp_path: Path) -> None:
    """Half of the persons at the border, errors alike: nothing."""
    people = [person(i, padding=0.2 if i % 2 else 0.0) for i in range(PERSONS)]
    assert conclusions(store_of(tmp_path, people, frame="input")) == {}


def test_border_and_size_are_nothing_of_persons_who_share_an_input(tmp_path: Path) -> None:
    """In a run on whole images the padding is the picture's: such groups are not made."""
    people = [person(i, noise=6.0 if i % 2 else 1.0, padding=0.2 if i % 2 else 0.0) for i in range(PERSONS)]
    assert conclusions(store_of(tmp_path / "a", people, frame="instance")) == {}
    assert conclusions(store_of(tmp_path / "b", people)) == {}  # of an older run nobody knows


def test_few_persons_are_said_to_be_too_few(tmp_path: Path) -> None:
    """Six persons, no test: a clear effect is a conclusion of its own kind."""
    store = store_of(tmp_path, [person(i, off={RIGHT_WRIST: 11.0 + 0.1 * i}, noise=0.1) for i in range(6)])
    assert conclusions(store)["worst joints"].sure == "too few persons"


def with_map_errors(i: int, error: float) -> SampleRecord:
    made = person(i)
    joints = [{**row, "map_error": error, "residual_rel": 9.0} for row in made.joints]
    return SampleRecord(made.sample_id, made.sample, joints, made.relations)


def test_maps_are_distrusted_for_their_error_and_not_for_their_residual(tmp_path: Path) -> None:
    """At 16 gradients 0.49 of the estimate is expected: 0.5 gives 0.245, above a fifth; 0.3 gives 0.147, below."""
    bad = store_of(tmp_path / "bad", [with_map_errors(i, 0.5) for i in range(PERSONS)])
    maps = conclusions(bad)["maps"]
    assert maps.effect is not None
    assert (maps.effect.mean, maps.sure) == (100.0, "shown")
    assert math.isnan(maps.cost)
    good = store_of(tmp_path / "good", [with_map_errors(i, 0.3) for i in range(PERSONS)])
    assert conclusions(good) == {}


def test_the_preflight_speaks_where_it_bears_on_all_numbers(tmp_path: Path) -> None:
    """Random weights let through come first; a missing mask is no conclusion."""
    checks = [
        {"name": "masks", "level": "warning", "found": "0 of 6", "advice": ""},
        {"name": "images", "level": "warning", "found": "1 is gone", "advice": "bring it back"},
        {"name": "weights", "level": "warning", "found": "random; overruled by --allow weights", "advice": "train"},
    ]
    store = store_of(tmp_path, [person(i) for i in range(3)], preflight=checks)
    assert [(c.name, c.cost, c.try_) for c in ranked(poseig_conclusions(store))[:1]] == [
        ("check weights", math.inf, "train")
    ]
    assert set(conclusions(store)) == {"check weights", "check images"}


AREA = 60.0**2


def areas(people: list[SampleRecord]) -> list[dict[str, Any]]:
    rest = {"area": AREA, "area_source": "annotation", "reason": ""}
    return [{"sample_id": p.sample_id, **rest} for p in people]


def swapped(i: int) -> SampleRecord:
    """Both ankles predicted at the other's place, for two persons of three; everything else exact."""
    prediction = PLACES.copy()
    if i % 3:
        prediction[ANKLES] = PLACES[ANKLES[::-1]]
    return record(f"p{i:02d}", PLACES, prediction)


def test_left_and_right_ankles_that_are_swapped_are_named_with_what_they_cost(tmp_path: Path) -> None:
    """Ankles 40 px apart: ks of a swapped one is exp(-40^2 / (2 60^2 (2 * 0.089)^2)), so OKS (15 + 2 ks) / 17 = 0.883:
    8 of COCO's 10 thresholds.  Corrected they are right: 2 tenths of AP, in 14 of 21 persons.
    """
    people = [swapped(i) for i in range(21)]
    study = ErrorKinds()
    store = store_of(tmp_path, people, study.name, areas(people))
    ks = math.exp(-(40**2) / (2 * AREA * (2 * 0.089) ** 2))
    oks = (15 + 2 * ks) / 17
    lost = np.mean([t > oks for t in np.linspace(0.5, 0.95, 10)])
    (kind,) = (c for c in study.conclusions(store) if c.name == "kind inversion")
    assert kind.sentence == "Left and right are confused (inversion), above all left and right ankle (28 of 42)."
    assert kind.effect is not None
    assert kind.cost == kind.effect.mean == pytest.approx(lost * 14 / 21)
    assert (kind.cost_unit, kind.sure) == ("AP", "shown")
    assert "--treat gcn_refinement" in kind.try_
    assert {p.joint for p in kind.pictures if isinstance(p, PersonPicture)} <= set(ANKLES)
    assert len(kind.pictures) == 3
    assert {c.name for c in study.conclusions(store)} == {"kind inversion"}


def test_exact_persons_have_no_kind_of_error(tmp_path: Path) -> None:
    """No conclusion without an error; none of a run without areas."""
    people = [record(f"p{i}", PLACES, PLACES) for i in range(12)]
    assert list(ErrorKinds().conclusions(store_of(tmp_path / "a", people, "error_kinds", areas(people)))) == []
    assert list(ErrorKinds().conclusions(store_of(tmp_path / "b", people))) == []


def test_a_group_in_ap_takes_the_place_of_the_same_group_in_px() -> None:
    """One name, one conclusion."""
    px = Conclusion("border", "In px.", cost=9.0, cost_unit="px")
    ap = Conclusion("border", "In AP.", cost=0.01, cost_unit="AP")
    assert ranked([px, ap]) == [ap]


def test_effects_are_said_with_interval_unit_and_n() -> None:
    """As far as they are there."""
    nan = math.nan
    assert effect_in_words(Conclusion("a", "So.", Estimate(7, 28.571, nan, nan, nan), "% of the joints")) == (
        "28.6 % of the joints (n = 7)"
    )
    assert effect_in_words(Conclusion("a", "So.")) == ""


def test_the_groups_are_those_of_the_data_set() -> None:
    """The planted persons are COCO's: what the expectations above count on."""
    assert [COCO.keypoint_names[k] for k in (*ANKLES, RIGHT_WRIST)] == ["left_ankle", "right_ankle", "right_wrist"]
