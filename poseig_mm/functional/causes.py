"""What a joint is most likely read from, decided from a few estimates by a list of rules that can be read.  No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .statistics import Estimate

__all__ = ["CAUSES", "COMPACT", "Cause", "Thresholds", "likely_cause"]

# code -> in words, for 'this joint is read from ...'
CAUSES: dict[str, str] = {
    "own": "itself",
    "parent": "its parent",
    "partner": "its left-right partner",
    "mark": "a mark at a fixed offset",
    "context": "the background",
    "left_right": "itself, without a left-right cue",
    "undecided": "undecided",
}
COMPACT = ("mark", "parent", "partner")  # places as small as the joint's own surroundings, in the order of the rules


@dataclass(frozen=True)
class Thresholds:
    """Where the rules draw their lines; all are compared with ends of 95 % intervals, never with means."""

    fewest: int = 8  # persons, below which nothing is decided: as for every test of this project
    preferred: float = 1.0  # times a uniform map's density: below, a place is not preferred at all
    background: float = 1.0  # times a uniform map's density on the background: a joint on a person is well below
    flipped: float = 0.05  # share of persons with most joints on the wrong side: detectors of the present have 1 to 2 %


@dataclass(frozen=True)
class Cause:
    """The decision and what it rests on."""

    code: str  # of `CAUSES`
    why: str  # the numbers that decided

    @property
    def words(self) -> str:
        """What the joint is read from."""
        return CAUSES[self.code]


def likely_cause(measures: Mapping[str, Estimate], thresholds: Thresholds | None = None) -> Cause:
    """The first rule that holds.

    1. fewer than `fewest` persons: undecided.
    2. mark, parent, partner: the density there lies above the joint's own and those of the other two, and above a uniform
       map's, interval above interval.
    3. context: the density on the background lies above `background`, and above that of the person's other joints.
    4. left_right: more than `flipped` of the persons have most of their joints on the wrong side.
    5. own: the density around the joint lies above mark's, parent's and partner's, and above a uniform map's.
    6. undecided.

    Args:
        measures: 'own', 'parent', 'partner', 'mark', 'background': densities over a uniform map's, 1 = no preference;
            'background_excess': that of the background less the mean of the same persons' other joints; 'flipped': share of
            persons in [0, 1].  One that is missing or NaN (no such joint, no mask) cannot decide anything; only 'own' is
            needed.
        thresholds: None: the documented ones.

    >>> def density(mean): return Estimate(20, mean, 1.0, mean - 1, mean + 1)
    >>> likely_cause({'own': density(2.0), 'partner': density(9.0)}).code
    'partner'
    >>> likely_cause({'own': density(9.0), 'partner': density(2.0)}).words
    'itself'
    """
    limits = thresholds or Thresholds()
    own = measures.get("own", _NOTHING)
    if own.n < limits.fewest:
        return Cause("undecided", f"{own.n} persons, fewer than {limits.fewest}")
    places = {name: measures[name] for name in COMPACT if _decides(measures.get(name, _NOTHING), limits)}
    for name, found in places.items():
        rest = [own, *(other for key, other in places.items() if key != name)]
        if found.low > limits.preferred and all(_above(found, other) for other in rest):
            return Cause(name, f"{CAUSES[name]}: {_text(found)} times a uniform map; around itself: {_text(own)}")
    background, excess, flipped = (measures.get(k, _NOTHING) for k in ("background", "background_excess", "flipped"))
    if (
        _decides(background, limits)
        and background.low > limits.background
        and _decides(excess, limits)
        and excess.low > 0
    ):
        return Cause("context", f"background: {_text(background)} times a uniform map; around itself: {_text(own)}")
    if _decides(flipped, limits) and flipped.low > limits.flipped:
        return Cause("left_right", f"{_text(flipped, 2)} of the persons have most joints on the wrong side")
    if own.low > limits.preferred and all(_above(own, other) for other in places.values()):
        return Cause("own", f"around itself: {_text(own)} times a uniform map")
    if not math.isfinite(own.low):
        return Cause("undecided", "no interval")
    near = max(places, key=lambda name: places[name].mean, default=None)
    told = f"around itself: {_text(own)}" + (f"; {CAUSES[near]}: {_text(places[near])}" if near else "")
    return Cause(
        "undecided", f"intervals overlap ({told})" if own.low > limits.preferred else f"no preference ({told})"
    )


_NOTHING = Estimate(0, math.nan, math.nan, math.nan, math.nan)


def _decides(value: Estimate, limits: Thresholds) -> bool:
    """Whether there are enough persons and an interval."""
    return value.n >= limits.fewest and math.isfinite(value.low) and math.isfinite(value.high)


def _above(first: Estimate, second: Estimate) -> bool:
    return first.low > second.high


def _text(value: Estimate, digits: int = 1) -> str:
    return f"{value.mean:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"
