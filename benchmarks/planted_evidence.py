"""Methods and diagnoses against evidence that is known, on synthetic figures: writes docs/planted_evidence.md.

    python -m benchmarks.planted_evidence [--figures 96] [--runs 8] [--persons 16] [--only maps|causes|page]

Every part (a model's map by a method, a diagnosis) is kept in the work dir and not computed again while its settings
and weights are the same; what was stopped goes on with the same command.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.planted import causes, figures, maps
from benchmarks.planted.results import cached, file_hash, file_stem
from poseig_mm.store import Store

PARTS = ("maps", "causes", "page")


def measure_maps(variant: str, options: argparse.Namespace) -> None:
    """Every method's scores, and the removal; the model is loaded only where something is missing."""
    checkpoint = options.checkpoints / f"{variant}_heatmap.pth"
    about = {"weights": file_hash(checkpoint), "figures": options.figures, "split": options.split}
    case: figures.Case | None = None

    def opened() -> figures.Case:
        nonlocal case
        case = case or figures.Case(variant, options.figures, options.split, checkpoint)
        return case

    folder = options.work_dir / options.split / "maps"
    cached(folder / f"{variant}-removal.json", about, lambda: maps.removal(opened()))
    for method, settings in maps.METHODS.items():
        started = time.perf_counter()
        cached(
            folder / f"{variant}-{file_stem(method)}.json",
            {**about, **settings},
            lambda m=method: maps.score(opened(), m),
        )
        print(f"{variant}: {method} ({time.perf_counter() - started:.0f} s)", flush=True)


def measure_causes(variant: str, options: argparse.Namespace) -> None:
    """All runs of a variant's model."""
    checkpoint = options.checkpoints / f"{variant}_heatmap.pth"
    about = {"weights": file_hash(checkpoint), "persons": options.persons, "split": options.split}
    for run in range(options.runs):
        folder = options.work_dir / options.split / "runs" / f"{variant}-{run}"
        cached(
            folder.with_suffix(".json"), about,
            lambda r=run, f=folder: causes.diagnose(
                variant, r, options.persons, split=options.split, checkpoint=checkpoint, folder=f
            ),
        )  # fmt: skip
        print(
            f"{variant}, run {run}: {': '.join(causes.named(causes.rows_of(Store(folder), variant, options.split)))}",
            flush=True,
        )


def main() -> int:
    """Measure what is missing, then write the page and its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figures", type=int, default=96, help="held-out figures for the maps, a model")
    parser.add_argument("--runs", type=int, default=8, help="diagnoses a model")
    parser.add_argument("--persons", type=int, default=16, help="figures in a diagnosis")
    parser.add_argument("--split", default="test", choices=["test", "val"], help="val: while thresholds are chosen")
    parser.add_argument("--variants", nargs="+", default=list(causes.TRUTH), choices=list(causes.TRUTH))
    parser.add_argument("--checkpoints", type=Path, default=figures.checkpoints())
    parser.add_argument("--work-dir", type=Path, default=figures.ROOT / "work_dirs" / "planted_evidence")
    parser.add_argument("--only", nargs="+", default=list(PARTS), choices=PARTS)
    options = parser.parse_args()
    for variant in options.variants:
        if "maps" in options.only and variant in figures.VARIANTS:
            measure_maps(variant, options)
    for variant in options.variants:
        if "causes" in options.only:
            measure_causes(variant, options)
    if "page" in options.only:
        from benchmarks.planted.page import write

        print(write(options.work_dir, options.checkpoints, options.split))
    return 0


if __name__ == "__main__":
    sys.exit(main())
