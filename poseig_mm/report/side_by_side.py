"""Runs on the same samples, side by side: one table, and the maps of the same joint next to each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from PIL import Image

from ..plotting.drawing import Canvas, overlay, row_of_panels, to_input_size
from ..plotting.summary import Measure, estimate, measures, plural
from ..types import Gallery, Section, Table

if TYPE_CHECKING:
    from ..store import Store

__all__ = ["side_by_side_section"]

PANEL = 256  # px, height of one map
MOST_PICTURES = 24


def side_by_side_section(stores: Mapping[str, Store], folder: Path) -> Section:
    """Compare runs on the joints that all of them show.

    Args:
        stores: name -> finished run; the first one's samples set the order.
        folder: where the pictures are written.

    Returns:
        A section of order 50: after the overview, before the indices.
    """
    shared = _shared_joints(stores)
    found = measures(first := next(iter(stores.values())), first.joints())
    names = " and ".join(stores) if len(stores) < 3 else f"{len(stores)} runs"
    if not len(shared):
        return Section("side-by-side", f"{names} side by side", "The runs have no visible joint in common.", order=50)
    rows = [(name, *_values(store, shared, found)) for name, store in stores.items()]
    persons = shared["sample_id"].n_unique()
    lead = (
        f"{names} on the same {plural(len(shared), 'joint')} of {plural(persons, 'person')}, explained in one common "
        f"output space, the joint's coordinates. {_finding(rows)}"
    )
    blocks = (
        Table("Means over the shared joints, with 95 % intervals.", ("run", *(m.label for m in found)), tuple(rows)),
        Gallery(f"The same joint under {names}; ring: annotated, cross: predicted.", _pictures(stores, shared, folder)),
    )
    return Section("side-by-side", f"{names} side by side", lead, blocks, 50)


def _shared_joints(stores: Mapping[str, Store]) -> pl.DataFrame:
    """sample_id, joint and joint_name of what is visible in every run."""
    keys = ["sample_id", "joint", "joint_name"]
    frames = [
        store.joints().filter(pl.col("visible") & pl.col("di").is_finite()).select(keys) for store in stores.values()
    ]
    shared = frames[0]
    for frame in frames[1:]:
        shared = shared.join(frame, on=keys, how="semi")
    return shared


def _values(store: Store, shared: pl.DataFrame, found: tuple[Measure, ...]) -> tuple[Any, ...]:
    rows = store.joints().join(shared, on=["sample_id", "joint"], how="semi")
    return tuple(estimate(rows, m.name) if m.name in rows.columns else math.nan for m in found)


def _finding(rows: list[tuple[Any, ...]]) -> str:
    """Which run errs least (the first measure is EPE)."""
    best = min(rows, key=lambda row: float(row[1].mean))
    return f"The smallest error here is {best[1].mean:.1f}, by {best[0]}."


def _pictures(stores: Mapping[str, Store], shared: pl.DataFrame, folder: Path) -> tuple[tuple[Path, str], ...]:
    """One strip a joint: a panel a run."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    tables = [store.joints() for store in stores.values()]
    for i, row in enumerate(shared.head(MOST_PICTURES).iter_rows(named=True)):
        panels = [
            _panel(store, table.filter(pl.col("sample_id") == row["sample_id"]), row["sample_id"], row["joint"])
            for store, table in zip(stores.values(), tables, strict=True)
        ]
        if any(p is None for p in panels):
            continue
        path = folder / f"joint-{i:02d}.jpg"
        row_of_panels([p for p in panels if p is not None], [f"{row['joint_name']}, {name}" for name in stores]).save(
            path, quality=88
        )
        pictures.append((path, f"{row['joint_name']} of {row['sample_id']}"))
    return tuple(pictures)


def _panel(store: Store, rows: pl.DataFrame, sample_id: str, joint: int) -> Image.Image | None:
    """One run's map of one joint on the part of the input around the person (`rows`), or None where it was not kept."""
    maps, display = store.map(sample_id), store.display(sample_id)
    if maps is None or display is None:
        return None
    here = rows.filter(pl.col("joint") == joint).to_dicts()[0]
    size = (display.shape[0], display.shape[1])
    left, top, right, bottom = _view(rows.filter(pl.col("visible")), size)
    shown = overlay(display, to_input_size(maps[joint], size))[top:bottom, left:right]
    canvas = Canvas(np.ascontiguousarray(shown), PANEL)
    corner = np.array([left, top])
    canvas.circle(np.array([here["gt_x"], here["gt_y"]]) - corner)
    canvas.cross(np.array([here["pred_x"], here["pred_y"]]) - corner)
    return canvas.finish()


def _view(visible: pl.DataFrame, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom): the joints with a margin of their own extent, inside the input."""
    points = visible.select("gt_x", "gt_y").to_numpy()
    low, high = points.min(0), points.max(0)
    pad = 0.6 * float((high - low).max()) + 8
    left, top = (int(max(0, v - pad)) for v in low)
    right, bottom = (int(min(limit, v + pad + 1)) for v, limit in zip(high, (size[1], size[0]), strict=True))
    return left, top, right, bottom
