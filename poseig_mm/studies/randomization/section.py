"""The section on model randomisation: Table B, Fig. C, whether the indices move, whether the maps change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from ...functional.inference import FEWEST, Comparison, paired_difference
from ...functional.statistics import Estimate
from ...plotting.figures import MUTED, PALETTE, figure_style, new_figure
from ...seeding import stable_hash
from ...store.reader import Store
from ...summary.measures import Measure, estimate, finite, images_of, index_measures, run_value
from ...summary.sentences import format_estimate, format_p, plural
from ...types import Gallery, Missing, Picture, Section, Table
from ..published_indices import simple_baseline_on_coco
from ..section_parts import reasons_by, study_rows, with_holm
from .strips import find_strips

ORDER = 314
TITLE = "Model randomisation"
LIKENESS = (Measure("rank_correlation", "rank correlation"), Measure("ssim", "SSIM"))  # of a map to the original
ACROSS = 3  # panels side by side
ALIKE = 0.5  # rank correlation that parts 'changes' from 'stays much alike'; a choice of this project
GONE = 1e-3  # of the original response: below that, the model's output no longer depends on the image
STRIPS = 6  # on the page
# Table B of the paper, SB-R50 on COCO; shown beside a run of that model alone, never used.
PUBLISHED = {"di": (13.58, 13.93, 16.53, 17.44, 19.91, 21.06), "fi": (1.375, 1.342, 1.186, 1.110, 0.967, 0.884)}
Rows = dict[int, pl.DataFrame]  # by stage
Values = dict[int, dict[str, Estimate]]  # stage -> column -> estimate
Tests = dict[Measure, tuple[Comparison, float]]  # index -> difference, and p after Holm's correction


def randomization_section(store: Store, name: str) -> Section | None:
    """None where the study has no rows."""
    if not len(rows := study_rows(store, name)):
        return None
    stages = rows["stage"].unique().sort().to_list()
    by_stage = {s: rows.filter(pl.col("stage") == s) for s in stages}
    indices = index_measures(store, rows)
    columns = [m.name for m in (*indices, *LIKENESS)] + ["ssim_chance", "epe_soft", "response"]
    values = {s: {name: estimate(frame, name) for name in columns} for s, frame in by_stage.items()}
    total, independent = int(rows["total_layers"][0]), bool(rows["independent"][0])
    tests = {} if independent or len(stages) < 2 else _tests(by_stage[stages[0]], by_stage[stages[-1]], indices)
    persons, unit = rows["sample_id"].n_unique(), str(rows["unit"][0])
    lead = _lead_alone(by_stage, values) if independent else _lead(values, tests, total, persons)
    ids = sorted(rows["sample_id"].unique().to_list(), key=lambda i: (stable_hash(i), i))
    strips = tuple(find_strips(store.pictures(name), ids)[:STRIPS])
    blocks: tuple[Table | Picture | Gallery, ...] = (
        _table_b(by_stage, values, indices, unit, published=not independent and _as_published(store, by_stage)),
        Picture("randomization", _caption(rows, persons), _figure(by_stage, values, indices, unit, independent)),
        *([_table_of_tests(tests, total)] if tests else ()),
        *reasons_by(rows, ["layers"], _MISSING, ("layers re-initialised", "reason", "joints")),
        *([Gallery(_GALLERY, strips)] if strips else ()),
    )
    return Section(name, TITLE, lead, blocks, ORDER)


_MISSING = "Joints that lack a number at a stage, by reason (they are left out of its means)."
_GALLERY = (
    "Maps of one joint (the one of median error; ring: its annotation), from the original model to the last stage. "
    "Each map is scaled to its own maximum."
)


def _tests(first: pl.DataFrame, last: pl.DataFrame, indices: Sequence[Measure]) -> Tests:
    """Last stage minus original of the same joints, and p after Holm's correction for the indices."""
    pairs = first.join(last, on=["sample_id", "joint"], suffix="_last")
    groups = images_of(pairs)
    return with_holm(
        {m: paired_difference(pairs[m.name].to_numpy(), pairs[f"{m.name}_last"].to_numpy(), groups) for m in indices}
    )


def _lead(values: Values, tests: Tests, total: int, n: int) -> str:
    first, last = values[min(values)], values[max(values)]
    if not tests:
        return f"{plural(n, 'person')}; no stage beyond the original, so nothing can be said."
    parts = []
    for m, (comparison, p) in list(tests.items())[:2]:
        change = f"difference {format_estimate(comparison.difference)}, {format_p(p)}"
        ends = f"from {format_estimate(first[m.name])} to {format_estimate(last[m.name])}"
        parts.append(f"{m.title} goes {ends} ({change})")
    text = (
        f"With all {total} layers re-initialised, {' and '.join(parts)}; {plural(n, 'person')}. {_direction(tests, n)} "
    )
    rank = last["rank_correlation"]
    text += (
        f"The last maps' rank correlation with the original ones is {format_estimate(rank)}, "
        f"their SSIM {format_estimate(last['ssim'])} "
        f"(the same maps with their pixels scattered: {format_estimate(last['ssim_chance'])}). {_change(rank)}"
    )
    if last["response"].mean < GONE * first["response"].mean:
        text += (
            " But the last model hardly sees the image any more (its likelihood changes by less than a thousandth of "
            "what it did), so its maps show its architecture and the image, not a function that it computes."
        )
    return text


def _direction(tests: Tests, persons: int) -> str:
    """Whether DI rises and FI falls, as the paper has it."""
    if persons < FEWEST:
        return f"Too few persons for a test (at least {FEWEST}), so this is a description of these persons alone."
    signs = []
    for m, (comparison, p) in tests.items():
        if m.name not in PUBLISHED:
            continue
        title, mean, wanted = m.title, comparison.difference.mean, PUBLISHED[m.name][-1] - PUBLISHED[m.name][0]
        if not math.isfinite(mean):
            signs.append(f"{title} is unknown")
        elif isinstance(p, Missing):
            signs.append(f"the change of {title} is not tested ({p.reason})")
        elif not p < 0.05:
            signs.append(f"{title} shows no clear change")
        else:
            compared = " as in the paper" if mean * wanted > 0 else ", the other way than in the paper"
            signs.append(f"{title} {'rises' if mean > 0 else 'falls'}{compared}")
    return f"{'; '.join(signs)}."


def _change(rank: Estimate) -> str:
    if math.isfinite(rank.high) and rank.high < ALIKE:
        return "So the maps change with the weights, as maps that explain the model must."
    if math.isfinite(rank.low) and rank.low > ALIKE:
        return (
            "So the maps stay much alike although the model has forgotten everything: such maps say little about what "
            "the model learnt."
        )
    return f"Whether that is above or below {ALIKE}, where maps stay much alike, these persons do not decide."


def _lead_alone(by_stage: Rows, values: Values) -> str:
    known = {s: e["rank_correlation"] for s, e in values.items() if s and math.isfinite(e["rank_correlation"].mean)}
    if not known:
        return "Each group of layers was re-initialised alone; no stage has a map to compare."
    low, high = min(known, key=lambda s: known[s].mean), max(known, key=lambda s: known[s].mean)
    persons = by_stage[low]["sample_id"].n_unique()
    return (
        f"Each group of layers re-initialised alone ({plural(persons, 'person')}): layers {_span(by_stage[low])} "
        f"change the maps most (rank correlation with the original {format_estimate(known[low])}), "
        f"layers {_span(by_stage[high])} least ({format_estimate(known[high])})."
    )


def _span(frame: pl.DataFrame) -> str:
    first, last = int(frame["first_layer"][0]), int(frame["layers"][0])
    return f"{first}\u2013{last}" if last else "none"


def _as_published(store: Store, by_stage: Rows) -> bool:
    """Whether this is the paper's model, data set and stages: Simple Baseline with ResNet-50 on COCO, every 9 of 54."""
    layers = [int(frame["layers"][0]) for frame in by_stage.values()]
    trained = not run_value(store, "model", "random_weights", default=True)
    return trained and simple_baseline_on_coco(store.run) and layers == [0, 9, 18, 27, 36, 45, 54]


def _table_b(by_stage: Rows, values: Values, indices: Sequence[Measure], unit: str, *, published: bool) -> Table:
    measured = (*indices, *LIKENESS)
    papers = [m for m in indices if published and m.name in PUBLISHED]
    columns = ["re-initialised", "joints", *(m.label for m in measured), "SSIM by chance", f"EPE ({unit})", "response"]
    rows: list[tuple[Any, ...]] = []
    for i, (s, e) in enumerate(values.items()):
        beside = tuple(PUBLISHED[m.name][i - 1] if i else None for m in papers)
        rows.append((_span(by_stage[s]), max(e[m.name].n for m in measured), *e.values(), *beside))
    caption = (
        "Indices of the maps after re-initialisation, and how alike the maps are to the originals: mean [95 % "
        "interval], images resampled. 'none' is the model as it is, with this study's quadrature; its rank "
        "correlation and SSIM are those against the run's own maps, i.e. what the quadrature alone changes. SSIM by "
        "chance: with the map's pixels scattered. EPE: of the differentiable prediction, to see what the model still "
        "knows. Response: |T(x) - T(x')|, how much the likelihood still depends on the image at all; where next to "
        "nothing, maps show how the model is built."
    )
    if published:
        columns += [f"{m.title}, published" for m in papers]
        caption += " Published: Table B of the PoseIG paper (SB-R50, COCO, other persons and weights), not of this run."
    return Table(caption, tuple(columns), tuple(rows), 3)


def _table_of_tests(tests: Tests, total: int) -> Table:
    rows = tuple((m.title, c.difference.n, c.difference, c.effect, p) for m, (c, p) in tests.items())
    caption = (
        f"All {total} layers re-initialised minus original, same joints: mean difference [95 % interval]; Wilcoxon's "
        f"signed-rank test on the images' means, Holm-corrected for {len(tests)} indices; effect: matched "
        "rank-biserial, +1 where every image's rises."
    )
    return Table(caption, ("index", "joints", "difference", "effect", "p (Holm)"), rows, 3)


def _caption(rows: pl.DataFrame, persons: int) -> str:
    kind = "Conv2d layers" if rows["kind"][0] == "conv" else "Conv2d, Linear and attention layers"
    way = "from the output to the input" if rows["order"][0] == "output" else "from the input to the output"
    how = "each group alone" if rows["independent"][0] else "one group after the other"
    return (
        f"Against the number of re-initialised layers ({kind} {way}, {how}; {plural(persons, 'person')}): mean and 95 "
        "% interval, images resampled. Grey, dashed: what the quadrature alone changes (rank correlation, SSIM); "
        "dotted: SSIM of the maps with their pixels scattered. Transposed convolutions and batch norms, with their "
        "statistics, keep their weights; new weights are drawn as torch does for a new layer, the same for every "
        "person. The paper does not state the direction."
    )


def _figure(by_stage: Rows, values: Values, indices: Sequence[Measure], unit: str, independent: bool) -> Figure:
    panels = (*indices, *LIKENESS, Measure("epe_soft", "EPE", unit))
    stages, lines = list(values), math.ceil(len(panels) / ACROSS)
    with figure_style():
        figure, axes = new_figure(9.6, 2.9 * lines, lines, ACROSS)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        for axis, panel in zip(axes, panels, strict=False):
            measure = panel.name
            compared = measure in ("rank_correlation", "ssim")
            shown = [s for s in stages if s or not compared]
            _line(axis, shown, [values[s][measure] for s in shown], "none" if independent else "-")
            if compared:
                level = values[stages[0]][measure].mean
                if math.isfinite(level):
                    axis.axhline(level, color=MUTED, lw=1.0, ls=(0, (5, 3)), zorder=1)
                drawn = ("ssim", "ssim_chance") if measure == "ssim" else (measure,)
                ends = [end for s in stages for m in drawn for end in (values[s][m].low, values[s][m].mean)]
                axis.set_ylim(min([0.0, *finite(ends)]) - 0.05, 1.05)  # lower where a correlation is negative
            if measure == "ssim":
                chance = [values[s]["ssim_chance"].mean for s in shown]
                axis.plot(shown, chance, color=PALETTE[4], lw=1.2, ls=":", marker=".", ms=4)
            if panel.neutral is not None:
                axis.axhline(panel.neutral, color=MUTED, lw=0.8, ls=(0, (1, 2)), zorder=1)
            if not len(finite([values[s][measure].mean for s in shown])):
                axis.text(0.5, 0.5, "no values", transform=axis.transAxes, ha="center", color="#666")
            axis.set_title(panel.label)
            labels = [_span(by_stage[s]) if independent else str(int(by_stage[s]["layers"][0])) for s in stages]
            skip = max(1, math.ceil(len(stages) / 8))
            axis.set_xticks(stages[::skip], labels[::skip], rotation=35 if independent else 0)
            axis.set_xlim(stages[0] - 0.4, stages[-1] + 0.4)
        for axis in axes[len(panels) - ACROSS : len(panels)]:
            axis.set_xlabel("layers re-initialised alone" if independent else "layers re-initialised")
    return figure


def _line(axis: Any, x: Sequence[int], values: Sequence[Estimate], style: str) -> None:
    for at, value in zip(x, values, strict=True):
        if math.isfinite(value.low) and math.isfinite(value.high):
            axis.plot([at, at], [value.low, value.high], color=PALETTE[0], lw=1.4, alpha=0.6, solid_capstyle="round")
    axis.plot(x, [v.mean for v in values], color=PALETTE[0], marker="o", ms=5, mec="white", mew=0.6, lw=1.4, ls=style)
