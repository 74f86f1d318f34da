"""What several sections ask of a store: which measures it has, their means with intervals, the order of joints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..settings import NO_MAPS

if TYPE_CHECKING:
    from ..functional.statistics import Estimate
    from ..store import Store


_GROUPS = ("axial", "trunk", "branch", "leaf", "foot", "wrist", "MCP", "PIP", "DIP", "TIP")  # from the root outwards


@dataclass(frozen=True)
class Measure:
    """A column of `joints` that the report summarises."""

    name: str  # column
    title: str
    unit: str = ""
    meaning: str = ""
    neutral: float | None = None  # the value that says: no preference
    error: str = ""  # column of the error to expect of one joint's value

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


def explained_columns(store: Store, joints: pl.DataFrame) -> tuple[str, str]:
    """Names of the columns that say where the explained points are in the input, px: annotated, else predicted."""
    return place_columns(joints) if is_annotated(store) else ("pred_x", "pred_y")


def measures(store: Store, joints: pl.DataFrame) -> tuple[Measure, ...]:
    """EPE, where anything is annotated, and every index of a joint that this run has, in the order asked for."""
    if not is_annotated(store):
        return index_measures(store, joints)
    meaning = "distance of the prediction from the annotation"
    if run_value(store, "settings", "attribution", "epe_to") == "reference":
        meaning = "distance of the differentiable coordinates from the target's reference point"
    epe = Measure("epe", "EPE", unit_of(joints), meaning)
    return (epe, *index_measures(store, joints))


def index_measures(store: Store, rows: pl.DataFrame, kind: str = "joint") -> tuple[Measure, ...]:
    """The run's indices of one kind that are columns of `rows`, in the order in which they were asked for."""
    return tuple(
        Measure(
            i["name"],
            i["title"],
            "" if i["unit"] == "1" else i["unit"],
            i["meaning"],
            i["neutral"],
            error if (error := i.get("error", "")) in rows.columns else "",
        )
        for i in store.run["indices"]
        if i["kind"] == kind and i["name"] in rows.columns
    )


def finite(values: Any) -> NDArray[np.float64]:
    """The finite ones of `values`."""
    array = np.asarray(values, dtype=np.float64)
    known: NDArray[np.float64] = array[np.isfinite(array)]
    return known


def images_of(rows: pl.DataFrame) -> NDArray[Any]:
    """What is resampled: each row's image, whose persons are no strangers; its person where no image is known.

    >>> images_of(pl.DataFrame({'sample_id': ['a', 'b'], 'image_id': ['7', None]})).tolist()
    ['7', 'b']
    """
    known = [name for name in ("image_id", "sample_id") if name in rows.columns]
    return rows.select(pl.coalesce(known)).to_series().to_numpy()


def image_count(rows: pl.DataFrame) -> int:
    """How many images (or persons) are resampled."""
    return len(np.unique(images_of(rows))) if len(rows) else 0


def has_intervals(rows: pl.DataFrame) -> bool:
    """Whether there are images enough to resample.

    >>> has_intervals(pl.DataFrame({'sample_id': ['a', 'b', 'c']}))
    False
    """
    from ..functional.statistics import FEWEST_GROUPS

    return image_count(rows) >= FEWEST_GROUPS


def with_values(shown: Sequence[Measure], rows: pl.DataFrame) -> tuple[Measure, ...]:
    """Without the error where no row has one: nobody was annotated."""
    return tuple(m for m in shown if m.name != "epe" or bool(rows["epe"].is_finite().any()))


def estimate(rows: pl.DataFrame, column: str) -> Estimate:
    """Mean of a column's finite values with its 95 % interval, images resampled (seed 0)."""
    from ..functional.statistics import bootstrap_mean

    rows = rows.filter(pl.col(column).is_finite())
    return bootstrap_mean(rows[column].to_numpy(), groups=images_of(rows))


def group_order(joints: pl.DataFrame) -> list[str]:
    """The groups of these joints from the root outwards; those that nobody knows come last, by their first joint."""
    present = list(dict.fromkeys(g for g in joints.sort("joint")["group"] if g))
    return [*(g for g in _GROUPS if g in present), *(g for g in present if g not in _GROUPS)]


def joint_order(joints: pl.DataFrame, groups: Sequence[str]) -> list[tuple[int, str, str]]:
    """(joint, name, group) of every joint, group by group in the order of `groups`, those of no group last."""
    rank = {g: i for i, g in enumerate(groups)}
    known = joints.select("joint", "joint_name", "group").unique().sort("joint").rows()
    return sorted(known, key=lambda row: (rank.get(row[2], len(rank)), row[0]))


def has_maps(store: Store) -> bool:
    """Whether the run was asked for maps (`diagnosis.attribution.method`), as all of before there was a choice."""
    return bool(run_value(store, "settings", "attribution", "method") != NO_MAPS)


def is_annotated(store: Store) -> bool:
    """Whether the run's persons are annotated, as all of before there was a choice; else no joint has an error."""
    return bool(run_value(store, "dataset", "annotations", default=True))


def run_value(store: Store, *keys: str, default: Any = None) -> Any:
    """A nested entry of run.json, or `default` where any key on the way is missing or null."""
    value: Any = store.run
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return default if value is None else value
