"""Estimates and p-values in a sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..functional.statistics import Estimate

__all__ = ["p_text", "said"]


def said(value: Estimate, digits: int = 2) -> str:
    """An estimate with its interval, as far as there is one.

    >>> from poseig_mm.functional.statistics import Estimate
    >>> said(Estimate(9, 1.5, 0.2, 1.25, 1.75)), said(Estimate(1, -1.5, math.nan, math.nan, math.nan))
    ('1.50 [1.25, 1.75]', '\u22121.50')
    """
    if not math.isfinite(value.mean):
        return "unknown"
    text = f"{value.mean:.{digits}f}"
    if math.isfinite(value.low) and math.isfinite(value.high):
        text += f" [{value.low:.{digits}f}, {value.high:.{digits}f}]"
    return text.replace("-", "\u2212")


def p_text(p: float) -> str:
    """A p-value, or that there is none.

    >>> p_text(0.0412), p_text(1e-9), p_text(math.nan)
    ('p = 0.041', 'p < 0.001', 'not tested')
    """
    if not math.isfinite(p):
        return "not tested"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
