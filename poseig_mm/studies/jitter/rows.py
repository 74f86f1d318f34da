"""Where joints and their evidence are in each frame, and from that jitter, steps and jumps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...settings_fields import number, whole
from ...types import Finding
from ...video import video_of
from ..base import StudyContext
from ..joints import joint_columns

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class JitterSettings:
    """What rows and section need to be told."""

    # of the person's size: a step this much longer than the joint's median step is a jump
    jump: float = number(0.1, above=0)
    radius: float = number(0.1, above=0, below=1)  # of the person's size: what is near a joint
    pictures: int = whole(6, least=0)  # jumps whose maps are shown, the longest


def evidence_rows(finding: Finding, context: StudyContext, radius: float) -> list[Mapping[str, Any]]:
    """A row a joint: prediction and centre of mass of its map in px of the picture, share of the map near the joint."""
    sample = finding.sample
    video, frame = video_of(sample.image_path)
    about = {"video": video, "frame": -1 if frame is None else frame, "track": sample.instance_id}
    flat = context.unit == "px" and finding.prediction.shape[-1] == 2
    points = finding.prediction.double().cpu().numpy()[:, :2] if flat else np.full((len(finding.reasons), 2), math.nan)
    in_picture = points @ sample.inverse_warp[:, :2].T + sample.inverse_warp[:, 2]
    scale = math.sqrt(abs(float(np.linalg.det(sample.inverse_warp[:, :2]))))  # px of the picture an input px
    size = size_of(in_picture)
    maps = finding.attribution.maps.double().cpu().numpy()
    rows: list[Mapping[str, Any]] = []
    for k, reason in enumerate(finding.attribution.reasons):
        middle, near = evidence_of(maps[k], points[k], radius * size / scale)
        x, y = sample.inverse_warp @ np.array([*middle, 1.0])
        where = {"x": float(in_picture[k, 0]), "y": float(in_picture[k, 1]), "size": size}
        rows.append({
            **joint_columns(finding, context, k), **about, **where,
            "evidence_x": float(x), "evidence_y": float(y), "near": near,
            "reason": reason or ("" if flat else "no_place"),
        })  # fmt: skip
    return rows


def size_of(points: Floats) -> float:
    """Root of the area of the box around points (K, 2); NaN where there are fewer than two.

    >>> size_of(np.array([[0.0, 0.0], [4.0, 9.0], [np.nan, 1.0]]))
    6.0
    """
    known = points[np.isfinite(points).all(1)]
    return math.sqrt(float(np.prod(np.ptp(known, axis=0)))) if len(known) > 1 else math.nan


def evidence_of(values: Floats, point: Floats, radius: float) -> tuple[tuple[float, float], float]:
    """Centre of mass (x, y) of a map (H, W), and the share of its mass within a radius of a point; NaN without one.

    >>> evidence_of(np.array([[1.0, 0.0, 3.0]]), np.array([0.0, 0.0]), 1.0)
    ((1.5, 0.0), 0.25)
    """
    total = float(values.sum())
    if not (math.isfinite(total) and total > 0):
        return (math.nan, math.nan), math.nan
    ys, xs = np.mgrid[: values.shape[0], : values.shape[1]]
    middle = (float((values * xs).sum()) / total, float((values * ys).sum()) / total)
    if not (np.isfinite(point).all() and math.isfinite(radius)):
        return middle, math.nan
    inside = (xs - point[0]) ** 2 + (ys - point[1]) ** 2 <= radius**2
    return middle, float(values[inside].sum()) / total


def jitter_table(rows: pl.DataFrame, settings: JitterSettings) -> pl.DataFrame:
    """The rows by video, track, joint and frame, with what changed over time.

    Args:
        rows: of `evidence_rows`.
        settings: `jump`.

    Returns:
        With `jitter` and `step` (px of the picture, NaN where a neighbour in time is missing), `jump` (bool),
        `moved` (px, the centre of mass since the frame before) and `near_before`.

    >>> places = [0.0, 1.0, 2.0, 9.0, 4.0]  # one frame 6 px beside a constant speed
    >>> about = {"video": "a.mp4", "track": "1", "joint": 0, "y": 0.0, "size": 20.0, "near": 0.5}
    >>> rows = [{**about, "frame": t, "x": x, "evidence_x": 0.0, "evidence_y": 0.0} for t, x in enumerate(places)]
    >>> table = jitter_table(pl.DataFrame(rows), JitterSettings())
    >>> table["jitter"].to_list()[1:4], table.filter("jump")["frame"].to_list()
    ([0.0, 3.0, 6.0], [3])
    """
    person, keys = ["video", "track"], ["video", "track", "joint"]
    steps = rows.unique(["video", "frame"]).sort("video", "frame")
    gap = steps.select((pl.col("frame") - pl.col("frame").shift(1).over("video")).min()).item() or 1
    table = rows.sort(*keys, "frame")

    def neighbour(column: str, shift: int) -> pl.Expr:
        there = pl.col("frame").shift(shift).over(keys) == pl.col("frame") - shift * gap
        return pl.when(there).then(pl.col(column).shift(shift).over(keys)).otherwise(math.nan)

    def length(x: pl.Expr, y: pl.Expr) -> pl.Expr:
        return (x.pow(2) + y.pow(2)).sqrt().fill_null(math.nan)

    middle = [pl.col(c) - (neighbour(c, 1) + neighbour(c, -1)) / 2 for c in ("x", "y")]
    table = table.with_columns(
        jitter=length(*middle),
        step=length(*(pl.col(c) - neighbour(c, 1) for c in ("x", "y"))),
        moved=length(*(pl.col(c) - neighbour(c, 1) for c in ("evidence_x", "evidence_y"))),
        near_before=neighbour("near", 1).fill_null(math.nan),
        size=pl.col("size").fill_nan(None).median().over(person).fill_null(math.nan),
    )
    usual = pl.col("step").fill_nan(None).median().over(keys)
    longer = (pl.col("step") > usual + settings.jump * pl.col("size")) & pl.col("step").is_finite()
    return table.with_columns(jump=longer.fill_null(value=False))


def joint_summary(table: pl.DataFrame) -> list[dict[str, Any]]:
    """A row a joint, the one of most jitter first: `joint_name`, `n`, `mean`, `median`, `largest`, `frame` of that,
    and how many `jumps`; joints without two neighbours in time at any frame come last, with NaN.
    """
    summary = []
    for (_, name), part in table.group_by("joint", "joint_name", maintain_order=True):
        known = part.filter(pl.col("jitter").is_finite()).sort("jitter", "frame", descending=[True, False])
        jitter = known["jitter"].to_numpy()
        summary.append({
            "joint_name": str(name), "n": len(known),
            "mean": float(jitter.mean()) if len(known) else math.nan,
            "median": float(np.median(jitter)) if len(known) else math.nan,
            "largest": float(jitter[0]) if len(known) else math.nan,
            "frame": int(known["frame"][0]) if len(known) else -1,
            "jumps": int(part["jump"].sum()),
        })  # fmt: skip
    return sorted(summary, key=lambda row: -row["mean"] if math.isfinite(row["mean"]) else math.inf)


def jumps_of(table: pl.DataFrame) -> Sequence[dict[str, Any]]:
    """The rows of jumps, the longest step first."""
    return table.filter("jump").sort("step", "frame", "joint", descending=[True, False, False]).to_dicts()
