"""Small `joints` tables whose every mean can be worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import polars as pl

__all__ = ["JOINTS", "joints_frame"]

JOINTS = (("left_shoulder", "trunk"), ("left_elbow", "branch"), ("left_wrist", "leaf"))


def joints_frame(
    rows: Iterable[tuple[str, int, float, float]], *, hidden: Iterable[tuple[str, int]] = ()
) -> pl.DataFrame:
    """(sample_id, joint, epe, di) -> the columns of `joints` that studies look at; FI is NaN everywhere."""
    left_out, found = set(hidden), list[dict[str, Any]]()
    for sample_id, joint, epe, di in rows:
        name, group = JOINTS[joint]
        found.append(
            {"sample_id": sample_id, "joint": joint, "joint_name": name, "group": group,
             "visible": (sample_id, joint) not in left_out, "epe": epe, "di": di, "fi": math.nan, "unit": "px"}
        )  # fmt: skip
    return pl.DataFrame(found)
