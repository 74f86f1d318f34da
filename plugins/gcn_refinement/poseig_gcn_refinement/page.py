"""The study's page: accuracy and inversions of all models, indices before and after.  Made of tables alone, no
model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poseig_mm.comparison import comparison_sections
from poseig_mm.errors import DataError
from poseig_mm.functional.inference import FEWEST, Comparison, corrected_p, paired_difference
from poseig_mm.functional.statistics import Estimate, bootstrap_mean, bootstrap_of
from poseig_mm.plotting.intervals import Panel, interval_panels
from poseig_mm.report.build import build_report
from poseig_mm.report.staging import staging_folder
from poseig_mm.store import Store
from poseig_mm.summary.sentences import format_estimate
from poseig_mm.types import Picture, Section, Table

from .evaluation import PCK, inversions_by_pair, read_table
from .indices import indices_section

if TYPE_CHECKING:
    import polars as pl

__all__ = ["accuracy_section", "build_page"]

NAMES = {"frozen": "frozen", "skeleton": "refined", "identity": "no edges", "random": "random edges"}
MEASURES = {"epe": "EPE (px)", "pck": "PCK (points)", "inversions": "inversions a person"}
# model, what it is compared with, measure -> paired difference, relative change of inversions
Difference = tuple[str, str, dict[str, Comparison], Estimate]
HOW = "[95 % interval, persons resampled]; left of the dashed line is better."
EPSILON = 10.0 / 256  # of the input's height: the published 10 px of 256


def build_page(work_dir: str | Path) -> Path:
    """Write report/index.html of a study's work dir; returns its path.

    Raises:
        DataError: the study has not come so far.
    """
    place = Path(work_dir)
    record = json.loads((place / "study.json").read_text(encoding="utf-8"))
    stores = {name: Store(place / name) for name in ("frozen", "refined")}
    sections = [accuracy_section(place, record), indices_section(stores, record)]
    sections += comparison_sections(stores, staging_folder(place / "report") / "assets" / "comparison")
    about = [f"checkpoint {Path(record['checkpoint']).name}"]
    return build_report(
        stores["frozen"], sections, place / "report", title=f"GCN refinement of {record['config']}", about=about
    )


def accuracy_section(place: Path, record: Mapping[str, Any]) -> Section:
    """EPE, PCK and inversions of every model on all held-out persons, and what the graph adds."""
    graphs = list(record["settings"]["graphs"])
    tables = {name: read_table(place / "evaluation" / f"{name}.parquet") for name in ("frozen", *graphs)}
    _check_same(tables)
    pairs = [tuple(pair) for pair in record["data"]["pairs"]]
    epsilon = record["settings"]["epsilon"] or EPSILON * record["data"]["input_height"]
    swaps = {name: inversions_by_pair(table, pairs, epsilon)[0] for name, table in tables.items()}
    joints = tables["frozen"]["joint_name"].unique(maintain_order=True).to_list()
    names = [f"{joints[a].removeprefix('left_')}s" if joints[a].startswith("left_") else joints[a] for a, b in pairs]
    models, differences = _models_table(tables, swaps), _differences(tables, swaps, graphs)
    blocks: list[Table | Picture] = [
        models,
        _differences_table(differences),
        Picture(
            "refinement-joints",
            f"Difference of EPE by joint {HOW}",
            _picture("EPE (px)", tables, graphs, joints, lambda name: _columns(tables[name], "epe", joints)),
        ),
        Picture(
            "refinement-inversions",
            f"Difference of inversions by pair of symmetric joints (within {epsilon:g} px of the partner's place, and "
            f"not of the own) {HOW}",
            _picture("inversions a person", tables, graphs, names, lambda name: swaps[name]),
        ),
        _joint_table(tables, graphs, joints),
        _pair_table(swaps, graphs, names),
        _training_table(record),
    ]  # fmt: skip
    return Section(
        "gcn-refinement", "What refinement changes", _lead(differences, tables, swaps, graphs), tuple(blocks), 10
    )


def _check_same(tables: Mapping[str, pl.DataFrame]) -> None:
    first = tables["frozen"]
    for name, table in tables.items():
        if not table.select("sample_id", "joint", "visible").equals(first.select("sample_id", "joint", "visible")):
            raise DataError(f"the predictions of {name} are of other persons than those of frozen; delete evaluation/")


def _persons(table: pl.DataFrame) -> Any:
    return table["sample_id"].to_numpy()


def _total(swaps: Any) -> Any:
    """(persons,) inversions of all pairs."""
    return np.nansum(swaps, 1)


def _models_table(tables: Mapping[str, pl.DataFrame], swaps: Mapping[str, Any]) -> Table:
    lines = []
    for name, table in tables.items():
        persons = _persons(table)
        hits = bootstrap_mean(100 * table["pck"].to_numpy(), groups=persons)
        counted = _total(swaps[name])
        lines.append(
            (NAMES.get(name, name), bootstrap_mean(table["epe"].to_numpy(), groups=persons), hits,
             bootstrap_mean(counted), int(counted.sum()))
        )  # fmt: skip
    first = tables["frozen"]
    caption = (
        f"All {first['sample_id'].n_unique()} held-out persons, {int(first['visible'].sum())} visible joints [95 % "
        f"interval, persons resampled]. PCK: within {PCK:g} of the longer side of the box; the model's own decoding, "
        "no flip test. No edges and random edges (as many as the skeleton has) are the controls: the same block, "
        "trained alike from the same start."
    )
    columns = ("model", "EPE (px)", "PCK (%)", "inversions a person", "inversions")
    return Table(caption, columns, tuple(lines), 2)


def _differences(
    tables: Mapping[str, pl.DataFrame], swaps: Mapping[str, Any], graphs: Sequence[str]
) -> list[Difference]:
    """(model, than, measure -> paired difference, relative change of inversions): each to frozen, the first to
    controls.
    """
    wanted = [(g, "frozen") for g in graphs] + [(graphs[0], g) for g in graphs[1:]]
    persons, found = _persons(tables["frozen"]), []
    for name, other in wanted:
        compared = {
            m: paired_difference(tables[other][m].to_numpy(), tables[name][m].to_numpy(), persons)
            for m in ("epe", "pck")
        }
        before, after = _total(swaps[other]), _total(swaps[name])
        compared["inversions"] = paired_difference(before, after)
        change = bootstrap_of(lambda s: 100.0 * (s[:, 1] / s[:, 0] - 1.0), np.stack([before, after], 1))
        found.append((name, other, compared, change))
    return found


def _corrected(differences: Sequence[Difference]) -> dict[tuple[str, str, str], float]:
    """(model, than, measure) -> p, by Holm for all tests of the page's first table."""
    keys = [(name, other, measure) for name, other, compared, _ in differences for measure in compared]
    values = corrected_p([c for _, _, compared, _ in differences for c in compared.values()])
    return dict(zip(keys, values, strict=True))


def _differences_table(differences: Sequence[Difference]) -> Table:
    corrected = _corrected(differences)
    lines: list[tuple[Any, ...]] = []
    for name, other, compared, change in differences:
        models = (NAMES.get(name, name), NAMES.get(other, other))
        for measure, c in compared.items():
            difference = _times(c.difference, 100) if measure == "pck" else c.difference
            lines.append((*models, MEASURES[measure], difference, corrected[name, other, measure], c.effect))
        lines.append((*models, "inversions (%)", change, math.nan, math.nan))
    caption = (
        "Model minus the one it is compared with, on the same joints or persons [95 % interval, persons resampled]; p: "
        f"Wilcoxon's signed-rank test over persons, corrected by Holm for all tests here, not made below {FEWEST} "
        "persons; effect: rank-biserial correlation."
    )
    return Table(caption, ("model", "compared with", "measure", "difference", "p", "effect"), tuple(lines), 3)


def _times(e: Estimate, factor: float) -> Estimate:
    return Estimate(e.n, factor * e.mean, factor * e.std, factor * e.low, factor * e.high)


def _columns(table: pl.DataFrame, column: str, joints: Sequence[str]) -> Any:
    """(persons, joints) of a column of a table sorted by person and joint."""
    return table[column].to_numpy().reshape(-1, len(joints))


def _difference(first: Any, second: Any, line: int) -> Estimate:
    """Mean of second minus first in one column; a person has one value."""
    return paired_difference(first[:, line], second[:, line]).difference


def _picture(
    what: str,
    tables: Mapping[str, Any],
    graphs: Sequence[str],
    lines: Sequence[str],
    values: Callable[[str], Any],
) -> Any:
    """Each model minus the frozen one; and the refined one minus each control, in that control's colour."""
    found = {name: values(name) for name in tables}

    def panel(pairs: Sequence[tuple[str, str, str]]) -> dict[str, dict[str, Estimate]]:
        return {
            NAMES.get(shown, shown): {line: _difference(found[first], found[second], i) for i, line in enumerate(lines)}
            for shown, first, second in pairs
        }

    panels = [Panel("model minus frozen", panel([(g, "frozen", g) for g in graphs]), 0.0, what)]
    if controls := graphs[1:]:
        panels.append(Panel("refined minus control", panel([(g, g, graphs[0]) for g in controls]), 0.0, what))
    return interval_panels(panels, lines)


def _joint_table(tables: Mapping[str, pl.DataFrame], graphs: Sequence[str], joints: Sequence[str]) -> Table:
    values = {name: _columns(table, "epe", joints) for name, table in tables.items() if name in ("frozen", graphs[0])}
    lines = tuple(
        (
            joint,
            *(bootstrap_mean(values[name][:, i]) for name in ("frozen", graphs[0])),
            _difference(values["frozen"], values[graphs[0]], i),
        )
        for i, joint in enumerate(joints)
    )
    columns = ("joint", "frozen", "refined", "refined minus frozen")
    return Table("EPE (px) by joint [95 % interval, persons resampled].", columns, lines, 2)


def _pair_table(swaps: Mapping[str, Any], graphs: Sequence[str], names: Sequence[str]) -> Table:
    lines = []
    for j, name in enumerate(names):
        counts = tuple(int(np.nansum(found[:, j])) for found in swaps.values())
        persons = int(np.isfinite(swaps["frozen"][:, j]).sum())
        lines.append((name, persons, *counts, _difference(swaps["frozen"], swaps[graphs[0]], j)))
    caption = (
        "Inversions by pair of symmetric joints, each joint of a pair counted; the difference is a person's [95 % "
        "interval, persons resampled]."
    )
    columns = ("pair", "persons", *(NAMES.get(name, name) for name in swaps), "refined minus frozen")
    return Table(caption, columns, tuple(lines), 3)


def _training_table(record: Mapping[str, Any]) -> Table:
    s = record["settings"]
    lines = tuple(
        (NAMES.get(g, g), about["parameters"], about["persons"], about["steps"], about["seconds"])
        for g, about in record["trained"].items()
    )
    caption = (
        f"Training: {s['depth']} layers, order {s['order']}, width {s['hidden']}; Adam {s['lr']:g}, {s['epochs']} "
        f"epochs of cached frozen heatmaps, batches of {s['batch_size']}, seed {s['seed']}. The frozen model's bytes "
        "were compared before and after: unchanged."
    )
    return Table(caption, ("block", "parameters", "training persons", "steps", "seconds"), lines, 0)


def _lead(
    differences: Sequence[Difference],
    tables: Mapping[str, pl.DataFrame],
    swaps: Mapping[str, Any],
    graphs: Sequence[str],
) -> str:
    epe = {name: float(np.nanmean(table["epe"].to_numpy())) for name, table in tables.items()}
    total = {name: int(_total(found).sum()) for name, found in swaps.items()}
    _, _, compared, change = differences[0]
    p, epe_change = _corrected(differences), compared["epe"].difference
    persons = tables["frozen"]["sample_id"].n_unique()
    parts = [
        f"On {persons} held-out persons the mean error goes from {epe['frozen']:.2f} to {epe[graphs[0]]:.2f} px: "
        f"{format_estimate(epe_change, sign=True)} ({_verdict(epe_change, p[graphs[0], 'frozen', 'epe'])}). "
        f"Inversions of symmetric joints go from {total['frozen']} to {total[graphs[0]]}"
        + (f", {format_estimate(change, 0, sign=True)} %." if math.isfinite(change.mean) else ".")
    ]
    for name, other, c, _ in differences:
        if name == graphs[0] and other in graphs:
            parts.append(
                f"Against the same block with {NAMES.get(other, other)}, the skeleton's change the error by "
                f"{format_estimate(c['epe'].difference, sign=True)} px "
                f"({_verdict(c['epe'].difference, p[name, other, 'epe'])})"
                f" and inversions by {format_estimate(c['inversions'].difference, 3, sign=True)} a person "
                f"({_verdict(c['inversions'].difference, p[name, other, 'inversions'])})."
            )
    parts.append("Only what the skeleton adds to the controls is the graph's doing; the rest is the block's.")
    if persons < FEWEST:
        parts.append(f"With {persons} persons nothing is tested.")
    return " ".join(parts)


def _verdict(e: Estimate, p: float) -> str:
    """In words, for measures of which less is better; p is corrected, NaN where nothing was tested."""
    if not math.isfinite(e.low):
        return "no interval"
    if e.low <= 0 <= e.high:
        return "the interval holds 0: no difference shown"
    if p >= 0.05:
        return f"p = {p:.2g} after correction: no difference shown"
    return "better" if e.high < 0 else "worse"
