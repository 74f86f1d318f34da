"""What several sections ask of a store: which indices there are, means with intervals, why numbers are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..types import Table

if TYPE_CHECKING:
    from ..functional.statistics import Estimate
    from ..store import Store

__all__ = [
    "Measure", "estimate", "finite", "group_order", "index_measures", "joint_order", "measures", "missing_reasons",
    "missing_table", "place_columns", "plural", "reason_text", "run_value", "scale_in_words", "unit_of",
]  # fmt: skip

_REASONS = {
    "no_mask": "no mask of this person, so FI is undefined",
    "empty_mask": "the mask has no pixel inside the input, so FI is undefined",
    "not_visible": "joint not annotated, or outside the input",
    "not_asked": "joint left out by the settings",
    "no_match": "the model gives out nobody who is this person, so there is no map",
    "no_place": "the joint has no place in the input (it is no image, or the place is not known), so LI is undefined",
    "outside": "joint outside the input",
    "random_unchanged": "no permuted map moved this joint: no ratio of its own, but R_E counts its changes",
    "predicted_mask": "FI is there, but uses a mask that the model itself predicted",
    "joints_mask": "FI is there, but uses a mask drawn from the annotated joints",
    "no_map": "the attribution gave no map",
    "no_heatmaps": "no reference point, so LI and RI are undefined",
    "zero_map": "the gradient is zero everywhere, so there is no map",
    "nonfinite_gradient": "the gradient is NaN or infinite, so there is no map",
}

_GROUPS = ("axial", "trunk", "branch", "leaf", "foot", "wrist", "MCP", "PIP", "DIP", "TIP")  # from the root outwards


@dataclass(frozen=True)
class Measure:
    """A column of `joints` that the report summarises."""

    name: str  # column
    title: str
    unit: str = ""
    meaning: str = ""
    neutral: float | None = None  # the value that says: no preference

    @property
    def label(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


def unit_of(joints: pl.DataFrame) -> str:
    """Unit of EPE, 'px' where the table is empty."""
    return str(joints["unit"][0]) if len(joints) else "px"


def place_columns(joints: pl.DataFrame) -> tuple[str, str]:
    """Names of the columns that say where the annotated joints appear in the input, px."""
    return ("place_x", "place_y") if "place_x" in joints.columns else ("gt_x", "gt_y")


def measures(store: Store, joints: pl.DataFrame) -> tuple[Measure, ...]:
    """EPE and every index of a joint that this run has, in the order in which they were asked for."""
    epe = Measure("epe", "EPE", unit_of(joints), "distance of the prediction from the annotation")
    return (epe, *index_measures(store, joints))


def index_measures(store: Store, rows: pl.DataFrame, kind: str = "joint") -> tuple[Measure, ...]:
    """The run's indices of one kind that are columns of `rows`, in the order in which they were asked for."""
    return tuple(
        Measure(i["name"], i["title"], "" if i["unit"] == "1" else i["unit"], i["meaning"], i["neutral"])
        for i in store.run["indices"]
        if i["kind"] == kind and i["name"] in rows.columns
    )


def finite(values: Any) -> NDArray[np.float64]:
    """The finite ones of `values`."""
    array = np.asarray(values, dtype=np.float64)
    known: NDArray[np.float64] = array[np.isfinite(array)]
    return known


def estimate(rows: pl.DataFrame, column: str) -> Estimate:
    """Mean of a column's finite values with its 95 % interval, persons resampled (seed 0)."""
    from ..functional.statistics import bootstrap_mean

    rows = rows.filter(pl.col(column).is_finite())
    return bootstrap_mean(rows[column].to_numpy(), groups=rows["sample_id"].to_numpy())


def group_order(joints: pl.DataFrame) -> list[str]:
    """The groups of these joints from the root outwards; those that nobody knows come last, by their first joint."""
    present = list(dict.fromkeys(g for g in joints.sort("joint")["group"] if g))
    return [*(g for g in _GROUPS if g in present), *(g for g in present if g not in _GROUPS)]


def joint_order(joints: pl.DataFrame, groups: Sequence[str]) -> list[tuple[int, str, str]]:
    """(joint, name, group) of every joint, group by group in the order of `groups`, those of no group last."""
    rank = {g: i for i, g in enumerate(groups)}
    known = joints.select("joint", "joint_name", "group").unique().sort("joint").rows()
    return sorted(known, key=lambda row: (rank.get(row[2], len(rank)), row[0]))


def missing_reasons(joints: pl.DataFrame) -> Counter[str]:
    """How many rows of `joints` carry each reason code."""
    counts: Counter[str] = Counter()
    for reason, n in joints.group_by("reason").len().rows():
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
    counts = missing_reasons(rows)
    if not counts:
        return ()
    lines = tuple((code, n, 100 * n / len(rows), reason_text(code)) for code, n in counts.most_common())
    caption = f"Why a number is missing, of {plural(len(rows), 'row')} ({of_what})."
    return (Table(caption, ("reason", "rows", "share (%)", "meaning"), lines, 1),)


def run_value(store: Store, *keys: str, default: Any = None) -> Any:
    """A nested entry of run.json, or `default` where any key on the way is missing or null."""
    value: Any = store.run
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return default if value is None else value


def plural(n: int, noun: str) -> str:
    """A count with its noun.

    >>> plural(1, 'person'), plural(2, 'person')
    ('1 person', '2 persons')
    """
    return f"{n} {noun}" + ("" if n == 1 else "s")


def scale_in_words(store: Store) -> str:
    """What the run's likelihood is made for, where coordinates are in another unit than px: '' for px, or where
    given.
    """
    scale = run_value(store, "likelihood_scale")
    if not scale or not scale["settings"]:
        return ""
    (name, value), unit = next(iter(scale["settings"].items())), scale["unit"]
    return (
        f"{name} {value:.4g} {'per ' if name == 'alpha' else ''}{unit}, for the median error of "
        f"{plural(int(scale['persons']), 'person')}, {scale['median']:.4g} {unit}"
    )
