"""Numbers and facts in words: estimates, p-values, counts, a run's model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ..types import Missing
from .measures import run_value

if TYPE_CHECKING:
    from ..functional.statistics import Estimate
    from ..store import Store


def format_estimate(value: Estimate, digits: int = 2, *, sign: bool = False, small: bool = False) -> str:
    """An estimate with its interval, as far as there is one, and with a real minus sign.

    Args:
        digits: decimals, or significant figures with `small`.
        sign: a plus before what is not below zero.
        small: for numbers that decimals would make 0.

    >>> from poseig_mm.functional.statistics import Estimate
    >>> format_estimate(Estimate(9, 1.5, 1.0, 0.25, 2.75), sign=True)
    '+1.50 [+0.25, +2.75]'
    >>> nan = math.nan
    >>> format_estimate(Estimate(1, -1.5, nan, nan, nan)), format_estimate(Estimate(0, nan, nan, nan, nan))
    ('\u22121.50', 'unknown')
    """
    if not math.isfinite(value.mean):
        return "unknown"
    form = f"{'+' if sign else ''}.{digits}{'g' if small else 'f'}"
    text = f"{value.mean:{form}}"
    if math.isfinite(value.low) and math.isfinite(value.high):
        text += f" [{value.low:{form}}, {value.high:{form}}]"
    return text.replace("-", "\u2212")


def format_p(p: float) -> str:
    """A p-value, or why there is none.

    >>> format_p(0.0412), format_p(1e-9), format_p(math.nan)
    ('p = 0.041', 'p < 0.001', 'not tested')
    """
    if not math.isfinite(p):
        return p.reason if isinstance(p, Missing) else "not tested"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def plural(n: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, 'person'), plural(2, 'person')
    ('1 person', '2 persons')
    """
    return f"{n} {noun}" + ("" if n == 1 else "s")


def model_facts(store: Store) -> dict[str, str]:
    """What a run says of its model: 'Model', 'Input' and 'Decoding', each '' where it is not known."""
    model: dict[str, Any] = run_value(store, "model", default={})
    size, beta = model.get("input_size"), model.get("beta")
    sharpness = f", soft-argmax β = {beta:.4g}" if isinstance(beta, (int, float)) else ""
    return {
        "Model": " · ".join(str(model[key]) for key in ("estimator", "backbone", "head") if model.get(key)),
        "Input": f"{size[0]} \u00d7 {size[1]} px" if size else "",
        "Decoding": f"{model.get('adapter') or ''}{sharpness}",
    }


def scale_in_words(store: Store) -> str:
    """What the run's likelihood is made for, where coordinates are in another unit than px.

    '' for px, or where it was given.
    """
    scale = run_value(store, "likelihood_scale")
    if not scale or not scale["settings"]:
        return ""
    (name, value), unit = next(iter(scale["settings"].items())), scale["unit"]
    return (
        f"{name} {value:.4g} {'per ' if name == 'alpha' else ''}{unit}, for the median error of "
        f"{plural(int(scale['persons']), 'person')}, {scale['median']:.4g} {unit}"
    )
