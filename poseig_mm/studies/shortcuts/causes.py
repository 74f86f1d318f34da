"""What a joint is most likely read from, decided from a few estimates by a list of rules that can be read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ...functional.statistics import Estimate
from ...settings_fields import number, whole

# code -> in words, for 'this joint is read from ...'
CAUSES: dict[str, str] = {
    "own": "itself",
    "parent": "its parent",
    "partner": "its left-right partner",
    "mark": "a mark at a fixed offset",
    "context": "the background",
    "left_right": "no left-right cue",
    "undecided": "undecided",
}
COMPACT = ("mark", "parent", "partner")  # places as small as the joint's own surroundings, in the order of the rules


@dataclass(frozen=True)
class Thresholds:
    """Where the rules draw their lines; all are compared with ends of 95 % intervals, never with means."""

    fewest: int = whole(8, least=2)  # persons, below which nothing is decided: as for every test of this project
    # times a uniform map's density: below, a place is not preferred at all
    preferred: float = number(1.0, above=0)
    # times the joint's own density, which another place must exceed: honest models come near to 1
    margin: float = number(1.5, above=0)
    # share of persons with a spot at the same offset, for a mark; anatomy reaches 0.47 (head from shoulder)
    fixed: float = number(0.5, above=0, below=1)
    # times the background's density in the maps of the same persons' other joints
    background: float = number(1.25, above=0)
    # times those joints' density around themselves: below, a joint is read from itself less than they
    weak: float = number(0.75, above=0)
    # share of persons with most joints on the wrong side: detectors of the present have 1 to 2 %
    flipped: float = number(0.05, above=0, below=1)


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
    2. mark, parent, partner: the density there is more than `margin` times the joint's own and above a uniform map's;
       of several such places the densest one, if its interval lies above the others'.  A mark must be there in more
       than `fixed` of the persons.
    3. context: more than `background` times as dense on the background as the same persons' other joints, and less than
       `weak` times as dense around itself as they are around themselves; and no mark that may be denser than that.
    4. left_right: more than `flipped` of the persons have most of their joints on the wrong side.
    5. own: the density around the joint lies above parent's and partner's, and above a uniform map's; also above the
       mark's, unless that is there in less than `fixed` of the persons.
    6. undecided.

    'Above' is said of 95 % intervals: their ends, not the means.

    Args:
        measures: 'own', 'parent', 'partner', 'mark', 'background': densities over a uniform map's, 1 = no preference;
            'parent_over_own', 'partner_over_own', 'mark_over_own': that place's density over the joint's own in the
            same persons; 'background_over_others', 'own_over_others': the density over that in the maps of the same
            persons' other joints; 'fixed': share of persons with the mark; 'flipped': share of persons, most of whose
            joints are on the wrong side.
            What is missing or NaN (no such joint, no mask) cannot decide anything; only 'own' is needed.
        thresholds: None: the documented ones.

    >>> def around(mean): return Estimate(20, mean, 1.0, 0.8 * mean, 1.2 * mean)
    >>> likely_cause({'own': around(2.0), 'partner': around(8.0), 'partner_over_own': around(4.0)}).code
    'partner'
    >>> likely_cause({'own': around(8.0), 'partner': around(2.0), 'partner_over_own': around(0.25)}).words
    'itself'
    """
    limits, known = thresholds or Thresholds(), _Measures(measures)
    own = known["own"]
    if own.n < limits.fewest:
        return Cause("undecided", f"{own.n} persons, fewer than {limits.fewest}")
    ratios = {name: known[f"{name}_over_own"] for name in COMPACT if _decides(known[f"{name}_over_own"], limits)}
    if not (known["fixed"].high >= limits.fixed and known["mark"].low > limits.preferred):
        ratios.pop("mark", None)  # in a minority of persons, or no denser than a uniform map: chance, or anatomy
    denser = [name for name, r in ratios.items() if r.low > limits.margin and known[name].low > limits.preferred]
    if "mark" in denser and known["fixed"].low <= limits.fixed:
        denser.remove("mark")
    for name in denser:
        if all(known[name].low > known[other].high for other in denser if other != name):
            return Cause(name, f"{CAUSES[name]}: {_text(known[name])} times a uniform map; around itself: {_text(own)}")
    context, weakness, flipped = known["background_over_others"], known["own_over_others"], known["flipped"]
    spread = not denser and not ("mark" in ratios and ratios["mark"].high >= 1)  # rather than on a mark
    if spread and _decides(context, limits) and context.low > limits.background and weakness.high < limits.weak:
        why = f"background: {_text(context, 2)} times the other joints; around itself: {_text(weakness, 2)} times them"
        return Cause("context", why)
    if not denser and _decides(flipped, limits) and flipped.low > limits.flipped:
        return Cause("left_right", f"{_text(flipped, 2)} of the persons have most joints on the wrong side")
    if own.low > limits.preferred and all(r.high < 1 for r in ratios.values()):
        return Cause("own", f"around itself: {_text(own)} times a uniform map")
    near = [name for name, r in ratios.items() if r.high >= 1]
    told = "; ".join([f"around itself: {_text(own)}", *(f"{CAUSES[name]}: {_text(known[name])}" for name in near)])
    return Cause("undecided", told)


class _Measures(dict[str, Estimate]):
    """Estimates by name; what is missing decides nothing."""

    def __missing__(self, name: str) -> Estimate:
        return Estimate(0, math.nan, math.nan, math.nan, math.nan)


def _decides(value: Estimate, limits: Thresholds) -> bool:
    """Whether there are enough persons and an interval."""
    return value.n >= limits.fewest and math.isfinite(value.low) and math.isfinite(value.high)


def _text(value: Estimate, digits: int = 1) -> str:
    return f"{value.mean:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"
