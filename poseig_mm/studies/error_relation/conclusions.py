"""Which index goes with the error most closely."""

from __future__ import annotations

import math

from ...functional.inference import FEWEST, holm
from ...functional.statistics import Estimate
from ...store.reader import Store
from ...summary.conclusions import how_sure
from ...summary.estimates import estimate_of
from ...summary.measures import measures
from ...types import Conclusion
from ..section_parts import study_rows

TELLING = 0.3  # a correlation from which on an index tells large from small errors


def error_relation_conclusions(store: Store, name: str) -> list[Conclusion]:
    """The index of the largest correlation over all joints, where that is beyond noise and large enough to be of use.

    Holm's correction is for all indices; p from the interval of Fisher's z.
    """
    rows = {r["measure"]: r for r in study_rows(store, name).to_dicts() if r["level"] == "all"}
    shown = [m for m in measures(store, store.joints()) if m.name in rows]
    found = [estimate_of(rows[m.name], "spearman") for m in shown]
    persons = [rows[m.name]["persons"] for m in shown]
    corrected = holm([_p(e) if n >= FEWEST else math.nan for e, n in zip(found, persons, strict=True)]).tolist()
    telling = [
        (abs(e.mean), m, e, sure)
        for m, e, p in zip(shown, found, corrected, strict=True)
        if abs(e.mean) >= TELLING and (sure := how_sure(e, p))
    ]
    if not telling:
        return []
    _, m, e, sure = max(telling, key=lambda entry: entry[0])
    way = "rises" if e.mean > 0 else "falls"
    return [
        Conclusion(
            name="index of errors",
            sentence=f"{m.title} tells large errors from small ones: it {way} with them.",
            effect=e,
            unit="Spearman's correlation with the error, over all joints",
            sure=sure,
            try_=f"{m.title} of pictures without annotations says which to annotate or look at first",
        )
    ]


def _p(correlation: Estimate) -> float:
    """Two-sided p of no correlation."""
    from scipy.stats import norm

    ends = [
        math.atanh(max(-1 + 1e-12, min(1 - 1e-12, v))) for v in (correlation.low, correlation.mean, correlation.high)
    ]
    error = (ends[2] - ends[0]) / (2 * float(norm.ppf(0.975)))
    return float(2 * norm.sf(abs(ends[1]) / error)) if error > 0 else math.nan
