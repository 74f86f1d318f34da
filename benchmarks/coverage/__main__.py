"""`python -m benchmarks.coverage`: try every config that MMPose ships, and write docs/coverage.md."""

from __future__ import annotations

import argparse
import fnmatch
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .trial import Trial

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, try, write; 0 where every config that has a model could be diagnosed."""
    parser = argparse.ArgumentParser("python -m benchmarks.coverage", description=__doc__)
    parser.add_argument(
        "--work-dir", type=Path, default=Path("work_dirs/coverage"), help="results; what is there is kept"
    )
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="every N-th config, from the I-th on")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="configs whose path matches, e.g. '*rtmo*'")
    parser.add_argument("--retry", action="store_true", help="try again those that could not be diagnosed")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds a config may take (default: 900)")
    parser.add_argument("--table", type=Path, help="write this Markdown page of all results in the work dir")
    options = parser.parse_args(argv)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from poseig_mm.compat import prepare_environment

    prepare_environment()
    import mmpose.models  # once, before the processes are forked
    import torch

    from .runs import read_results, try_all
    from .table import coverage_page
    from .trial import configs

    wanted = {name: path for name, path in configs().items() if fnmatch.fnmatch(name, options.only)}
    if not wanted:
        parser.error(f"no config matches {options.only!r}")
    try:
        number, _, shards = options.shard.partition("/")
        shard = int(number), int(shards)
    except ValueError:
        parser.error(f"--shard is {options.shard!r}; expected I/N, e.g. 1/2")
    started = time.perf_counter()

    def show(done: int, total: int, name: str, trial: Trial | None) -> None:
        left = (time.perf_counter() - started) / done * (total - done)
        outcome = "no model" if trial is None else trial.reason or f"{trial.adapter}, {trial.seconds:.1f} s"
        print(f"[{done}/{total}, {left / 60:.0f} min left] {name}: {outcome}", flush=True)

    try_all(wanted, options.work_dir, shard=shard, retry=options.retry, timeout=options.timeout, on_progress=show)
    results = {name: trial for name, trial in sorted(read_results(options.work_dir).items()) if name in wanted}
    if options.table:
        where = f"MMPose {mmpose.__version__}, torch {torch.__version__}, {platform.machine()}"
        options.table.write_text(
            coverage_page(results, f"Measured with {where}, one thread a process."),
            encoding="utf-8",
        )
        print(f"page: {options.table}")
    bad = [trial for trial in results.values() if trial is not None and trial.reason]
    good = sum(trial is not None for trial in results.values()) - len(bad)
    print(f"{good} of {good + len(bad)} configs with a model were diagnosed")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
