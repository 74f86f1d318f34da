"""The section on model randomisation: Table B, Fig. C, whether the indices move, whether the maps change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from ...functional.inference import FEWEST, Comparison, holm, paired_difference
from ...plotting.figures import MUTED, PALETTE, figure_style, new_figure
from ...seeding import stable_hash
from ...summary.measures import Measure, estimate, finite, index_measures, run_value
from ...summary.sentences import format_estimate, format_p, plural
from ...types import Gallery, Picture, Section, Table
from .strips import find_strips

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...functional.statistics import Estimate
    from ...store import Store

__all__ = ["randomization_section"]

LIKENESS = (Measure("rank_correlation", "rank correlation"), Measure("ssim", "SSIM"))  # of a map to the original
ALIKE = 0.5  # rank correlation that parts 'changes' from 'stays much alike'; a choice of this project
GONE = 1e-3  # of the original response: below that, the model's output no longer depends on the image
STRIPS = 6  # on the page
ACROSS = 3  # panels side by side
Tests = dict[Measure, tuple[Comparison, float]]
# Table B of the paper, SB-R50 on COCO; shown beside a run of that model alone, never used.
PUBLISHED = {
    "di": (13.58, 13.93, 16.53, 17.44, 19.91, 21.06),
    "fi": (1.375, 1.342, 1.186, 1.110, 0.967, 0.884),
}


def randomization_section(store: Store, rows: pl.DataFrame, name: str) -> Section | None:
    """Of the study's rows; None where there are none."""
    if not len(rows):
        return None
    stages = rows["stage"].unique().sort().to_list()
    by_stage = {s: rows.filter(pl.col("stage") == s) for s in stages}
    indices = index_measures(store, rows)
    columns = [m.name for m in (*indices, *LIKENESS)] + ["ssim_chance", "epe_soft", "response"]
    found = {s: {name: estimate(frame, name) for name in columns} for s, frame in by_stage.items()}
    total, independent = int(rows["total_layers"][0]), bool(rows["independent"][0])
    tests = {} if independent or len(stages) < 2 else _tests(by_stage[stages[0]], by_stage[stages[-1]], indices)
    persons = rows["sample_id"].n_unique()
    lead = _lead_alone(by_stage, found) if independent else _lead(found, tests, total, persons)
    blocks: list[Table | Picture | Gallery] = [
        _table_b(by_stage, found, indices, published=not independent and _as_published(store, by_stage)),
        Picture("randomization", _caption(rows, persons), _figure(by_stage, found, indices, independent)),
    ]
    if tests:
        blocks.append(_table_of_tests(tests, total))
    if (missing := _missing(rows)).rows:
        blocks.append(missing)
    ids = sorted(rows["sample_id"].unique().to_list(), key=lambda i: (stable_hash(i), i))
    if strips := find_strips(store.pictures(name), ids)[:STRIPS]:
        text = (
            "Maps of one joint (the one of median error; ring: its annotation), from the original model to the last "
            "stage. Each map is scaled to its own maximum."
        )
        blocks.append(Gallery(text, tuple(strips)))
    return Section(name, "Model randomisation", lead, tuple(blocks), order=310)


def _tests(first: pl.DataFrame, last: pl.DataFrame, indices: Sequence[Measure]) -> Tests:
    """Last stage minus original of the same joints, and p after Holm's correction for the indices."""
    pairs = first.join(last, on=["sample_id", "joint"], suffix="_last")
    groups = pairs["sample_id"].to_numpy()
    found = [paired_difference(pairs[m.name].to_numpy(), pairs[f"{m.name}_last"].to_numpy(), groups) for m in indices]
    return {m: (c, float(p)) for m, c, p in zip(indices, found, holm([c.p for c in found]), strict=True)}


def _lead(found: dict[int, dict[str, Estimate]], tests: Tests, total: int, n: int) -> str:
    first, last = found[min(found)], found[max(found)]
    if not tests:
        return f"{plural(n, 'person')}; no stage beyond the original, so nothing can be said."
    parts = []
    for m, (comparison, p) in list(tests.items())[:2]:
        parts.append(
            f"{m.title} goes from {format_estimate(first[m.name])} to {format_estimate(last[m.name])} "
            f"(difference {format_estimate(comparison.difference)}, {format_p(p)})"
        )
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
        elif not p < 0.05:
            signs.append(f"{title} shows no clear change")
        else:
            signs.append(f"{title} {'rises' if mean > 0 else 'falls'}")
            if mean * wanted > 0:
                signs[-1] += " as in the paper"
            else:
                signs[-1] += ", the other way than in the paper"
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


def _lead_alone(by_stage: dict[int, pl.DataFrame], found: dict[int, dict[str, Estimate]]) -> str:
    known = {s: e["rank_correlation"] for s, e in found.items() if s and math.isfinite(e["rank_correlation"].mean)}
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


def _as_published(store: Store, by_stage: dict[int, pl.DataFrame]) -> bool:
    """Whether this is the paper's model, data set and stages: Simple Baseline with ResNet-50 on COCO, every 9 of 54."""
    model = run_value(store, "model", default={})
    layers = [int(frame["layers"][0]) for frame in by_stage.values()]
    return (
        str(run_value(store, "dataset", "name", default="")).lower() == "coco"
        and model.get("adapter") == "heatmap"
        and model.get("backbone") == "ResNet"
        and not model.get("random_weights", True)
        and layers == [0, 9, 18, 27, 36, 45, 54]
    )


def _table_b(
    by_stage: dict[int, pl.DataFrame],
    found: dict[int, dict[str, Estimate]],
    indices: Sequence[Measure],
    *,
    published: bool,
) -> Table:
    columns = [
        "re-initialised",
        "joints",
        *(m.label for m in (*indices, *LIKENESS)),
        "SSIM by chance",
        f"EPE ({_unit(by_stage)})",
        "response",
    ]
    papers = [m for m in indices if published and m.name in PUBLISHED]
    rows: list[tuple[Any, ...]] = []
    for i, (s, e) in enumerate(found.items()):
        beside = tuple(PUBLISHED[m.name][i - 1] if i else None for m in papers)
        joints = max(e[m.name].n for m in (*indices, *LIKENESS))
        rows.append((_span(by_stage[s]), joints, *e.values(), *beside))
    caption = (
        "Indices of the maps after re-initialisation, and how alike the maps are to the originals: mean [95 % "
        "interval], persons resampled. 'none' is the model as it is, with this study's quadrature; its rank "
        "correlation and SSIM are those against the run's own maps, i.e. what the quadrature alone changes. SSIM by "
        "chance: with the map's pixels scattered. EPE: of the differentiable prediction, to see what the model still "
        "knows. Response: |T(x) - T(x')|, how much the likelihood still depends on the image at all; where next to "
        "nothing, maps show how the model is built."
    )
    if published:
        columns += [f"{m.title}, published" for m in papers]
        caption += " Published: Table B of the PoseIG paper (SB-R50, COCO, other persons and weights), not of this run."
    return Table(caption, tuple(columns), tuple(rows), 3)


def _unit(by_stage: dict[int, pl.DataFrame]) -> str:
    return str(next(iter(by_stage.values()))["unit"][0])


def _table_of_tests(tests: Tests, total: int) -> Table:
    rows = tuple((m.title, c.difference.n, c.difference, c.effect, p) for m, (c, p) in tests.items())
    caption = (
        f"All {total} layers re-initialised minus original, same joints: mean difference [95 % interval]; Wilcoxon's "
        f"signed-rank test on the persons' means, Holm-corrected for {len(tests)} indices (none below {FEWEST} persons); "
        "effect: matched rank-biserial, +1 where every person's rises."
    )
    return Table(caption, ("index", "joints", "difference", "effect", "p (Holm)"), rows, 3)


def _missing(rows: pl.DataFrame) -> Table:
    counts = rows.filter(pl.col("reason") != "").group_by("layers", "reason").len().sort("layers", "reason").rows()
    caption = "Joints that lack a number at a stage, by reason (they are left out of its means)."
    return Table(caption, ("layers re-initialised", "reason", "joints"), tuple(counts))


def _caption(rows: pl.DataFrame, persons: int) -> str:
    kind = "Conv2d layers" if rows["kind"][0] == "conv" else "Conv2d, Linear and attention layers"
    way = "from the output to the input" if rows["order"][0] == "output" else "from the input to the output"
    how = "each group alone" if rows["independent"][0] else "one group after the other"
    return (
        f"Against the number of re-initialised layers ({kind} {way}, {how}; {plural(persons, 'person')}): mean and 95 "
        "% interval, persons resampled. Grey, dashed: what the quadrature alone changes (rank correlation, SSIM); "
        "dotted: SSIM of the maps with their pixels scattered. Transposed convolutions and batch norms, with their "
        "statistics, keep their weights; new weights are drawn as torch does for a new layer, the same for every "
        "person. The paper does not state the direction."
    )


def _figure(
    by_stage: dict[int, pl.DataFrame],
    found: dict[int, dict[str, Estimate]],
    indices: Sequence[Measure],
    independent: bool,
) -> Figure:
    panels = (*indices, *LIKENESS, Measure("epe_soft", "EPE", _unit(by_stage)))
    stages, lines = list(found), math.ceil(len(panels) / ACROSS)
    with figure_style():
        figure, axes = new_figure(9.6, 2.9 * lines, lines, ACROSS)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        for axis, panel in zip(axes, panels, strict=False):
            measure = panel.name
            compared = measure in ("rank_correlation", "ssim")
            shown = [s for s in stages if s or not compared]
            _line(axis, shown, [found[s][measure] for s in shown], PALETTE[0], "o", "none" if independent else "-")
            if compared:
                level = found[stages[0]][measure].mean
                if math.isfinite(level):
                    axis.axhline(level, color=MUTED, lw=1.0, ls=(0, (5, 3)), zorder=1)
                axis.set_ylim(
                    *_limits([found[s][m] for s in stages for m in (measure, "ssim_chance")[: 1 + (measure == "ssim")]])
                )
            if measure == "ssim":
                chance = [found[s]["ssim_chance"].mean for s in shown]
                axis.plot(shown, chance, color=PALETTE[4], lw=1.2, ls=":", marker=".", ms=4)
            if panel.neutral is not None:
                axis.axhline(panel.neutral, color=MUTED, lw=0.8, ls=(0, (1, 2)), zorder=1)
            if not len(finite([found[s][measure].mean for s in shown])):
                axis.text(0.5, 0.5, "no values", transform=axis.transAxes, ha="center", color="#666")
            axis.set_title(panel.label)
            labels = [_span(by_stage[s]) if independent else str(int(by_stage[s]["layers"][0])) for s in stages]
            skip = max(1, math.ceil(len(stages) / 8))
            axis.set_xticks(stages[::skip], labels[::skip], rotation=35 if independent else 0)
            axis.set_xlim(stages[0] - 0.4, stages[-1] + 0.4)
        for axis in axes[len(panels) - ACROSS : len(panels)]:
            axis.set_xlabel("layers re-initialised alone" if independent else "layers re-initialised")
    return figure


def _limits(values: Sequence[Estimate]) -> tuple[float, float]:
    """0 to 1, and lower where a correlation is negative."""
    low = min([0.0, *finite([v.low for v in values]), *finite([v.mean for v in values])])
    return low - 0.05, 1.05


def _line(axis: Any, x: Sequence[int], values: Sequence[Estimate], color: str, marker: str, style: str) -> None:
    for at, value in zip(x, values, strict=True):
        if math.isfinite(value.low) and math.isfinite(value.high):
            axis.plot([at, at], [value.low, value.high], color=color, lw=1.4, alpha=0.6, solid_capstyle="round")
    axis.plot(x, [v.mean for v in values], color=color, marker=marker, ms=5, mec="white", mew=0.6, lw=1.4, ls=style)
