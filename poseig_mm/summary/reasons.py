"""Why numbers are missing: reason codes in words, and counted."""

from __future__ import annotations

from collections import Counter

import polars as pl

from ..types import Table
from .sentences import plural

_OF_MASK = "indices that need a mask (FI)"
_OF_PLACE = "indices that need the joint's place (LI, RI)"
_REASONS = {
    "no_mask": f"no mask of this person, so {_OF_MASK} are undefined",
    "empty_mask": f"the mask has no pixel inside the input, so {_OF_MASK} are undefined",
    "not_visible": "joint not annotated, or outside the input",
    "no_annotation": "nobody annotated this person: the model's own prediction is explained, and there is no error",
    "not_asked": "joint left out by the settings",
    "no_match": "the model gives out nobody who is this person, so there is no map",
    "no_place": f"no place in the input (it is no image, or the place is not known), so {_OF_PLACE} are undefined",
    "no_box": "no box around the person that says how large it is, so LI by the person's size is undefined",
    "outside": "joint outside the input",
    "one_rule": "the map was made without two half-rules, so its indices have no error to state",
    "random_unchanged": "no permuted map moved this joint: no ratio of its own, but R_E counts its changes",
    "predicted_mask": f"{_OF_MASK} are there, but use one that the model itself predicted",
    "joints_mask": f"{_OF_MASK} are there, but use one drawn from the annotated joints",
    "no_map": "the attribution gave no map, or none was asked for",
    "no_heatmaps": f"no reference point, so {_OF_PLACE} are undefined",
    "zero_map": "the gradient is zero everywhere, so there is no map",
    "nonfinite_gradient": "the gradient is NaN or infinite, so there is no map",
    "nonfinite_weights": "weights that are NaN or infinite reach this joint, so it has neither prediction nor map",
}


def lacking(joints: pl.DataFrame, *, maps: bool) -> pl.DataFrame:
    """The joints that lack a number that was asked for; a map lacks nobody in a run without `maps`.

    >>> joints = pl.DataFrame({"reason": ["", "no_map", "not_visible"]})
    >>> [lacking(joints, maps=asked)["reason"].to_list() for asked in (True, False)]
    [['no_map', 'not_visible'], ['not_visible']]
    """
    reason = pl.col("reason").fill_null("")
    return joints.filter(reason != "" if maps else ~reason.is_in(["", "no_map"]))


def missing_reasons(rows: pl.DataFrame) -> Counter[str]:
    """How many rows carry each reason code."""
    counts: Counter[str] = Counter()
    for reason, n in rows.group_by("reason").len().rows():
        for code in filter(None, str(reason or "").split(";")):
            counts[code.strip()] += n
    return counts


def reason_text(code: str) -> str:
    """A reason code in words.

    >>> reason_text('my_index_failed')
    'the index my_index raised an exception (see Failures)'
    """
    if code in _REASONS:
        return _REASONS[code]
    if code.endswith("_failed"):
        return f"the index {code.removesuffix('_failed')} raised an exception (see Failures)"
    if code.endswith("_undefined"):
        return f"the index {code.removesuffix('_undefined')} has no value for this joint"
    return "said by a plugin"


def missing_table(rows: pl.DataFrame, of_what: str) -> tuple[Table, ...]:
    """Why rows of a study have no number, counted by reason; no table where none is missing.

    Args:
        rows: with a column `reason`, codes joined by ';'.
        of_what: what a row is, e.g. 'joints times masks'.
    """
    return reasons_table(rows, f"Why a number is missing, of {plural(len(rows), 'row')} ({of_what}).", "rows")


def reasons_table(rows: pl.DataFrame, caption: str, counted: str, of: int | None = None) -> tuple[Table, ...]:
    """How many `rows` carry which reason, under a heading that says what is counted; no table where none does.

    Args:
        rows: with a column `reason`.
        caption: of the table.
        counted: what a row is.
        of: how many rows there are in all; None: these.
    """
    counts = missing_reasons(rows).most_common()
    lines = tuple((code, n, 100 * n / (of or len(rows)), reason_text(code)) for code, n in counts)
    return (Table(caption, ("reason", counted, "share (%)", "meaning"), lines, 1),) if lines else ()
