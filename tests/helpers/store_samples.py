"""Deterministic records, so that an interrupted run can be compared with one that was not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from poseig_mm.store import SampleRecord, joints_schema

NAN = float("nan")
IDENTITY = {"config": "c1", "model": "m1", "data": "d1"}


def joint_row(sample_id: str, joint: int, indices: Sequence[str] = (), dimensions: int = 2) -> dict[str, Any]:
    """A row of `joints` with a value of its own in every number; joint 1 was not computed."""
    seen = joint != 1
    values: dict[str, Any] = {}
    for n, (name, kind) in enumerate(joints_schema(dimensions, indices).items()):
        if kind.is_float():
            values[name] = (hash_number(sample_id) + joint + n / 100) if seen else NAN
        elif kind.is_integer():
            values[name] = joint
        else:
            values[name] = f"{name}-{joint}"
    values |= {"sample_id": sample_id, "visible": seen, "converged": seen, "unit": "px"}
    return values | {"reason": "" if seen else "not_visible"}


def hash_number(text: str) -> int:
    return sum(text.encode()) % 97


def make_record(
    sample_id: str, *, mepe: float = 1.0, joints: int = 3, size: tuple[int, int] = (8, 6), **options: Any
) -> SampleRecord:
    """A sample with joints, relations, maps (joint 1 NaN) and a picture."""
    rng = np.random.default_rng(hash_number(sample_id))
    maps = rng.random((joints, *size), dtype=np.float32)
    maps[1:2] = NAN
    sample = {
        "sample_id": sample_id,
        "image_id": f"image of {sample_id}",
        "instance_id": "0",
        "image_path": "/data/ä b.jpg",
        "n_visible": joints - 1,
        "mepe": mepe,
        "mask_source": "instance",
        "seconds": 0.5,
        "evaluations": 40,
        "height": size[0],
        "width": size[1],
        "padding": 0.25,
        "box_side": 80.0,
        **{f"warp_{r}{c}": float(r + c) for r in range(2) for c in range(3)},
    }
    relations = [
        {"sample_id": sample_id, "joint": 0, "joint_name": "a", "other": m, "other_name": "b"} for m in range(joints)
    ]
    rows = [joint_row(sample_id, k, **options) for k in range(joints)]
    display = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
    return SampleRecord(sample_id, sample, rows, relations, maps, display)
