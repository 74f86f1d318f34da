"""Conclusions of a run: how sure one is, their order, and their words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..types import Conclusion
from .sentences import format_estimate, plural

if TYPE_CHECKING:
    from ..functional.statistics import Estimate
    from ..store import Store


MOST_SHOWN = 5  # the others are folded, or counted


def how_sure(effect: Estimate, p: float) -> str:
    """In a word, or '' for what is within noise.

    Args:
        effect: 0 is none.
        p: after Holm's correction for all that was looked at; NaN where nothing could be tested.

    >>> from poseig_mm.functional.statistics import Estimate
    >>> known = Estimate(20, 2.0, 1.0, 0.5, 3.5)
    >>> how_sure(known, 0.01), how_sure(known, 0.2), how_sure(known, math.nan)
    ('shown', 'likely', 'too few persons')
    >>> how_sure(Estimate(20, 2.0, 1.0, -0.5, 4.5), 0.01)
    ''
    """
    if not (effect.low > 0 or effect.high < 0):
        return ""
    if math.isnan(p):
        return "too few persons"
    return "shown" if p < 0.05 else "likely"


def ranked(conclusions: Iterable[Conclusion]) -> list[Conclusion]:
    """By what they cost: what no number bounds, what costs AP, what costs px (or mm), what costs nothing.

    Of several with one name the first stays.

    >>> def about(name, cost, unit): return Conclusion(name, "So it is.", cost=cost, cost_unit=unit)
    >>> given = [about("a", 9.0, "px"), about("b", 0.1, "AP"), about("a", 0.2, "AP"), about("c", math.inf, ""),
    ...          about("d", math.nan, "")]
    >>> [(c.name, c.cost) for c in ranked(given)]
    [('c', inf), ('a', 0.2), ('b', 0.1), ('d', nan)]
    """

    def place(conclusion: Conclusion) -> tuple[int, float]:
        if math.isnan(conclusion.cost):
            return 3, 0.0
        return (0 if math.isinf(conclusion.cost) else 1 if conclusion.cost_unit == "AP" else 2), -conclusion.cost

    first: dict[str, Conclusion] = {}
    for conclusion in sorted(conclusions, key=place):
        first.setdefault(conclusion.name, conclusion)
    return list(first.values())


def effect_in_words(conclusion: Conclusion) -> str:
    """The effect with its interval, unit and n, '' where there is none.

    >>> from poseig_mm.functional.statistics import Estimate
    >>> effect_in_words(Conclusion("a", "So it is.", Estimate(12, 0.0312, 0.1, 0.0104, 0.0521), "AP"))
    '0.031 [0.010, 0.052] AP (n = 12)'
    """
    if conclusion.effect is None:
        return ""
    size = abs(conclusion.effect.mean)
    digits = 0 if size >= 100 else 1 if size >= 10 or conclusion.unit.startswith("%") else 2 if size >= 0.2 else 3
    text = f"{format_estimate(conclusion.effect, digits)} {conclusion.unit}".strip()
    return f"{text} (n = {conclusion.effect.n})"


def verdict(store: Store, conclusions: Sequence[Conclusion]) -> str:
    """What was diagnosed, how well it does, and how much stands out, in two or three sentences."""
    import polars as pl

    from .measures import estimate, image_count, run_value, unit_of
    from .pck import OF_BOX, with_pck

    joints, samples = store.joints(), store.samples()
    visible = joints.filter(pl.col("visible"))
    if not len(samples):
        return "No person was diagnosed, so there is nothing to conclude; see Failures for the reasons."
    model = run_value(store, "model", "backbone", default="The model")
    data = run_value(store, "dataset", "name", default="the data set")
    text = f"{model} on {data}, {plural(len(samples), 'person')}: "
    error = estimate(visible, "epe")
    if error.n:
        text += f"the mean error is {format_estimate(error, 1)} {unit_of(visible)}"
        within = estimate(with_pck(visible, samples), "pck")
        text += (
            f"; {100 * within.mean:.0f} % of the joints are within {100 * OF_BOX:g} % of the box" if within.n else ""
        )
    else:
        text += f"{plural(len(visible), 'joint')}, without annotations to measure errors by"
    return f"{text}. {_count(conclusions, image_count(visible))}"


def _count(conclusions: Sequence[Conclusion], images: int) -> str:
    from ..functional.inference import FEWEST

    if conclusions:
        return f"{plural(len(conclusions), 'thing')} stand{'s' if len(conclusions) == 1 else ''} out:"
    if images < FEWEST:
        number = "One image is" if images == 1 else f"{plural(images, 'image')} are"
        return f"Nothing stands out, but {number} too few to tell: with fewer than {FEWEST} nothing is tested."
    return "Nothing stands out: what joints and persons differ in is within noise."
