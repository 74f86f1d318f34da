"""The `joints` table as arrays, person by person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Persons:
    """N persons with K joints each, in the order of the table; 2-D, input px."""

    ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    names: tuple[str, ...]  # (K,) of the joints
    truth: NDArray[np.float64]  # (N, K, 2), NaN where not visible
    prediction: NDArray[np.float64]  # (N, K, 2)
    visible: NDArray[np.bool_]  # (N, K)


def in_pixels(joints: pl.DataFrame) -> bool:
    """Whether the joints are points of the input image: two coordinates, in px."""
    return "gt_z" not in joints.columns and bool((joints["unit"] == "px").all())


def persons_of(joints: pl.DataFrame) -> Persons:
    """The table's rows as arrays; every sample has one row a joint, in the joints' order."""
    count = int(joints["joint"].max() or 0) + 1 if len(joints) else 0  # type: ignore[arg-type]
    shape = (len(joints) // max(count, 1), count)

    def points(kind: str) -> NDArray[np.float64]:
        return joints.select(f"{kind}_x", f"{kind}_y").to_numpy().astype(np.float64).reshape(*shape, 2)

    first = joints.filter(joints["joint"] == 0)
    return Persons(
        ids=tuple(first["sample_id"]),
        image_ids=tuple(first["image_id"]),
        names=tuple(joints["joint_name"][:count]),
        truth=points("gt"),
        prediction=points("pred"),
        visible=joints["visible"].to_numpy().reshape(shape),
    )
