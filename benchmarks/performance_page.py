"""docs/performance.md: what was measured beside what was wanted."""

from __future__ import annotations

import os
import time
from typing import Any

from benchmarks.accuracy import summary
from benchmarks.gpu.page import PERFORMANCE, part_between_markers
from poseig_mm.functional.path_attribution import ADAPTIVE_SWEEP
from poseig_mm.run.about import processor

__all__ = ["page"]

COLUMNS = (
    "model", "method", "s / person", "x person", "x joint", "gradients", "cosine", "Spearman", "dDI", "dFI", "dLI",
    "true error", "map error", "residual", "peak share", "GiB",
)  # fmt: skip


def page(rows: list[dict[str, Any]], peaks: dict[str, float], persons: int) -> str:
    """docs/performance.md."""
    import torch

    lines = [
        "# Performance", "",
        "Written by `make bench` (`benchmarks/attribution.py`, after `benchmarks/accuracy.py`).", "",
        f"{time.strftime('%Y-%m-%d')}, {processor()}, {os.cpu_count()} cores, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads; GEMM peak measured in the same run: float32 {peaks['float32']:.0f} "
        f"GFLOP/s, bfloat16 {peaks['bfloat16']:.0f} GFLOP/s. {persons} persons a trained model, "
        "one on random weights.", "",
        *wanted(rows, peaks), "", "## Side by side", "",
        "`published` is the published procedure at its own cost (50 left cells, a backward pass for each of the K "
        "joints and one more, weight gradients). `x person`: its seconds a person over this row's, which computes "
        f"visible joints only ({VISIBLE_NOTE}); `x joint`: its seconds by K over this row's by visible joint. Accuracy "
        "is against our own rule with 400 cells, float32, on the trained models; `true error` is half the L1 distance "
        "of the normalised maps. Models with random weights are timed only, and spend the gradients that a trained one "
        "takes. Peak share: operations of forward and backward passes over seconds, over the peak of the type the "
        "backward pass ran in; the forward pass is always float32.", "",
        "| " + " | ".join(COLUMNS) + " |",
        "| --- | --- |" + " ---: |" * (len(COLUMNS) - 2),
    ]  # fmt: skip
    for r in rows:
        share = f"{100 * peak_share(r, peaks):.0f} %" if r["method"].startswith("ours") else ""
        person, joint = faster(r, rows)
        cells = [
            r["model"], r["method"], f"{r['seconds']:.2f}", f"{person:.1f}", f"{joint:.1f}", f"{r['evaluations']:.0f}",
            *(_cell(r.get(k)) for k in
              ("cosine", "spearman", "d_di", "d_fi", "d_li", "true_error", "map_error", "residual")),
            share, f"{r['memory'] / 2**30:.1f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    card = ["## On a GPU", "", *part_between_markers(PERFORMANCE)]  # as `benchmarks.gpu --page` has written it
    return "\n".join([*lines, "", *summary(), "", *card, "", *TRIED]) + "\n"


VISIBLE_NOTE = "11 of 17 on random weights, as a COCO person has on average; the annotated ones on trained models"
TRIED = """\
## What was tried

- **Cotangents carried in bfloat16 through autograd's own graph** (`functional/fast_backward.py`): kept. `python -m
  benchmarks.backward` shows it beside autograd. In float32 it pays too since weights are prepared.
- **Weights prepared once** (`functional/convolution_gradient.py`): kept. The gradient of a convolution of stride 1 is a
  convolution by the flipped weight, which oneDNN lays out once; `convolution_backward` does it in every call (2.4 times
  as long for 512 channels at 8 x 6).
- **Derivatives of 0 and 1 as masks of bits**: kept, half the time of a product in bfloat16. Convolutions with the mask
  as oneDNN's post-operation: slower than convolution and mask one after the other.
- **Sums in place**: in float32; torch's in bfloat16 are slower in place (a tenth of a whole pass of SB-R50).
- **Freed memory kept by the process** (`run/process.py`): kept. Without it every chunk's forward pass faults its pages
  in anew, 1,200 to 10,800 an image.
- **A shape-only input for `convolution_backward`**: an expanded scalar costs no memory, but hides the layout, and 1 x 1
  convolutions took two to four times as long; an empty tensor of the same layout costs none either.
- **Strided depth-wise convolutions**: in bfloat16 oneDNN has no quick kernel; as a stride-1 convolution over the spread
  gradient they have. In float32 its own is quicker, and quicker than four phases or a shuffle.
- **torch.compile**: see `python -m benchmarks.backward --compile`; it needs a C++ compiler on the user's machine and
  minutes of compiling, and its float32 backward pass has the same convolutions in it.
- **Fewer points in the sweep that lays out the cells**: 16 instead of 32. True error at 33 gradients against a
  reference of 200 cells, by points, 12 / 16 / 24 / 32: SimplePose (8 persons, 121 joints) 0.0743 / 0.0757 / 0.0757 /
  0.0740, BlazePose (2 persons) 0.140 / 0.134 / 0.146 / 0.135; persons differ in sign, so the layout's share is within
  the scatter.
- **The sweep in bfloat16**: left out. BlazePose's error rose by a tenth, and MobileNetV2's forward pass is slower in
  it.
- **Vmapped cotangents** (`is_grads_batched`): nothing on a CPU.
- **Several joints stacked in one backward pass**: convolutions of 8 images are as quick by image as those of 32, so on
  a CPU it is one joint at a time; on a GPU as many as its memory takes.
""".splitlines()


def faster(row: dict[str, Any], rows: list[dict[str, Any]]) -> tuple[float, float]:
    """How many times quicker than the published procedure: by person, and by labelled joint."""
    base = next(r for r in rows if r["model"] == row["model"] and r["method"] == "published")
    person = base["seconds"] / row["seconds"]
    return person, person if row["method"] == "published" else person * row["joints"] / row["all_joints"]


def peak_share(row: dict[str, Any], peaks: dict[str, float]) -> float:
    """Operations of forward and backward passes by second, over the measured peak."""
    sweep = 0 if "linear" in row["method"] or "cells" in row["method"] else ADAPTIVE_SWEEP + 1
    work = row["gflop"] * (row["evaluations"] * (1 + row["joints"]) + sweep + 2)
    return float(work / row["seconds"] / peaks[row["backward"]])


def wanted(rows: list[dict[str, Any]], peaks: dict[str, float]) -> list[str]:
    """The issue's figures beside what was reached."""

    def of(model: str, method: str) -> dict[str, Any]:
        return next(r for r in rows if r["model"] == model and r["method"] == method)

    models = list(dict.fromkeys(r["model"] for r in rows))
    trained = [m for m in models if "cosine" in of(m, "ours fast")]

    def each(figure: Any, names: list[str]) -> str:
        return ", ".join(f"{m} {figure(m)}" for m in names)

    def no_larger(m: str) -> str:
        ours, theirs = of(m, "ours fast"), of(m, "published")
        signs = (("cosine", 1), ("spearman", 1), ("d_di", -1), ("true_error", -1))
        worse = [name for name, sign in signs if sign * (ours[name] - theirs[name]) < 0]
        return f"{faster(ours, rows)[1]:.1f} x" + (f" (larger error by {', '.join(worse)})" if worse else "")

    def times(method: str, by: int) -> Any:
        return lambda m: f"{faster(of(m, method), rows)[by]:.1f} x"

    untrained = [m for m in models if m not in trained]
    table = [
        ("per labelled joint, at no larger error, bfloat16", "MobileNetV2 >= 16 x", each(no_larger, trained)),
        ("the same on random weights (time only)", "SB-R50 >= 12 x", each(times("ours fast", 1), untrained)),
        ("per person, visible joints, bfloat16", ">= 18 x", each(times("ours fast", 0), models)),
        ("per labelled joint, a CPU without bfloat16 units", ">= 9 x", each(times("ours float32", 1), models)),
        ("per labelled joint, the model as it is (`compute='exact'`)", "", each(times("ours exact", 1), models)),
        ("against Captum, linear path, same nodes", ">= 5 x",
         each(lambda m: f"{of(m, 'captum linear')['seconds'] / of(m, 'ours linear')['seconds']:.1f} x", models)),
        ("share of the GEMM peak, SB-R50", ">= 70 %",
         "; ".join(f"{r['method']} {100 * peak_share(r, peaks):.0f} %" for r in rows
                   if r["model"] == "SB-R50" and r["method"] in ("ours fast", "ours exact"))),
        ("peak memory, SB-R50", "<= 3 GiB, flat in cells",
         "; ".join(f"{r['evaluations']:.0f} cells {r['memory'] / 2**30:.2f} GiB" for r in rows
                   if r["model"] == "SB-R50" and r["method"].startswith("ours fast"))),
        ("one H200-class GPU, 6,352 persons", "<= 2 min", "see [On a GPU](#on-a-gpu)"),
    ]  # fmt: skip
    return ["| | wanted | reached |", "| --- | --- | --- |", *(f"| {a} | {b} | {c} |" for a, b, c in table)]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
