"""The list of rules that names a cause: each rule, its order, and what cannot be decided."""

from __future__ import annotations

import math

import pytest

from poseig_mm.functional.statistics import Estimate
from poseig_mm.studies.shortcuts.causes import CAUSES, Thresholds, likely_cause

OWN = {
    "own": 9.0,
    "parent": 3.0,
    "partner": 2.0,
    "mark": 0.0,
    "own_over_others": 1.0,
    "background_over_others": 1.0,
    "fixed": 0.1,
    "flipped": 0.01,
}
SMALL = ("own_over_others", "background_over_others", "fixed", "flipped")


def measures(half: float = 0.4, n: int = 40, **means: float) -> dict[str, Estimate]:
    """An honest joint's, with some changed; intervals of this half width, a tenth of it for small numbers."""
    found = OWN | means
    wide = {k: (m, half / 10 if k in SMALL else half) for k, m in found.items()}
    wide |= {f"{k}_over_own": (found[k] / found["own"], half / 10) for k in ("mark", "parent", "partner")}
    return {k: Estimate(n, m, 1.0, m - width, m + width) for k, (m, width) in wide.items()}


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("own", {}),
        ("parent", {"own": 2.0, "parent": 9.0}),
        ("partner", {"own": 2.0, "partner": 9.0}),
        ("mark", {"own": 2.0, "mark": 30.0, "fixed": 0.7}),
        ("own", {"mark": 30.0, "fixed": 0.3}),  # in a minority: neither named nor in the way
        ("undecided", {"mark": 30.0, "fixed": 0.5}),
        (
            "own",
            {"own": 1.41, "parent": 0.1, "partner": 0.1, "mark": 1.38, "fixed": 0.7},
        ),  # no denser than a uniform map
        ("context", {"own_over_others": 0.4, "background_over_others": 1.5}),
        ("context", {"own_over_others": 0.4, "background_over_others": 1.5, "flipped": 0.3}),
        ("mark", {"own": 2.0, "mark": 30.0, "fixed": 0.7, "own_over_others": 0.4, "background_over_others": 1.5}),
        ("undecided", {"mark": 9.0, "fixed": 0.7, "own_over_others": 0.4, "background_over_others": 1.5}),  # or a mark
        ("own", {"own_over_others": 0.4}),  # weak, but not on the background
        ("own", {"background_over_others": 1.5}),  # on the background, but not weak
        (
            "undecided",  # one of two places, so not the background
            {"own": 2.0, "parent": 9.0, "partner": 9.1, "own_over_others": 0.4, "background_over_others": 1.5},
        ),
        ("undecided", {"own": 0.1, "parent": 0.8, "partner": 0.1}),  # nowhere above a uniform map
        ("left_right", {"flipped": 0.3}),
        ("partner", {"own": 2.0, "partner": 9.0, "flipped": 0.3}),  # a joint's own cause before the run's
        ("undecided", {"parent": 8.9}),  # not clearly less than around itself
        ("undecided", {"parent": 12.0}),  # more than around itself, not half as much again
        ("undecided", {"own": 2.0, "parent": 9.0, "partner": 9.1}),  # one of two
        ("parent", {"own": 2.0, "parent": 9.0, "partner": 6.0}),
        ("undecided", {"own": 1.1, "parent": 0.2, "partner": 0.2}),  # not above a uniform map
    ],
)
def test_rules(code: str, changed: dict[str, float]) -> None:
    """The first rule that holds."""
    found = likely_cause(measures(**changed))
    assert (found.code, found.words) == (code, CAUSES[code])
    assert found.why


def test_too_few_persons_decide_nothing() -> None:
    """Of seven persons nothing is said, and the number is told."""
    found = likely_cause(measures(n=7))
    assert (found.code, found.why) == ("undecided", "7 persons, fewer than 8")
    assert likely_cause(measures(n=7), Thresholds(fewest=7)).code == "own"


def test_what_is_missing_decides_nothing() -> None:
    """Without masks there is no background, without partners none: the rest is decided by what there is."""
    nothing = Estimate(0, *(math.nan,) * 4)
    honest = measures() | dict.fromkeys(("parent_over_own", "partner_over_own", *SMALL), nothing)
    assert likely_cause(honest).code == "own"
    assert likely_cause({k: honest[k] for k in ("own", "mark", "mark_over_own")}).code == "own"
    assert likely_cause({}).code == "undecided"


def test_a_place_of_few_persons_neither_accuses_nor_blocks() -> None:
    """A parent that is apart in three persons alone is left out."""
    for ratio in (1.0, 5.0):
        assert likely_cause(measures() | {"parent_over_own": Estimate(3, ratio, 0.1, ratio, ratio)}).code == "own"


def test_thresholds_count() -> None:
    """The same measures, another line."""
    assert likely_cause(measures(flipped=0.3), Thresholds(flipped=0.4)).code == "own"
    found = measures(own_over_others=0.4, background_over_others=1.5)
    assert likely_cause(found, Thresholds(background=1.6)).code == "own"
    assert likely_cause(found, Thresholds(weak=0.3)).code == "own"
    assert likely_cause(measures(), Thresholds(preferred=10.0)).code == "undecided"
    assert likely_cause(measures(parent=12.0), Thresholds(margin=1.1)).code == "parent"
