"""The section on baselines: how much of a map stays on a person who is painted in one colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from ...functional.inference import FEWEST
from ...functional.statistics import Estimate
from ...plotting.charts import JointEstimates, dot_plot
from ...store.reader import Store
from ...summary.measures import Measure, estimate
from ...summary.reasons import reason_text
from ...summary.sentences import format_estimate, plural
from ...types import Gallery, Picture, Section, Table
from ..choice import kept_gallery
from ..section_parts import ratio_of_means, study_rows
from .rows import BASELINES, PAINTINGS

ORDER = 380
TITLE = "What a baseline hides"
MEASURES = (Measure("share", "share on person"), Measure("kept", "kept", neutral=1.0), Measure("di", "DI"))
Estimates = Mapping[tuple[str, str], Mapping[str, Estimate]]  # (painting, baseline) -> measure -> estimate


def baselines_section(store: Store, name: str) -> Section | None:
    """None where no person took part."""
    if not len(rows := study_rows(store, name)):
        return None
    measured = rows.filter(pl.col("reason") == "")
    blocks: list[Table | Picture | Gallery] = []
    lead = "No person could be painted, so that nothing is known about the baselines."
    if len(measured):
        cells = {(p, b): measured.filter(painting=p, baseline=b) for p in PAINTINGS for b in BASELINES}
        values = {cell: _estimates(part) for cell, part in cells.items()}
        lead = _lead(values, measured)
        errors = [estimate(part, "map_error").mean for part in cells.values()]
        blocks += [
            _table(values, [len(part) for part in cells.values()], errors),
            Picture("baselines", _CAPTION, _chart(values)),
        ]
        blocks += kept_gallery(store, name, _GALLERY)
    without = rows.filter(pl.col("reason") != "").group_by("reason").agg(pl.col("sample_id").n_unique()).sort("reason")
    if len(without):
        lines = tuple((code, n, reason_text(code)) for code, n in without.rows())
        blocks.append(Table("Persons without numbers.", ("reason", "persons", "meaning"), lines))
    blocks += _without_evidence(rows)
    return Section(name, TITLE, lead, tuple(blocks), ORDER)


_CAPTION = (
    "Share of the map's mass on the person's pixels (mean, 95 % interval, images resampled); what is kept of it when "
    "the person is painted (dashed: 1, as much as in the original image); diffusion."
)
_GALLERY = (
    "Rows: the person as it is, painted black, painted white. Columns: the input, then the maps of the ringed joints, "
    "summed, with a black, a white and a blurry baseline. Each panel has its own colour scale."
)


def _estimates(rows: pl.DataFrame) -> dict[str, Estimate]:
    """Of one painting and baseline; kept: the share over that on the same persons in the original image."""
    kept = ratio_of_means(rows, "share", "share_original")
    return {"share": estimate(rows, "share"), "kept": kept, "di": estimate(rows, "di")}


def _without_evidence(rows: pl.DataFrame) -> tuple[Table, ...]:
    """What the model predicts where there is nothing to see; nothing of an older run, which did not ask."""
    if "epe_baseline" not in rows.columns:
        return ()
    part = rows.filter(painting="original")
    lines: list[tuple[str, Estimate, Estimate | None]] = [
        ("as it is", estimate(part.filter(baseline=BASELINES[0]), "epe"), None)
    ]
    for baseline in BASELINES:
        of_baseline = part.filter(baseline=baseline)
        ratio = ratio_of_means(of_baseline, "epe_baseline", "epe")
        lines.append((f"{baseline} alone", estimate(of_baseline, "epe_baseline"), ratio))
    unit = str(part["unit"].drop_nulls()[0])
    caption = (
        "Mean error of a person's visible joints where the whole input is the baseline: what the model predicts "
        "without any evidence. A baseline stands for absence only as far as the joints are lost on it; over: times the "
        "error on the image, a ratio of means [95 % interval, images resampled]."
    )
    return (Table(caption, ("input", f"EPE ({unit})", "over the image's"), tuple(lines)),)


def _table(values: Estimates, persons: Sequence[int], errors: Sequence[float]) -> Table:
    caption = (
        "n persons painted in one colour, maps with each baseline: mean [95 % interval], images resampled. Share: of "
        "the map's mass on the person; kept: over the share in the original image, a ratio of means. Mean map error "
        f"{np.nanmin(errors):.2f} to {np.nanmax(errors):.2f}."
    )
    lines = tuple((*cell, n, *numbers.values()) for (cell, numbers), n in zip(values.items(), persons, strict=True))
    return Table(caption, ("person", "baseline", "n", "share", "kept", "DI"), lines)


def _chart(values: Estimates) -> Figure:
    lines = [
        JointEstimates(f"{baseline} baseline", "as it is" if painting == "original" else f"painted {painting}", numbers)
        for (painting, baseline), numbers in values.items()
    ]
    return dot_plot(lines, {}, MEASURES)


def _lead(values: Estimates, rows: pl.DataFrame) -> str:
    """How much of the share each baseline keeps, and how sure that is."""
    persons, joints = rows["sample_id"].n_unique(), rows.filter(painting="original", baseline="black")["n"].sum()
    parts = [
        f"{baseline}: {format_estimate(values['black', baseline]['kept'])} on black, "
        f"{format_estimate(values['white', baseline]['kept'])} on white"
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
