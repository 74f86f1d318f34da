"""What came of a treatment: planted arms whose differences are known, and the sentences on them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import COCO, PLACES, record, store_of

from poseig_mm.functional.inference import Comparison
from poseig_mm.functional.statistics import Estimate
from poseig_mm.store import Store
from poseig_mm.treatments.base import Plan
from poseig_mm.treatments.outcome import AP, PCK, Change, Outcome, OutcomeMeasure, outcome_of
from poseig_mm.treatments.page import build_treatment_page
from poseig_mm.treatments.verdict import verdict

PERSONS = 12
WRIST = COCO.keypoint_names.index("left_wrist")
EPE = OutcomeMeasure("epe", "EPE (px)", -1)


def arm(path: Path, all_off: float, wrist_off: float, seed: int) -> Store:
    """Every joint `all_off` px from its place on average, the left wrist `wrist_off`; a little scatter."""
    scatter = np.random.default_rng(seed)
    records = []
    for i in range(PERSONS):
        off = np.full(17, all_off) + scatter.uniform(-0.05, 0.05, 17)
        off[WRIST] = wrist_off + scatter.uniform(-0.05, 0.05)
        person = record(f"p{i:02d}", PLACES, PLACES + np.stack([off, np.zeros(17)], 1))
        person.sample["box_side"] = 200.0  # PCK: within 10 px
        records.append(person)
    return store_of(path, records)


def arms(tmp_path: Path, **off: tuple[float, float]) -> dict[str, Store]:
    """By name, (all joints, left wrist) px off."""
    return {name: arm(tmp_path / name, *both, seed=i) for i, (name, both) in enumerate(off.items())}


def test_differences_are_those_planted(tmp_path: Path) -> None:
    """Before 4 and 12 px, treated 3 and 6, control 3.5 and 11."""
    stores = arms(tmp_path, before=(4, 12), treated=(3, 6), plain=(3.5, 11))
    outcome = outcome_of(stores, "held-out persons", ["left_wrist"])
    assert outcome.arms == ("before", "treated", "plain")
    assert outcome.mean("before", EPE).mean == pytest.approx((16 * 4 + 12) / 17, abs=0.02)
    found = {(c.arm, c.than, c.meant): c for c in outcome.changes() if c.measure.name == "epe"}
    assert set(found) == {(a, b, m) for a, b in (("treated", "before"), ("plain", "before"), ("treated", "plain"))
                          for m in (True, False)}  # fmt: skip
    assert found["treated", "before", True].difference.mean == pytest.approx(-6, abs=0.05)
    assert found["treated", "before", False].difference.mean == pytest.approx(-(16 + 6) / 17, abs=0.02)
    assert found["treated", "plain", True].difference.mean == pytest.approx(-5, abs=0.05)
    assert all(c.verdict == 1 for c in found.values())
    assert outcome.mean("before", PCK).mean == pytest.approx(100 * 16 / 17)
    said = verdict([(outcome, outcome.changes())])
    assert "the mean error of left_wrist goes from 12.0" in said
    assert "Against the control 'plain': \u22125.0" in said
    assert "does better than the treatment" not in said


def test_a_control_that_does_better_is_said_first(tmp_path: Path) -> None:
    """In words, before anything else."""
    stores = arms(tmp_path, before=(4, 4), treated=(3, 3), random=(2, 2))
    outcome = outcome_of(stores, "held-out persons")
    said = verdict([(outcome, outcome.changes())])
    assert said.startswith("The control 'random' does better than the treatment: against it the error is +1.0")
    assert "goes from 4.0" in said


def test_a_treatment_is_judged_on_the_persons_that_it_names(tmp_path: Path) -> None:
    """A control that does better on the others is told, and does not speak against the cure, which is said first."""
    easy = arms(tmp_path / "easy", before=(4, 4), treated=(3, 3), random=(2, 2))
    hard = arms(tmp_path / "hard", before=(9, 9), treated=(3, 3), random=(8, 8))

    outcomes = [outcome_of(easy, "held-out persons"), outcome_of(hard, "without it")]
    known = [(outcome, outcome.changes()) for outcome in outcomes]
    cure = "What is to be the cure is not shown to cure anything."
    assert verdict(known).startswith("The control 'random' does better than the treatment: ")
    assert verdict(known).count(cure) == 1
    named = verdict(known, "without it")
    assert named.startswith("On 12 persons (without it) the mean error goes from 9.0")
    assert "against 'random' +1.00" in named
    assert named.index("(without it)") < named.index("(held-out persons)")
    assert cure not in named


def test_what_is_the_same_is_not_better(tmp_path: Path) -> None:
    """Equal arms: no difference shown."""
    stores = arms(tmp_path, before=(4, 4), treated=(4, 4))
    outcome = outcome_of(stores, "held-out persons")
    (change,) = [c for c in outcome.changes() if c.measure.name == "epe"]
    assert change.verdict == 0
    assert "no difference shown" in verdict([(outcome, outcome.changes())])


@pytest.mark.parametrize(
    ("low", "high", "p", "measure", "expected"),
    [
        (-2.0, -0.5, 0.01, EPE, 1),
        (0.5, 2.0, 0.01, EPE, -1),
        (-2.0, 0.5, 0.01, EPE, 0),
        (-2.0, -0.5, 0.2, EPE, 0),  # an interval without 0 is not enough among many tests
        (-2.0, -0.5, math.nan, EPE, 1),  # with too few images for a test it has to be
        (math.nan, math.nan, 0.01, EPE, 0),
        (0.5, 2.0, 0.01, AP, 1),
        (-2.0, -0.5, 0.01, AP, -1),
    ],
)
def test_a_verdict_needs_interval_and_corrected_p(
    low: float, high: float, p: float, measure: OutcomeMeasure, expected: int
) -> None:
    """Less error is better, more AP is."""
    middle = (low + high) / 2 if math.isfinite(low) else 1.0
    change = Change("a", "b", measure, False, Comparison(Estimate(9, middle, 1.0, low, high), p, 0.0), p)
    assert change.verdict == expected


def test_the_page_stands_with_everything(tmp_path: Path) -> None:
    """Verdict, arms, joints, training; both diagnoses compared."""
    stores = arms(tmp_path, before=(4, 12), treated=(3, 6), plain=(3.5, 11))
    page, words = build_treatment_page(
        tmp_path / "page",
        name="colours",
        plan=Plan("Colours are distorted.", {"plain": "as long, plain"}, joints=("left_wrist",)),
        arms={"treated": {"steps": 5}, "plain": {"steps": 5}},
        before=stores["before"],
        after=stores["treated"],
        held_out={"held-out persons": stores},
    )
    text = page.read_text()
    for said in ("Colours are distorted.", "as long, plain", "Got better", "left_wrist", "What was trained", "steps"):
        assert said in text
    assert 'id="failures"' not in text
    assert words.split(".")[0] in text


def test_joints_are_paired_whatever_their_order(tmp_path: Path) -> None:
    """A person that one arm lacks counts in none."""
    stores: dict[str, Any] = arms(tmp_path, before=(4, 4), treated=(3, 3))
    records = [record(f"p{i:02d}", PLACES, PLACES + np.array([2.0, 0.0])) for i in range(5)]
    stores["short"] = store_of(tmp_path / "short", records)
    outcome: Outcome = outcome_of(stores, "held-out persons")
    assert {name: len(rows) for name, rows in outcome.joints.items()} == dict.fromkeys(stores, 5 * 17)
    assert outcome.mean("short", EPE).mean == pytest.approx(2.0)
