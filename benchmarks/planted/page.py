"""docs/planted_evidence.md from the results on disk."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch

from benchmarks.treatments import part_between_markers
from poseig_mm.functional.statistics import Estimate
from poseig_mm.store import Store

from . import causes, maps, pictures
from .figures import ROOT, VARIANTS, Case
from .results import file_stem, stored

__all__ = ["write"]

DOCS = ROOT / "docs"
CARRIES = {
    "honest": "the left forearm and hand", "marker": "a 7 x 7 mark, 13 px up and right of the wrist (dilated by 2 px)",
    "context": "the stripes' direction: the whole background", "mirror": "the right forearm and hand",
    "chain": "the left upper arm",
}  # fmt: skip
WANTED = {"auroc": 0.95, "mass": 0.35, "peak": 0.95}  # of blur IG on `marker`
WANTED_RIGHT = 0.8
EXAMPLES = 3


def write(work_dir: Path, checkpoints: Path, split: str = "test", figures: bool = True) -> Path:
    """The page and its figures from whatever has been measured; returns the page's path."""
    folder = work_dir / split
    removals = {v: rows for v in VARIANTS if (rows := stored(folder / "maps" / f"{v}-removal.json")) is not None}
    rows_of = {v: _rows(folder / "maps", v) for v in removals}
    scores = {
        v: {m: maps.means(rows) for m, rows in by_method.items()} for v, by_method in rows_of.items() if by_method
    }
    all_runs = {v: names for v in causes.TRUTH if (names := _named(folder / "runs", v, split))[0]}
    named = {v: single for v, (single, _) in all_runs.items()}
    if figures:
        _draw(scores, checkpoints, split)
    clear = maps.depends(removals["marker"]) if "marker" in removals else set()
    blur = [r for r in rows_of.get("marker", {}).get("blur IG", []) if r["figure"] in clear]
    wanted = _wanted(scores.get("marker", {}).get("blur IG"), maps.means(blur), named)
    lines = [
        *_head(removals, split),
        *_used(removals),
        *_scores(scores),
        *wanted,
        *_confusion(named, {v: t for v, (_, t) in all_runs.items()}),
        *part_between_markers(DOCS / "planted_evidence.md"),  # as `benchmarks.treatments` has written it
        "",
        *NOTES,
    ]
    path = DOCS / "planted_evidence.md"
    path.write_text("\n".join(lines) + "\n")
    return path


def _rows(folder: Path, variant: str) -> dict[str, list[dict[str, Any]]]:
    """Scores of each figure by every method that has been measured."""
    by_method = {method: stored(folder / f"{variant}-{file_stem(method)}.json") for method in maps.METHODS}
    return {method: rows for method, rows in by_method.items() if rows is not None}


def _named(folder: Path, variant: str, split: str) -> tuple[list[tuple[str, str]], tuple[str, str]]:
    """(code, why) of each finished run, by the study as it is now; and of all their figures together."""
    finished = sorted(folder.glob(f"{variant}-*.json"))
    tables = [causes.rows_of(Store(path.with_suffix("")), variant, split) for path in finished]
    return [causes.named(t) for t in tables], causes.named(pl.concat(tables)) if tables else ("", "")


def _draw(scores: Mapping[str, Any], checkpoints: Path, split: str) -> None:
    out = DOCS / "figures"
    pictures.scores_picture(scores, out / "planted_scores.svg")
    cases = {v: Case(v, 16, split, checkpoints / f"{v}_heatmap.pth") for v in scores}
    if "marker" in cases:
        pictures.maps_picture(
            [cases["marker"]], [m for m in maps.METHODS if m != "random"], EXAMPLES, out / "planted_marker.jpg"
        )
    pictures.maps_picture(
        list(cases.values()), ["blur IG", "linear IG, mean", "gradient"], 1, out / "planted_variants.jpg"
    )


def _head(removals: Mapping[str, Sequence[Mapping[str, Any]]], split: str) -> list[str]:
    n = max((len(rows) for rows in removals.values()), default=0)
    return [
        "# Planted evidence", "",
        "Figures are drawn of which the left wrist can be told from one thing only, and a small network is trained on "
        "each kind (`plugins/synthetic_figures/`). So the pixels that a right map must show are known, and so is the "
        "cause that a right diagnosis must name.", "",
        f"Written by `python -m benchmarks.planted_evidence` (`benchmarks/planted_evidence.py`) on "
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()} with {os.cpu_count()} cores, torch {torch.__version__}. "
        f"{n} "
        f"figures a model, of the {split} split, which training has not seen. Intervals: 95 %, figures (below: runs) "
        "resampled. One trained model a kind: the intervals are of figures, not of trainings.", "",
    ]  # fmt: skip


def _used(removals: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    lines = [
        "## Do the models use what was planted?", "",
        "The same figures once more without the evidence. A model is said to use it where the left wrist's error rises "
        f"at least {maps.USED:g} times (method: the model's own decoding; errors in input px of 96 x 128).", "",
        "| model | what carries the left wrist | figures | left out | EPE with it | EPE without | ratio | uses it |",
        "| --- | --- | ---: | --- | ---: | ---: | ---: | --- |",
    ]  # fmt: skip
    for variant, rows in removals.items():
        estimates = maps.used(list(map(dict, rows)))
        reasons = [r["reason"] for r in rows if r["reason"]]
        out = ", ".join(f"{reasons.count(r)} {r}" for r in dict.fromkeys(reasons)) or "none"
        ratio = estimates["ratio"]
        verdict = "yes" if ratio.mean >= maps.USED else f"less than {maps.USED:g} times"
        cells = [variant, CARRIES[variant], str(ratio.n), out, _text(estimates["epe"]), _text(estimates["epe_without"])]
        lines.append("| " + " | ".join([*cells, _text(ratio), verdict]) + " |")
    return [*lines, ""]


def _scores(scores: Mapping[str, Mapping[str, Mapping[str, Estimate]]]) -> list[str]:
    lines = [
        "## Maps against the evidence", "",
        "Of the left wrist's map: AUROC of its pixels for evidence against the rest (0.5: chance), share of its mass "
        "on the evidence, and how often its peak lies there (chance for both: the evidence's share of the area).", "",
        "![Scores by model and method](figures/planted_scores.svg)", "",
        "| model | map | AUROC | share of mass | peak on it | area |", "| --- | --- | ---: | ---: | ---: | ---: |",
    ]  # fmt: skip
    for variant, by_method in scores.items():
        for method, scores in by_method.items():
            cells = [_text(scores[name], 3) for name in maps.SCORES]
            lines.append(f"| {variant} | {method} | " + " | ".join([*cells, _number(scores["area"].mean, 3)]) + " |")
    return [
        *lines, "",
        f"The first {EXAMPLES} held-out figures of `marker`, not chosen. Left: ring, the true wrist; cross, the "
        "model's; green, the evidence.", "", "![Maps of marker](figures/planted_marker.jpg)", "",
        "The first figure of each kind:", "", "![Maps of each kind](figures/planted_variants.jpg)", "",
    ]  # fmt: skip


def _wanted(
    blur: Mapping[str, Estimate] | None, clear: Mapping[str, Estimate], named: Mapping[str, Sequence[tuple[str, str]]]
) -> list[str]:
    n = clear["auroc"].n
    lines = [
        "## Wanted and reached", "",
        f"| | wanted | reached | on the {n} figures whose own error rises {maps.USED:g} times |",
        "| --- | --- | --- | --- |",
    ]  # fmt: skip
    titles = {"auroc": "AUROC", "mass": "share of mass", "peak": "peak on the evidence"}
    for name, wanted in WANTED.items():
        reached = f"{_text(blur[name], 3)}{_mark(blur[name].mean >= wanted)}" if blur else "not measured"
        lines.append(f"| blur IG on `marker`: {titles[name]} | >= {wanted:g} | {reached} | {_text(clear[name], 3)} |")
    share = causes.right({v: [code for code, _ in conclusions] for v, conclusions in named.items()})["all"]
    reached = f"{_text(share)} of {share.n} runs{_mark(share.mean >= WANTED_RIGHT)}" if share.n else "not measured"
    return [*lines, f"| cause named rightly, held-out runs | >= {WANTED_RIGHT:g} | {reached} | |", ""]


def _confusion(named: Mapping[str, Sequence[tuple[str, str]]], together: Mapping[str, tuple[str, str]]) -> list[str]:
    from poseig_mm.studies.shortcuts.causes import CAUSES

    codes = {v: [code for code, _ in conclusions] for v, conclusions in named.items()}
    shares = causes.right(codes)
    lines = [
        "## Does the diagnosis name the cause?", "",
        "Each run is a whole diagnosis (`Session`, default settings, studies " +
        ", ".join(f"`{s}`" for s in causes.STUDIES) + ") of a model on held-out figures that no other run has. The "
        "study `shortcuts` knows nothing of what was planted; counted is the cause that it names for the left wrist. "
        "Its thresholds were set on runs of the validation split; these are of the test split.", "",
        "| planted | right answer | " + " | ".join(CAUSES) + " | named rightly | all runs' figures together |",
        "| --- | --- |" + " ---: |" * (len(CAUSES) + 1) + " --- |",
    ]  # fmt: skip
    for variant, given in codes.items():
        counts = [str(given.count(code) or "") for code in CAUSES]
        cells = [variant, causes.TRUTH[variant], *counts, _text(shares[variant]), together[variant][0]]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Codes: " + "; ".join(f"`{code}`, {words}" for code, words in CAUSES.items()) + ".", ""]
    wrong = [(v, why) for v, conclusions in named.items() for code, why in conclusions if code != causes.TRUTH[v]]
    if wrong:
        lines += ["Where it was not named rightly, the study said:", "", *(f"- {v}: {why}" for v, why in wrong), ""]
    return lines


def _mark(reached: bool) -> str:
    return "" if reached else " (not reached)"


def _text(value: Estimate, digits: int = 2) -> str:
    """Mean with its interval."""
    if not math.isfinite(value.low):
        return _number(value.mean, digits)
    return f"{value.mean:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


NOTES = """\
## Read with care

- The evidence is where the cue was drawn, which is not all that a model may use. Elbow and shoulder bound where the
  wrist can be, in `marker` too; the upper arm alone tells much of it in `honest` and `mirror`, where forearm and hand
  are what is left out. So even a perfect map has less than all of its mass on the evidence.
- `context`: the cue is a direction, told by any few of the stripes, and the evidence is most of the picture. A map
  that shows the stripes that the model looked at, and the figure it belongs to, has an AUROC below 0.5. The random
  control shows what these scores are worth there.
- `marker`: with a model of 1,000 iterations instead of 3,000 (wrist EPE 3.0 instead of 1.9 px) blur IG had AUROC 0.933,
  mass 0.178, peak 0.64; on 32 validation figures the soft-argmax' sharpness (beta 10, 14, 20), the rule (24 and 50 left
  cells, adaptive up to 64 and up to 128 gradients) and an untruncated blur moved its mass between 0.14 and 0.17 only.
  What is missing to the wanted figures lies in what a model uses, not in how its maps are computed.
- A run has few figures, and the study of shortcuts names nothing where intervals overlap: then it says 'undecided'.
  The last column of that table shows what it says of all runs' figures together.
""".splitlines()
