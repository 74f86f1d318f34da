"""How far the errors that a run states are from the true ones, by number of gradients, on two trained models.

    python -m benchmarks.map_error [--persons 3] [--cells 144] [--again]

The truth is our own adaptive rule with that many cells, in float32 without reduced products.  Writes the rows to
docs/figures/map_error_by_gradients.csv (one a model, person, joint and rule) and prints the tables of docs/trust.md:
what `functional/error_calibration.py` holds.
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


def main() -> int:
    """Measure, write the rows, print the tables."""
    from benchmarks.models import TRAINED

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--persons", type=int, default=3)
    parser.add_argument("--cells", type=int, default=144)
    parser.add_argument("--models", nargs="+", default=list(TRAINED), choices=TRAINED)
    parser.add_argument("--rows", type=Path, default=ROWS)
    options = parser.parse_args()
    rows = pl.DataFrame([row for model in options.models for row in measure(model, options.persons, options.cells)])
    options.rows.parent.mkdir(parents=True, exist_ok=True)
    rows.write_csv(options.rows, float_precision=6)
    return 0


if __name__ == "__main__":
    sys.exit(main())
