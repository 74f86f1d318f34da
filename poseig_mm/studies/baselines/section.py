"""The section on baselines: how much of a map stays on a person who is painted in one colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ...functional.inference import FEWEST
from ...functional.statistics import Estimate, bootstrap_of
from ...plotting.charts import JointEstimates, dot_plot
from ...summary.measures import Measure, estimate
from ...summary.reasons import reason_text
from ...summary.sentences import format_estimate, plural
from ...types import Gallery, Picture, Section, Table
from ..choice import kept_pictures
from .study import BASELINES, PAINTINGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...store.reader import Store

__all__ = ["make_section"]

ORDER = 380
Cell = tuple[str, str]  # painting, baseline


def make_section(store: Store, name: str) -> Section | None:
    """None where no person took part."""
    if name not in store.studies:
        return None
    rows = store.study(name)
    title = "What a baseline hides"
    measured = rows.filter(pl.col("reason") == "")
    without = rows.filter(pl.col("reason") != "").group_by("reason").agg(pl.col("sample_id").n_unique()).sort("reason")
    blocks: list[Table | Picture | Gallery] = []
    lead = "No person could be painted, so that nothing is known about the baselines."
    if len(measured):
        kept = {(p, b): _kept(measured, p, b) for p in PAINTINGS for b in BASELINES}
        lead = _lead(kept, measured)
        blocks += [_table(measured, kept), Picture("baselines", _CAPTION, _chart(measured, kept))]
        if images := kept_pictures(store, name):
            blocks.append(Gallery(_GALLERY, tuple(images)))
    if len(without):
        told = tuple((code, n, reason_text(code)) for code, n in without.rows())
        blocks.append(Table("Persons without numbers.", ("reason", "persons", "meaning"), told))
    return Section(name, title, lead, tuple(blocks), ORDER)


_CAPTION = (
    "Share of the map's mass on the person's pixels (mean, 95 % interval, persons resampled); what is kept of it when "
    "the person is painted (dashed: 1, as much as in the original image); diffusion."
)
_GALLERY = (
    "Rows: the person as it is, painted black, painted white. Columns: the input, then the maps of the ringed joints, "
    "summed, with a black, a white and a blurry baseline. Each panel has its own colour scale."
)


def _kept(rows: pl.DataFrame, painting: str, baseline: str) -> Estimate:
    """Share on the painted person over the share on the same person in the original image: a ratio of means."""
    cell = _cell(rows, painting, baseline)
    columns = cell.select("share", "share_original").to_numpy()
    return bootstrap_of(lambda s: s[:, 0] / s[:, 1], columns, cell["sample_id"].to_numpy())


def _cell(rows: pl.DataFrame, painting: str, baseline: str) -> pl.DataFrame:
    return rows.filter((pl.col("painting") == painting) & (pl.col("baseline") == baseline))


def _table(rows: pl.DataFrame, kept: Mapping[Cell, Estimate]) -> Table:
    found, errors = [], []
    for painting in PAINTINGS:
        for baseline in BASELINES:
            cell = _cell(rows, painting, baseline)
            numbers = (estimate(cell, "share"), kept[painting, baseline], estimate(cell, "di"))
            found.append((painting, baseline, len(cell), *numbers))
            errors.append(estimate(cell, "map_error").mean)
    caption = (
        "n persons painted in one colour, maps with each baseline: mean [95 % interval], persons resampled. Share: of "
        "the map's mass on the person; kept: over the share in the original image, a ratio of means. Mean map error "
        f"{np.nanmin(errors):.2f} to {np.nanmax(errors):.2f}."
    )
    return Table(caption, ("person", "baseline", "n", "share", "kept", "DI"), tuple(found))


def _chart(rows: pl.DataFrame, kept: Mapping[Cell, Estimate]) -> Figure:
    lines = []
    for painting in PAINTINGS:
        for baseline in BASELINES:
            cell = _cell(rows, painting, baseline)
            numbers = {"share": estimate(cell, "share"), "kept": kept[painting, baseline], "di": estimate(cell, "di")}
            group = "as it is" if painting == "original" else f"painted {painting}"
            lines.append(JointEstimates(f"{baseline} baseline", group, numbers))
    measures = (Measure("share", "share on person"), Measure("kept", "kept", neutral=1.0), Measure("di", "DI"))
    return dot_plot(lines, {}, measures)


def _lead(kept: Mapping[Cell, Estimate], rows: pl.DataFrame) -> str:
    """How much of the share each baseline keeps, and how sure that is."""
    persons, joints = rows["sample_id"].n_unique(), _cell(rows, "original", "black")["n"].sum()
    parts = [
        f"{baseline}: {format_estimate(kept['black', baseline])} on black, "
        f"{format_estimate(kept['white', baseline])} on white"
        for baseline in BASELINES
    ]
    text = (
        "What is kept of the map's share on the person, when the person's pixels are painted in one colour, by "
        f"baseline: {'; '.join(parts)} ({plural(persons, 'person')}, {plural(int(joints), 'joint')}). A pixel of the "
        "baseline's own colour gets exactly 0, so black on black and white on white are 0 by construction: a baseline "
        "of one colour cannot see what has that colour, whatever the model does with it."
    )
    if persons < FEWEST:
        text += f" {plural(persons, 'person')} are too few to generalise from."
    return text
