"""Persons a second of one process against two, threads fixed: `python -m benchmarks.processes CONFIG CHECKPOINT`.

Runs alternate (1, 2, 1, 2, ...), so that what else the machine does meets both; the time is that of the loop over
persons alone, the slowest rank's, without loading MMPose.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGES = ("load", "prediction", "attribution", "indices", "store")  # of run.json's timings


def measure(config: str, checkpoint: str, persons: int, processes: int, threads: int) -> float:
    """Seconds of the slowest rank."""
    line = [sys.executable]
    if processes > 1:
        line += ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--standalone"]
    with tempfile.TemporaryDirectory(prefix="poseig-processes-") as folder:
        line += [str(ROOT / "tools" / "diagnose.py"), config, checkpoint, "--work-dir", folder, "--device", "cpu"]
        line += ["--limit", str(persons), "--cfg-options", "diagnosis.report.enabled=False"]
        if processes > 1:
            line += ["--launcher", "pytorch"]
        env = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        subprocess.run(line, check=True, env=env, capture_output=True)
        runs = [json.loads(path.read_text()) for path in Path(folder).glob("run*.json")]
    assert len(runs) == processes, runs
    return max(sum(run["timings"].get(stage, 0.0) for stage in STAGES) for run in runs)


def main() -> None:
    """Measure and print persons a second, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("checkpoint")
    parser.add_argument("--persons", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    options = parser.parse_args()
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(options.repeats):
        for processes, times in seconds.items():
            times.append(measure(options.config, options.checkpoint, options.persons, processes, options.threads))
            print(f"{processes} process(es): {options.persons / times[-1]:.3f} persons/s", flush=True)
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    rates = {n: options.persons / statistics.median(times) for n, times in seconds.items()}
    print(
        f"median: {rates[1]:.3f} and {rates[2]:.3f} persons/s; ratio {statistics.median(ratios):.2f} "
        f"(of {len(ratios)} pairs, {min(ratios):.2f} to {max(ratios):.2f}); {options.threads} thread(s) a process"
    )


if __name__ == "__main__":
    main()
