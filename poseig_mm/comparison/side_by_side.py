"""Maps of the same joint in several runs: how alike they are, and next to each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from ..plotting.drawing import Canvas, overlay, row_of_panels, to_input_size
from ..report.blocks import GuardedSection, Heading
from ..store import Store
from ..summary.measures import estimate, group_order, place_columns, run_value
from ..summary.sentences import format_estimate, plural
from ..types import Gallery, Table
from .runs import Runs

HEADING = Heading("comparison-maps", "Maps, run by run", 58)
PANEL = 256  # px, height of one map
MOST_PICTURES = 24
MOST_SAMPLES = 500  # whose maps are correlated: a quarter of a second a sample and run at 256 x 192
MOST_CROPS = 50  # that are compared pixel by pixel
PIXEL_APART, SHARE_APART = 32, 0.005  # levels of 255, and share of a crop: another compression changes less
KINDS = ("pearson", "spearman")
Floats = NDArray[np.floating[Any]]


def maps_section(runs: Runs, folder: Path) -> GuardedSection:
    """Correlations with the first run's maps, then pictures, written to `folder`."""
    first = runs.names[0]
    correlations, remarks = map_correlations(runs)
    blocks: list[Table | Gallery] = []
    lead = " ".join(f"{run}: {remark}." for run, remark in remarks.items())
    if len(correlations):
        images = runs.first.select("sample_id", "image_id").unique("sample_id")
        correlations = correlations.join(images, on="sample_id", how="left", maintain_order="left")
        rows = []
        for run in correlations["run"].unique(maintain_order=True):
            for group in ("all", *group_order(runs.first)):
                mine = correlations.filter((pl.col("run") == run) & ((pl.col("group") == group) | (group == "all")))
                if len(mine):
                    rows.append((run, group, *(estimate(mine, kind) for kind in KINDS), mine["sample_id"].n_unique()))
        said = "; ".join(f"{row[0]} {format_estimate(row[3])}" for row in rows if row[1] == "all")
        lead = f"Rank correlation of a joint's map with that of {first}, over pixels: {said}. {lead}".strip()
        caption = f"Correlation over all pixels of the input with the map of {first}, mean over joints [95 % interval]."
        blocks.append(Table(caption, ("run", "group", "Pearson", "Spearman", "persons"), tuple(rows)))
    pictures = _pictures(runs, folder)
    if pictures:
        caption = (
            "The same joint in every run, largest differences of the error first; ring: annotated, cross: predicted."
        )
        blocks.append(Gallery(caption, pictures))
    else:
        lead = f"{lead} Not all runs kept maps and crops (store.maps), so there is nothing to look at.".strip()
    return HEADING.section(lead, blocks)


def map_correlations(runs: Runs) -> tuple[pl.DataFrame, dict[str, str]]:
    """How alike the maps of each joint are to those of the first run.

    Returns:
        (run, sample_id, joint_name, group, pearson, spearman), of at most `MOST_SAMPLES` samples evenly spread, and
        what could not be compared, in words, by run.  NaN where a map is the same everywhere.
    """
    first, *others = runs.stores.items()
    ids = runs.first["sample_id"].unique(maintain_order=True).to_list()
    chosen = [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, min(len(ids), MOST_SAMPLES)).astype(int))]
    tables = {
        name: joints.filter(pl.col("sample_id").is_in(chosen)).partition_by("sample_id", as_dict=True)
        for name, joints in runs.joints.items()
    }
    rows, counts = [], dict[str, dict[str, int]]()
    warps = {name: _warps(store) for name, store in runs.stores.items()}
    for sample_id in chosen:
        maps = first[1].map(sample_id)
        for name, store in others:
            other = store.map(sample_id)
            why = _cannot(maps, other, warps[first[0]][sample_id], warps[name][sample_id])
            if why or maps is None or other is None:
                counts.setdefault(name, {})[why] = counts.get(name, {}).get(why, 0) + 1
                continue
            pairs = zip(
                tables[first[0]][(sample_id,)].iter_rows(named=True),
                tables[name][(sample_id,)].iter_rows(named=True),
                strict=True,
            )
            for a, b in pairs:
                values = _correlations(maps[a["joint"]], other[b["joint"]])
                rows.append((name, sample_id, a["joint_name"], a["group"], *values))
    text, number = pl.String(), pl.Float64()
    schema = dict.fromkeys(("run", "sample_id", "joint_name", "group"), text) | dict.fromkeys(KINDS, number)
    remarks = {
        name: ", ".join(f"maps of {plural(n, 'person')} not compared ({why})" for why, n in reasons.items())
        for name, reasons in counts.items()
    }
    if len(chosen) < len(ids):
        remarks = {name: f"of {len(ids)} persons, {len(chosen)} evenly spread ones" for name, _ in others} | remarks
    return pl.DataFrame(rows, schema, orient="row"), remarks


def different_images(runs: Runs) -> dict[str, list[str]]:
    """By run, persons whose crop shows other pixels than the first run's, or whose image has another name.

    Of at most `MOST_CROPS` persons evenly spread; crops of other sizes or places are not compared.
    """
    first, *others = runs.stores.items()
    ids = runs.first["sample_id"].unique(maintain_order=True).to_list()
    chosen = [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, min(len(ids), MOST_CROPS)).astype(int))]
    warps = {name: _warps(store) for name, store in runs.stores.items()}
    files = {name: _file_names(store) for name, store in runs.stores.items()}
    different: dict[str, list[str]] = {}
    for sample_id in chosen:
        crop = first[1].display(sample_id)
        for name, store in others:
            other = store.display(sample_id)
            there = crop is not None and other is not None and crop.shape == other.shape
            if there and not _cannot(crop, other, warps[first[0]][sample_id], warps[name][sample_id]):
                assert crop is not None
                assert other is not None
                apart = np.abs(crop.astype(np.int16) - other).max(-1) > PIXEL_APART
                unlike = float(apart.mean()) > SHARE_APART
            else:
                unlike = files[first[0]][sample_id] != files[name][sample_id]
            if unlike:
                different.setdefault(name, []).append(sample_id)
    return different


def _file_names(store: Store) -> dict[str, str]:
    return {str(i): Path(str(path)).name for i, path in store.samples().select("sample_id", "image_path").rows()}


def _warps(store: Store) -> dict[str, tuple[float, ...]]:
    columns = [f"warp_{row}{column}" for row in range(2) for column in range(3)]
    return {str(row[0]): row[1:] for row in store.samples().select("sample_id", *columns).rows()}


def _cannot(
    first: NDArray[Any] | None, other: NDArray[Any] | None, warp: Sequence[float], warp_other: Sequence[float]
) -> str:
    """Why two samples' maps have no pixels in common, or ''."""
    if first is None or other is None:
        return "not kept"
    if first.shape[1:] != other.shape[1:]:
        return "of different sizes"
    return "" if np.allclose(warp, warp_other, rtol=1e-4, atol=0.05) else "of different crops"


def _correlations(first: Floats, other: Floats) -> tuple[float, float]:
    """Pearson's and Spearman's correlation of two maps over their pixels."""
    from scipy.stats import rankdata

    a, b = first.astype(np.float64).ravel(), other.astype(np.float64).ravel()
    return _pearson(a, b), _pearson(rankdata(a), rankdata(b))


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    return min(1.0, float(a @ b) / math.sqrt(float(a @ a) * float(b @ b)))


def _pictures(runs: Runs, folder: Path) -> tuple[tuple[Path, str], ...]:
    """One strip a joint: a panel a run."""
    errors = np.stack([joints["epe"].to_numpy() for joints in runs.joints.values()])
    with np.errstate(invalid="ignore"):
        order = np.argsort(-np.nan_to_num(np.ptp(errors, axis=0), nan=-1.0), kind="stable")
    folder.mkdir(parents=True, exist_ok=True)
    pictures: list[tuple[Path, str]] = []
    for i in order[:MOST_PICTURES]:
        panels, titles = [], []
        for name, store in runs.stores.items():
            row = runs.joints[name].row(int(i), named=True)
            together = runs.joints[name].filter(pl.col("sample_id") == row["sample_id"])
            panel = _panel(store, row, together)
            if panel is not None:
                panels.append(panel)
                titles.append(f"{row['joint_name']}, {name}: {row['epe']:.1f} {row['unit']}")
        if len(panels) == len(runs.stores):
            path = folder / f"joint-{len(pictures):02d}.jpg"
            row_of_panels(panels, titles).save(path, quality=88)
            pictures.append((path, f"{row['joint_name']} of {row['sample_id']}"))
    return tuple(pictures)


def _panel(store: Store, row: Mapping[str, Any], together: pl.DataFrame) -> Image.Image | None:
    """One run's map of one joint on the part of the input around the person's joints, or None where it was not kept."""
    maps, display = store.map(row["sample_id"]), store.display(row["sample_id"])
    if maps is None or display is None or run_value(store, "model", "input") == "sequence":
        return None
    size = (display.shape[0], display.shape[1])
    place = place_columns(together)
    placed = together.filter(pl.all_horizontal(pl.col(*place).is_finite()))  # none where the input is no image
    left, top, right, bottom = _view(placed, place, size) if len(placed) else (0, 0, size[1], size[0])
    shown = overlay(display, to_input_size(maps[row["joint"]], size))[top:bottom, left:right]
    canvas = Canvas(np.ascontiguousarray(shown), PANEL)
    corner = np.array([left, top])
    canvas.circle(np.array([row[place[0]], row[place[1]]]) - corner)
    if row["unit"] == "px":  # in 3D, predictions are in no image's frame
        canvas.cross(np.array([row["pred_x"], row["pred_y"]]) - corner)
    return canvas.finish()


def _view(visible: pl.DataFrame, place: tuple[str, str], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom): the joints with a margin of their own extent, inside the input."""
    points = visible.select(place).to_numpy()
    low, high = points.min(0), points.max(0)
    pad = 0.6 * float((high - low).max()) + 8
    left, top = (int(max(0, v - pad)) for v in low)
    right, bottom = (int(min(limit, v + pad + 1)) for v, limit in zip(high, (size[1], size[0]), strict=True))
    return left, top, right, bottom
