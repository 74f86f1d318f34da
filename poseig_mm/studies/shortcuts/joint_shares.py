"""From the rows of the study of shortcuts to what decides: densities with intervals, and the cause of each joint."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...functional.shares import share
from ...functional.statistics import Estimate, bootstrap_of
from ...summary.measures import estimate, images_of
from ..section_parts import ratio_of_means
from .causes import Cause, Thresholds, likely_cause
from .evidence import PLACES, fixed_offset
from .rows import SPOTS

TOLERANCE = 0.5  # radii, within which two offsets are the same: a pose moves anatomy by more
FEWEST_JOINTS, MOST = 4, 0.5  # of a person, that could be inverted; share of them from which on the person is flipped
TAKEN = ("own", "parent", "partner", "")  # places whose spots are explained: what lies there is no mark


@dataclass(frozen=True)
class JointEvidence:
    """What is known about one joint of a run."""

    name: str
    joint: int
    persons: int
    shares: Mapping[str, Estimate]  # place -> share of the map's mass
    areas: Mapping[str, float]  # place -> mean share of the pixels: a uniform map's share
    measures: Mapping[str, Estimate]  # what `likely_cause` takes
    offset: tuple[float, float]  # input px, median of the spots at a fixed offset; NaN without
    cause: Cause


def evidence_of_joints(rows: pl.DataFrame, thresholds: Thresholds | None = None) -> list[JointEvidence]:
    """Measures and cause of every joint.

    Args:
        rows: the study's table.
        thresholds: of `likely_cause`.

    Returns:
        In the joints' order; densities are ratios of sums over persons, intervals over images.
    """
    measured = rows.filter(pl.col("share_own").is_finite())
    if not len(measured):
        return []
    flipped = flipped_persons(measured)
    measured = _with_others(measured)
    return [
        _joint(measured.filter(pl.col("joint") == joint).sort("sample_id"), name, flipped, thresholds)
        for joint, name in measured.select("joint", "joint_name").unique().sort("joint").rows()
    ]


def flipped_persons(rows: pl.DataFrame) -> Estimate:
    """Share of persons with half of their joints or more at the partner's place, of those with four that could."""
    counts = (pl.col("invertible").sum(), pl.col("inverted").sum())
    persons = rows.group_by("sample_id", *({"image_id"} & set(rows.columns))).agg(*counts).sort("sample_id")
    persons = persons.filter(pl.col("invertible") >= FEWEST_JOINTS)
    hits = persons["inverted"].to_numpy() >= MOST * persons["invertible"].to_numpy()
    return share(hits.astype(float), np.ones(len(hits)), images_of(persons))


def _with_others(rows: pl.DataFrame) -> pl.DataFrame:
    """With densities `own` and `background`, and the means of them over the same person's other joints (`*_others`)."""
    for place in ("own", "background"):
        known = (pl.col(f"area_{place}") > 0) & ((pl.col("reason") == "") | (place == "own"))
        rows = rows.with_columns(pl.when(known).then(pl.col(f"share_{place}") / pl.col(f"area_{place}")).alias(place))
        total, n = pl.col(place).sum().over("sample_id"), pl.col(place).count().over("sample_id")
        rows = rows.with_columns(pl.when(n > 1).then((total - pl.col(place)) / (n - 1)).alias(f"{place}_others"))
    return rows


def _joint(rows: pl.DataFrame, name: str, flipped: Estimate, thresholds: Thresholds | None) -> JointEvidence:
    masked = rows.filter(pl.col("reason") == "")
    rows, offset = _with_mark(rows)
    apart = {"parent": rows.filter("parent_apart"), "partner": rows.filter("partner_apart"), "mark": rows}
    measures = {"own": _density(rows, "own")}
    for place, those in apart.items():
        measures |= {place: _density(those, place), f"{place}_over_own": _density(those, place, over="own")}
    measures |= {
        "background": _density(masked, "background"),
        "background_over_others": ratio_of_means(rows, "background", "background_others"),
        "own_over_others": ratio_of_means(rows, "own", "own_others"),
        "fixed": share(rows["share_mark"].to_numpy() > 0, np.ones(len(rows)), images_of(rows)),
        "flipped": flipped,
    }
    places = [p for p in PLACES if p != "unknown"]
    shares = {p: estimate(masked if p in ("person", "background") else rows, f"share_{p}") for p in places}
    areas = {p: estimate(masked if p in ("person", "background") else rows, f"area_{p}").mean for p in places}
    return JointEvidence(
        name=name,
        joint=int(rows["joint"][0]),
        persons=len(rows),
        shares=shares,
        areas=areas,
        measures=measures,
        offset=offset,
        cause=likely_cause(measures, thresholds),
    )


def _with_mark(rows: pl.DataFrame) -> tuple[pl.DataFrame, tuple[float, float]]:
    """With `share_mark` and `area_mark`, of the spot at a fixed offset (share 0 without); and its median offset, px."""
    spots = {
        of: rows.select(f"spot{i}_{of}" for i in range(1, SPOTS + 1)).to_numpy() for of in ("x", "y", "share", "area")
    }
    taken = np.stack([rows[f"spot{i}_place"].is_in(TAKEN).to_numpy() for i in range(1, SPOTS + 1)], 1)
    px = np.where(taken[..., None], np.nan, np.stack([spots["x"], spots["y"]], -1))  # (N, S, 2)
    spot = fixed_offset(px / rows["radius"].to_numpy()[:, None, None], TOLERANCE)
    at, here = spot >= 0, (np.arange(len(rows)), spot)
    marked = rows.with_columns(
        pl.Series("share_mark", np.where(at, spots["share"][here], 0.0)),
        pl.Series("area_mark", np.where(at, spots["area"][here], spots["area"][:, 0])),
    )
    middle = np.median(px[here][at], 0) if at.any() else np.full(2, np.nan)
    return marked, (float(middle[0]), float(middle[1]))


def _density(rows: pl.DataFrame, place: str, over: str = "") -> Estimate:
    """Sum of a place's shares over that of its areas: density over a uniform map's, or over another place's."""
    columns = [f"share_{place}", f"area_{place}", *((f"share_{over}", f"area_{over}") if over else ())]

    def density(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        ratio = sums[:, 0] / sums[:, 1]
        return ratio * sums[:, 3] / sums[:, 2] if over else ratio

    return bootstrap_of(density, rows.select(columns).to_numpy(), images_of(rows), bounds=(0.0, math.inf))
