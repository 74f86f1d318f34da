"""From the rows of the study of shortcuts to what decides: densities with intervals, and the cause of each joint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..functional.causes import Cause, Thresholds, likely_cause
from ..functional.evidence import PLACES, fixed_offset
from ..functional.inference import bootstrap_of
from ..functional.shares import share
from ..functional.statistics import Estimate, bootstrap_mean

__all__ = ["JointEvidence", "evidence_of_joints", "flipped_persons"]

TOLERANCE = 0.5  # radii, within which two offsets are the same: a pose moves anatomy by more
FEWEST_JOINTS, MOST = 4, 0.5  # of a person, that could be inverted; share of them from which on the person is flipped
FREE = ("limb", "person", "background", "unknown")  # places where a mark can be: at no joint


@dataclass(frozen=True)
class JointEvidence:
    """What is known about one joint of a run."""

    name: str
    joint: int
    persons: int
    shares: Mapping[str, Estimate]  # place -> share of the map's mass
    areas: Mapping[str, float]  # place -> mean share of the pixels: a uniform map's share
    measures: Mapping[str, Estimate]  # what `likely_cause` takes
    offset: tuple[float, float]  # px, median of the spots at a fixed offset; NaN without
    fixed: Estimate  # share of persons whose densest spot is at that offset, at no joint
    cause: Cause


def evidence_of_joints(rows: pl.DataFrame, thresholds: Thresholds | None = None) -> list[JointEvidence]:
    """Measures and cause of every joint.

    Args:
        rows: the study's table.
        thresholds: of `likely_cause`.

    Returns:
        In the joints' order; densities are ratios of sums over persons, intervals over persons.
    """
    measured = rows.filter(pl.col("share_own").is_finite())
    if not len(measured):
        return []
    flipped = flipped_persons(measured)
    measured = _with_excess(measured)
    return [
        _joint(measured.filter(pl.col("joint") == joint).sort("sample_id"), name, flipped, thresholds)
        for joint, name in measured.select("joint", "joint_name").unique().sort("joint").rows()
    ]


def flipped_persons(rows: pl.DataFrame) -> Estimate:
    """Share of persons with at least half of their joints at the partner's place, of those with four or more that could."""
    persons = rows.group_by("sample_id").agg(pl.col("invertible").sum(), pl.col("inverted").sum()).sort("sample_id")
    persons = persons.filter(pl.col("invertible") >= FEWEST_JOINTS)
    hits = persons["inverted"].to_numpy() >= MOST * persons["invertible"].to_numpy()
    return share(hits.astype(float), np.ones(len(hits)))


def _with_excess(rows: pl.DataFrame) -> pl.DataFrame:
    """With `excess`: density on the background less the mean of the same person's other joints."""
    density = pl.when(pl.col("area_background") > 0).then(pl.col("share_background") / pl.col("area_background"))
    known = pl.col("reason") == ""
    rows = rows.with_columns(pl.when(known).then(density).alias("density"))
    total, n = pl.col("density").sum().over("sample_id"), pl.col("density").count().over("sample_id")
    others = pl.when(n > 1).then((total - pl.col("density")) / (n - 1))
    return rows.with_columns((pl.col("density") - others).fill_null(np.nan).alias("excess"))


def _joint(rows: pl.DataFrame, name: str, flipped: Estimate, thresholds: Thresholds | None) -> JointEvidence:
    persons = rows["sample_id"].to_numpy()
    spots = rows.select("spot_x", "spot_y").to_numpy().astype(np.float64)
    free = rows["spot_place"].is_in(FREE).to_numpy()
    offsets = np.where(free[:, None], spots / rows["radius"].to_numpy()[:, None], np.nan)
    fixed = fixed_offset(offsets, TOLERANCE)
    masked = rows.filter(pl.col("reason") == "")
    measures = {
        "own": _density(rows, "own"),
        "parent": _density(rows.filter("parent_apart"), "parent"),
        "partner": _density(rows.filter("partner_apart"), "partner"),
        "mark": _ratio(np.where(fixed, rows["spot_share"].to_numpy(), 0.0), rows["spot_area"].to_numpy(), persons),
        "person": _density(masked, "person"),
        "background": _density(masked, "background"),
        "background_excess": bootstrap_mean(rows["excess"].to_numpy(), groups=persons),
        "flipped": flipped,
    }
    places = [p for p in PLACES if p != "unknown"]
    shares = {p: _mean(masked if p in ("person", "background") else rows, f"share_{p}") for p in places}
    areas = {p: _mean(masked if p in ("person", "background") else rows, f"area_{p}").mean for p in places}
    offset = np.median(spots[fixed], 0) if fixed.any() else np.full(2, np.nan)
    return JointEvidence(
        name=name,
        joint=int(rows["joint"][0]),
        persons=len(rows),
        shares=shares,
        areas=areas,
        measures=measures,
        offset=(float(offset[0]), float(offset[1])),
        fixed=share(fixed.astype(float), np.ones(len(fixed))),
        cause=likely_cause(measures, thresholds),
    )


def _density(rows: pl.DataFrame, place: str) -> Estimate:
    return _ratio(rows[f"share_{place}"].to_numpy(), rows[f"area_{place}"].to_numpy(), rows["sample_id"].to_numpy())


def _ratio(shares: NDArray[Any], areas: NDArray[Any], persons: Sequence[Any] | NDArray[Any]) -> Estimate:
    """Sum of shares over sum of areas."""
    return bootstrap_of(lambda s: s[:, 0] / s[:, 1], np.stack([shares, areas], 1), persons)


def _mean(rows: pl.DataFrame, column: str) -> Estimate:
    return bootstrap_mean(rows[column].to_numpy(), groups=rows["sample_id"].to_numpy())
