"""What a person's attribution costs and how true it is, side by side; writes docs/performance.md.

    python -m benchmarks.attribution [--persons 2] [--quick] [--models SB-R50 ...]

Each (model, method) is measured in a process of its own, one after the other; ratios are of one run on one machine.
Models with random weights are timed only, and the published procedure on them by 2 of its 50 steps, Captum's by 2 of
its joints: their cost is linear in both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NODES = 24  # of Captum's and our linear path
SPENT = {"nodes": 16, "max_nodes": 33, "tol": 0.0}  # on random weights: the gradients that trained models take
REFERENCE_CELLS = 400
METHODS = (
    "published",
    "captum linear",
    "ours linear",
    "PAIR blur",
    "ours exact",
    "ours float32",
    "ours fast",
    "ours fast, 128 cells",
)
TRAINED_ONLY = ("PAIR blur",)
ONE_MODEL_ONLY = {"ours fast, 128 cells": "SB-R50"}  # whether memory grows with the cells


def main() -> int:
    """Measure everything, or one (model, method) in a child process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--persons", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="SB-R50 and the trained COCO model only")
    parser.add_argument("--models", nargs="+", help="these alone")
    parser.add_argument("--rows", type=Path, help="file of rows, one a line: what it holds is kept, the rest is added")
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "METHOD", "REFERENCE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one, persons=options.persons)))
        return 0
    from benchmarks.models import RANDOM, TRAINED
    from benchmarks.performance_page import page

    models = options.models or (["SB-R50", TRAINED[0]] if options.quick else [*RANDOM, *TRAINED])
    kept = [json.loads(line) for line in options.rows.read_text().splitlines()] if options.rows else []
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            persons = options.persons if model in TRAINED else 1  # random weights are only timed
            methods = [m for m in METHODS if wanted_of(m, model, model in TRAINED)]
            done_before = {m: row for m in methods for row in kept if (row["model"], row["method"]) == (model, m)}
            reference = str(Path(folder) / f"{model.replace(' ', '_')}.pt")
            if model in TRAINED and len(done_before) < len(methods):
                child(model, "reference", reference, persons)
            for method in methods:
                rows.append(done_before.get(method) or child(model, method, reference, persons))
                if method not in done_before:
                    print(json.dumps(rows[-1]), flush=True)
    peaks = json.loads(subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True).stdout)
    (ROOT / "docs" / "performance.md").write_text(page(rows, peaks, options.persons))
    return 0


def wanted_of(method: str, model: str, trained: bool) -> bool:
    """Whether this method is measured on this model."""
    return (trained or method not in TRAINED_ONLY) and ONE_MODEL_ONLY.get(method, model) == model


PEAK = """
import json, time, torch
def peak(dtype, n=2048):
    a, b = torch.randn(n, n, dtype=dtype), torch.randn(n, n, dtype=dtype)
    best = 0
    for _ in range(8):
        t = time.perf_counter(); a @ b; best = max(best, 2 * n**3 / (time.perf_counter() - t))
    return best / 1e9
print(json.dumps({'float32': peak(torch.float32), 'bfloat16': peak(torch.bfloat16)}))
"""


def child(model: str, method: str, reference: str, persons: int) -> dict[str, Any]:
    """One measurement in its own process."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.attribution",
        "--persons",
        str(persons),
        "--one",
        model,
        method,
        reference,
    ]
    # All methods wait as the command line does.  Threads that sleep at once would cost the published procedure, which
    # has the most small operators, three times its seconds on MobileNetV2, and flatter ours.
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"} | {"GOMP_SPINCOUNT": "20000"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{model}, {method}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(model: str, method: str, reference: str, persons: int) -> dict[str, Any]:
    """Seconds a person, and against the reference where the model is trained."""
    import torch

    from benchmarks import methods
    from benchmarks.models import load
    from poseig_mm.attribution.acceleration import accelerate
    from poseig_mm.run.process import keep_freed_memory, peak_memory

    if "ours" in method:
        keep_freed_memory()  # as the command line does
    case = load(model, persons)
    adapter: Any = case.adapter
    joints = case.keypoints.isfinite().all(-1)
    row: dict[str, Any] = {"model": model, "method": method, "joints": joints.sum(1).double().mean().item()}
    row["all_joints"] = joints.shape[1]
    with adapter.frozen():
        compute = "exact" if method in ("ours exact", "reference") else "fast"
        dtype = "float32" if method == "ours float32" else "auto"
        engine = accelerate(adapter, case.images[:1], compute=compute, backward_dtype=dtype)
        settings: dict[str, Any] = {}
        if method == "reference":
            engine = accelerate(adapter, case.images[:1], backward_dtype="float32")  # folded: exact to rounding
            settings = {"nodes": REFERENCE_CELLS, "max_nodes": REFERENCE_CELLS, "tol": 0.0}
        elif method == "ours linear":
            settings = {"path": "linear", "quadrature": "midpoint", "nodes": NODES}
        elif method == "ours fast, 128 cells":
            settings = {"quadrature": "midpoint", "nodes": 128}
        elif method.startswith("ours") and not case.trained:
            settings = SPENT
        maps, seconds, evaluations, errors, residuals = [], 0.0, [], [], []
        for i in range(persons):
            image, keypoints = case.images[i : i + 1], case.keypoints[i : i + 1]
            scale, started = 1.0, time.perf_counter()
            if method == "published":
                run = None if case.trained else 2
                scale = 1.0 if run is None else 50 / run
                maps.append(methods.published(adapter, image, keypoints, run=run))
                evaluations.append(50.0)
            elif method == "captum linear":
                some = keypoints.clone()
                some[:, joints[i].nonzero().flatten()[2:]] = torch.nan
                scale = joints[i].sum().item() / 2
                maps.append(methods.captum_linear(adapter, image, some, NODES))
                evaluations.append(float(NODES))
            elif method == "PAIR blur":
                maps.append(methods.pair_blur(adapter, image, keypoints))
                evaluations.append(50.0)
            else:
                attribution = methods.ours(engine, image, keypoints, **settings)
                maps.append(attribution.maps)
                evaluations.append(attribution.evaluations[joints[i : i + 1]].double().mean().item())
                errors.append(attribution.map_error[joints[i : i + 1]].mean().item())
                residuals.append(attribution.residual_rel[joints[i : i + 1]].median().item())
            seconds += (time.perf_counter() - started) * scale
    found_maps = torch.cat(maps)
    if method == "reference":
        torch.save(found_maps, reference)
    elif case.trained and "linear" not in method:
        row |= compare(found_maps, torch.load(reference), case)
    row |= {"seconds": seconds / persons, "evaluations": sum(evaluations) / persons}
    row |= {"map_error": sum(errors) / persons if errors else None}
    row |= {"residual": sum(residuals) / persons if residuals else None}
    row |= {"backward": engine.backward_dtype if "ours" in method else "float32", "memory": peak_memory()["cpu"]}
    row |= {"gflop": forward_gflop(adapter, case.images[:1])}
    return row


def compare(maps: Any, reference: Any, case: Any) -> dict[str, float]:
    """Means over visible joints against the reference's maps."""
    import torch
    from scipy.stats import spearmanr

    from poseig_mm.functional import diffusion_index, foreground_index, gaussian_heatmaps, locality_index

    keypoints, mask = case.keypoints, case.mask
    seen = keypoints.isfinite().all(-1)
    a, b = maps.flatten(2)[seen].double(), reference.flatten(2)[seen].double()
    heat = gaussian_heatmaps(keypoints, tuple(maps.shape[2:]))
    ranks = [float(spearmanr(x, y)[0]) for x, y in zip(a, b, strict=True)]
    return {
        "cosine": torch.cosine_similarity(a, b, dim=1).mean().item(),
        "spearman": sum(ranks) / len(ranks),
        "d_di": (diffusion_index(maps) - diffusion_index(reference))[seen].abs().mean().item(),
        "d_fi": (foreground_index(maps, mask) - foreground_index(reference, mask))[seen].abs().mean().item(),
        "d_li": (locality_index(maps, heat) - locality_index(reference, heat))[seen].abs().mean().item(),
        "true_error": ((a / a.sum(1, keepdim=True) - b / b.sum(1, keepdim=True)).abs().sum(1) / 2).mean().item(),
    }


def forward_gflop(adapter: Any, image: Any) -> float:
    """Floating point operations of one image's forward pass; a backward pass to the input costs as many."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        adapter(image)
    return counter.get_total_flops() / 1e9


if __name__ == "__main__":
    sys.exit(main())
