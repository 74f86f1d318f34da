"""How far the errors that a run states are from the true ones, by number of gradients, on two trained models.

    python -m benchmarks.map_error [--persons 3] [--cells 144]
    python -m benchmarks.map_error --tables  # of the rows that are there

The truth is our own adaptive rule with that many cells, in float32 without reduced products.  Writes the rows to
docs/figures/map_error_by_gradients.csv (one a model, person, joint and rule) and prints the tables of docs/trust.md,
with the factors that `functional/error_calibration.py` holds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import polars as pl

ROWS = Path(__file__).resolve().parents[1] / "docs" / "figures" / "map_error_by_gradients.csv"
RULES = ((8, 8), (16, 16), (16, 33), (48, 48), (32, 65))  # gradients of the first pass, and at most
INDICES = ("di", "fi", "li")


def measure(model: str, persons: int, cells: int) -> list[dict[str, Any]]:
    """One row a person, joint and rule: estimates and true errors of the map, of the map at 2 px, of the indices."""
    import torch

    from benchmarks import methods
    from benchmarks.models import load
    from poseig_mm.attribution.acceleration import accelerate
    from poseig_mm.functional import diffusion_index, foreground_index, gaussian_heatmaps, locality_index
    from poseig_mm.functional.maps import half_rule_distance

    case = load(model, persons)
    adapter: Any = case.adapter
    rows = []
    with adapter.frozen():
        exact = accelerate(adapter, case.images[:2], backward_dtype="float32")
        fast = accelerate(adapter, case.images[:2])
        for i in range(len(case.images)):
            image, keypoints = case.images[i : i + 1], case.keypoints[i : i + 1]
            heat = gaussian_heatmaps(keypoints, (image.shape[2], image.shape[3]))
            mask = torch.zeros_like(image[:, :1]).bool() if case.mask is None else case.mask[i : i + 1]

            def indices(
                maps: torch.Tensor, mask: torch.Tensor = mask, heat: torch.Tensor = heat
            ) -> dict[str, torch.Tensor]:
                """(K,) each."""
                values = (diffusion_index(maps), foreground_index(maps, mask), locality_index(maps, heat))
                return dict(zip(INDICES, (v[0] for v in values), strict=True))

            reference = methods.ours(exact, image, keypoints, nodes=cells, max_nodes=cells, tol=0.0).maps
            true = indices(reference)
            for first, most in RULES:
                a = methods.ours(fast, image, keypoints, nodes=first, max_nodes=most, tol=0.0, halves=True)
                assert a.halves is not None
                assert a.map_error_2px is not None
                whole, even, odd = indices(a.maps), indices(a.halves[:, 0]), indices(a.halves[:, 1])
                away = [half_rule_distance(a.maps, reference, scale)[0] for scale in (0.0, 2.0)]
                for k in keypoints[0].isfinite().all(-1).nonzero().flatten().tolist():
                    row = {"model": model, "person": i, "joint": k, "gradients": int(a.evaluations[0, k])}
                    row |= {"map_error": a.map_error[0, k].item(), "map_error_true": away[0][k].item()}
                    row |= {"map_error_2px": a.map_error_2px[0, k].item(), "map_error_2px_true": away[1][k].item()}
                    for name in INDICES:
                        row[name] = true[name][k].item()
                        row[f"{name}_error"] = abs(even[name][k].item() - odd[name][k].item()) / 2
                        row[f"{name}_error_true"] = whole[name][k].item() - true[name][k].item()
                    rows.append(row)
            print(f"{model}: person {i + 1} of {len(case.images)}", flush=True)
    return rows


def factor(rows: pl.DataFrame, estimate: str) -> float:
    """Mean true error over mean estimate, of the rows that have both."""
    known = rows.select(pl.col(estimate), pl.col(f"{estimate}_true").abs().alias("true")).filter(
        pl.all_horizontal(pl.all().is_finite())
    )
    return float(known["true"].sum() / known[estimate].sum())


def factor_table(rows: pl.DataFrame) -> list[str]:
    """True error over estimate by number of gradients, on each model and both; how often twice the error suffices."""
    names = ("map_error", "map_error_2px", *(f"{name}_error" for name in INDICES))
    lines = [f"| model | gradients | joints | {' | '.join(names)} |", "| --- | ---: | ---: |" + " ---: |" * len(names)]
    models = [*rows["model"].unique(maintain_order=True), "both"]
    for model in models:
        of_model = rows if model == "both" else rows.filter(pl.col("model") == model)
        for (gradients,), some in of_model.group_by("gradients", maintain_order=True):
            cells = " | ".join(f"{factor(some, name):.2f}" for name in names)
            lines.append(f"| {model} | {gradients} | {len(some)} | {cells} |")
    return lines


def within_twice(rows: pl.DataFrame) -> list[str]:
    """Of each index: its mean true error, in per cent of the index too, and in how many joints it is in twice the
    stated one.
    """
    lines = ["| gradients | index | mean error | of the index (%) | within the stated (%) | within twice (%) |",
             "| ---: | --- | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for (gradients,), some in rows.group_by("gradients", maintain_order=True):
        for name in INDICES:
            both = some.select(name, pl.col(f"{name}_error_true").abs().alias("true"), f"{name}_error").filter(
                pl.all_horizontal(pl.all().is_finite())
            )
            stated = both[f"{name}_error"] * factor(some, f"{name}_error")
            share = [100 * (both["true"] <= times * stated).mean() for times in (1, 2)]  # type: ignore[operator]
            relative = 100 * (both["true"] / both[name]).median()  # type: ignore[operator]
            cells = (f"{both['true'].mean():.3f}", f"{relative:.1f}", *(f"{s:.0f}" for s in share))
            lines.append(f"| {gradients} | {name} | {' | '.join(cells)} |")
    return lines


def stopping_table(rows: pl.DataFrame) -> list[str]:
    """What some tolerances cost and leave: 16 gradients, or 33, or 65."""
    shown = ("map_error_true", "map_error_2px_true", *(f"{name}_error_true" for name in INDICES))
    lines = ["| model | tol of | tol | gradients, median | mean | map | at 2 px | DI | FI | LI |",
             "| --- | --- | ---: |" + " ---: |" * 7]  # fmt: skip
    for (model,), some in rows.group_by("model", maintain_order=True):
        rules = {n: some.filter(pl.col("gradients") == n).sort("person", "joint") for n in (16, 33, 65)}
        for column, tol in (("map_error", 0.3), *(("map_error_2px", t) for t in (0.1, 0.15, 0.2, 0.25))):
            kept: list[dict[str, Any]] = []
            for joint in zip(*(rule.iter_rows(named=True) for rule in rules.values()), strict=True):
                kept.append(next((row for row in joint if row[column] <= tol), joint[-1]))
            frame = pl.DataFrame(kept)
            cells = [f"{float(frame[name].fill_nan(None).abs().mean() or 0):.3f}" for name in shown]  # type: ignore[arg-type]
            spent = frame["gradients"]
            lines.append(
                f"| {model} | {column} | {tol} | {spent.median():.0f} | {spent.mean():.1f} | {' | '.join(cells)} |"
            )
    return lines


def main() -> int:
    """Measure, write the rows, print the tables."""
    from benchmarks.models import TRAINED

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--persons", type=int, default=3)
    parser.add_argument("--cells", type=int, default=144)
    parser.add_argument("--models", nargs="+", default=list(TRAINED), choices=TRAINED)
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--tables", action="store_true", help="only print the tables")
    options = parser.parse_args()
    if options.tables:
        rows = pl.read_csv(options.rows)
        for table in (factor_table(rows), within_twice(rows), stopping_table(rows)):
            print("\n".join(table), end="\n\n")
        return 0
    rows = pl.DataFrame([row for model in options.models for row in measure(model, options.persons, options.cells)])
    options.rows.parent.mkdir(parents=True, exist_ok=True)
    rows.write_csv(options.rows, float_precision=6)
    return 0


if __name__ == "__main__":
    sys.exit(main())
