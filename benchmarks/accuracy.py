"""Accuracy against cost, and the map error estimate against the true error, on two trained models.

    python -m benchmarks.accuracy [--persons 2] [--cells 400]

The truth is our own adaptive cells, that many, in float32 without reduced products.  Writes docs/figures/accuracy.svg
and docs/figures/map_error.svg, and the rows behind them to docs/figures/accuracy.csv; `benchmarks.attribution` puts the
summary on docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import polars as pl

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "figures"
# name -> settings of path_attribution; `max_nodes` = `nodes` + ... stops the refinement after so many passes
FIXED = {f"left rule, {n} cells": {"quadrature": "riemann_left", "nodes": n} for n in (16, 32, 50, 100)}
ADAPTIVE = {
    f"adaptive, {first} first, {most} at most": {"nodes": first, "max_nodes": most, "tol": 0.0}
    for first, most in ((8, 8), (12, 12), (16, 16), (24, 24), (8, 17), (12, 25), (16, 33), (24, 49), (12, 49))
}
DEFAULT = {"adaptive, as shipped": dict[str, Any]()}


def measure(model: str, persons: int, cells: int) -> list[dict[str, Any]]:
    """One row a method, person and joint."""
    import torch
    from scipy.stats import spearmanr

    from benchmarks import methods
    from benchmarks.models import load
    from poseig_mm.attribution.acceleration import accelerate
    from poseig_mm.functional import diffusion_index, gaussian_heatmaps, locality_index

    case = load(model, persons)
    adapter: Any = case.adapter
    rows = []
    with adapter.frozen():
        exact = accelerate(adapter, case.images[:2], backward_dtype="float32")
        fast = accelerate(adapter, case.images[:2])
        for i in range(persons):
            image, keypoints = case.images[i : i + 1], case.keypoints[i : i + 1]
            reference = methods.ours(exact, image, keypoints, nodes=cells, max_nodes=cells, tol=0.0).maps
            heat = gaussian_heatmaps(keypoints, (image.shape[2], image.shape[3]))
            for name, settings in {**FIXED, **ADAPTIVE, **DEFAULT}.items():
                attribution = methods.ours(fast, image, keypoints, **settings)
                for k in keypoints[0].isfinite().all(-1).nonzero().flatten().tolist():
                    a, b = (m[0, k].flatten().double() for m in (attribution.maps, reference))
                    pair = [m[:, k : k + 1] for m in (attribution.maps, reference)]
                    di = [diffusion_index(m).item() for m in pair]
                    li = [locality_index(m, heat[:, k : k + 1]).item() for m in pair]
                    rows.append(
                        {
                            "model": model, "method": name, "person": i, "joint": k,
                            "gradients": int(attribution.evaluations[0, k]),
                            "map_error": attribution.map_error[0, k].item(),
                            "true_error": ((a / a.sum() - b / b.sum()).abs().sum() / 2).item(),
                            "cosine": torch.cosine_similarity(a, b, dim=0).item(),
                            "spearman": float(spearmanr(a, b)[0]),
                            "d_di": abs(di[0] - di[1]), "d_li": abs(li[0] - li[1]),
                            "residual_rel": attribution.residual_rel[0, k].item(),
                        }
                    )  # fmt: skip
            print(f"{model}: person {i + 1} of {persons}", flush=True)
    return rows


def calibration(rows: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Of the shipped rule, by model: rank correlation of estimate (and residual) with the true error, and their
    ratio.
    """
    from scipy.stats import spearmanr

    by_model = {}
    for (model,), frame in rows.filter(pl.col("method") == "adaptive, as shipped").group_by(
        "model", maintain_order=True
    ):
        ratio = (frame["true_error"] / frame["map_error"]).to_numpy()
        by_model[str(model)] = {
            "joints": float(len(frame)),
            "rank correlation of map_error": float(spearmanr(frame["map_error"], frame["true_error"])[0]),
            "rank correlation of the residual": float(spearmanr(frame["residual_rel"], frame["true_error"])[0]),
            "true error / map_error": float(ratio.mean()),
            "its 5 % quantile": float(pl.Series(ratio).quantile(0.05) or 0),
            "its 95 % quantile": float(pl.Series(ratio).quantile(0.95) or 0),
        }
    return by_model


def summary() -> list[str]:
    """The part of docs/performance.md on accuracy, from the rows that the last run left."""
    path = FIGURES / "accuracy.csv"
    if not path.is_file():
        return []
    rows = pl.read_csv(path)
    numbers = ("gradients", "cosine", "spearman", "d_di", "d_li", "true_error", "map_error", "residual_rel")
    means = rows.group_by("model", "method", maintain_order=True).agg(pl.col(numbers).mean())
    lines = [
        "## Accuracy against cost", "",
        "![true map error against gradients a joint](figures/accuracy.svg)", "",
        "Means over joints; the truth is the adaptive rule with as many cells as `benchmarks/accuracy.py` was told "
        "(400 by default), in float32.", "",
        "| model | method | " + " | ".join(numbers) + " |", "| --- | --- |" + " ---: |" * len(numbers),
    ]  # fmt: skip
    for row in means.iter_rows(named=True):
        cells = [f"{row[n]:.1f}" if n == "gradients" else f"{row[n]:.3f}" for n in numbers]
        lines.append(f"| {row['model']} | {row['method']} | " + " | ".join(cells) + " |")
    lines += [
        "", "## How far `map_error` can be trusted", "",
        "![true map error against the estimate](figures/map_error.svg)", "",
        "Over the joints of the shipped rule, each with its own estimate:", "",
    ]  # fmt: skip
    by_model = calibration(rows)
    lines += ["| | " + " | ".join(by_model) + " |", "| --- |" + " ---: |" * len(by_model)]
    for name in next(iter(by_model.values())):
        digits = 0 if name == "joints" else 2
        lines.append(f"| {name} | " + " | ".join(f"{about[name]:.{digits}f}" for about in by_model.values()) + " |")
    return lines


def draw(rows: pl.DataFrame) -> None:
    """Both figures."""
    from poseig_mm.plotting.figures import MARKERS, PALETTE, figure_style, new_figure

    FIGURES.mkdir(parents=True, exist_ok=True)
    models = rows["model"].unique(maintain_order=True).to_list()
    means = rows.group_by("model", "method", maintain_order=True).agg(
        pl.col("gradients", "true_error", "cosine").mean()
    )
    with figure_style():
        figure, axes = new_figure(4.2 * len(models), 3.6, 1, len(models), sharey=True)
        for axis, model in zip(axes, models, strict=True):
            here = means.filter(pl.col("model") == model)
            kinds = {"published: left rule": FIXED, "adaptive, limits": ADAPTIVE, "adaptive, as shipped": DEFAULT}
            for i, (label, methods) in enumerate(kinds.items()):
                some = here.filter(pl.col("method").is_in(list(methods))).sort("gradients")
                line = "-" if i == 0 else "none"
                axis.plot(
                    some["gradients"], some["true_error"], color=PALETTE[i], marker=MARKERS[i], ls=line, label=label
                )
            axis.set_xscale("log", base=2)
            axis.set_xticks([8, 16, 32, 64, 100], ["8", "16", "32", "64", "100"])
            axis.set_title(str(model))
            axis.set_xlabel("gradients a joint")
        axes[0].set_ylabel("true map error (half L1)")
        axes[0].legend()
        figure.savefig(FIGURES / "accuracy.svg", metadata={"Date": None})
        figure, axes = new_figure(4.2 * len(models), 3.8, 1, len(models), sharey=True)
        shipped = rows.filter(pl.col("method") == "adaptive, as shipped")
        for axis, model, about in zip(axes, models, calibration(rows).values(), strict=True):
            here = shipped.filter(pl.col("model") == model)
            axis.plot(here["map_error"], here["true_error"], MARKERS[0], color=PALETTE[0], ms=4, alpha=0.8)
            end = float(here["map_error"].max() or 1)
            axis.plot([0, end], [0, about["true error / map_error"] * end], color="#444", lw=1, ls="--")
            axis.set_title(f"{model}: rank correlation {about['rank correlation of map_error']:.2f}")
            axis.set_xlabel("map_error, as every row has it")
        axes[0].set_ylabel("true map error (half L1)")
        figure.savefig(FIGURES / "map_error.svg", metadata={"Date": None})


def main() -> int:
    """Measure, write the rows, draw."""
    from benchmarks.models import TRAINED

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--persons", type=int, default=2)
    parser.add_argument("--cells", type=int, default=400)
    options = parser.parse_args()
    rows = pl.DataFrame([row for model in TRAINED for row in measure(model, options.persons, options.cells)])
    FIGURES.mkdir(parents=True, exist_ok=True)
    rows.write_csv(FIGURES / "accuracy.csv", float_precision=5)
    draw(rows)
    print(rows.group_by("model", "method", maintain_order=True).agg(pl.exclude("person", "joint").mean()))
    print(calibration(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
