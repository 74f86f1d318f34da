"""Seconds a person of a run without maps against MMPose's own test loop: `python -m benchmarks.evaluation_speed
CONFIG CHECKPOINT`.

Both take the same persons in batches of the same size in one process, alternately, so that what else the machine does
meets both.  The time is that of the loops alone, without building model and data; ours writes its tables, MMPose's
computes its metrics.  Both load in the process itself, without workers.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from poseig_mm.compat import prepare_environment
from poseig_mm.run.open import Plugins
from poseig_mm.run.session import Session
from poseig_mm.settings import Settings


class Clock:
    """Seconds on the wall, and of the processor, between the first and the last time it is looked at."""

    def __init__(self) -> None:
        self.looks: list[tuple[float, float]] = []

    def look(self, *_: object) -> None:
        """Take the time."""
        self.looks.append((time.perf_counter(), time.process_time()))

    @property
    def spent(self) -> tuple[float, float]:
        """(wall, processor)."""
        (a, b), (c, d) = self.looks[0], self.looks[-1]
        return c - a, d - b


def without_maps(config: Config, checkpoint: str, batch_size: int, limit: int | None, folder: str) -> Any:
    """(clock of the loop, persons, mean EPE in input px)."""
    settings = Settings.parse(
        {
            "attribution": {"method": "none"},
            "samples": {"limit": limit, "batch_size": batch_size},
            "report": {"enabled": False},
        }
    )
    clock = Clock()
    session = Session(
        config, checkpoint, settings=settings, work_dir=Path(folder) / "none", plugins=Plugins(entry_points=False),
        on_progress=clock.look,
    )  # fmt: skip
    store = session.run()
    return clock, len(store), f"EPE {store.joints()['epe'].drop_nans().mean():.3f} input px"


def of_mmpose(config: Config, checkpoint: str, batch_size: int, limit: int | None, folder: str) -> Any:
    """(clock of the loop, persons, the metrics)."""
    from mmengine.runner import Runner

    config = copy.deepcopy(config)
    config.work_dir, config.load_from = str(Path(folder) / "mmpose"), checkpoint
    config.test_dataloader.update(batch_size=batch_size, num_workers=0, persistent_workers=False)
    if limit is not None:
        config.test_dataloader.dataset.indices = limit
    runner = Runner.from_cfg(config)
    runner._test_loop = runner.build_test_loop(runner._test_loop)
    runner.call_hook("before_run")
    runner.load_or_resume()
    clock = Clock()
    clock.look()
    metrics = runner.test_loop.run()
    clock.look()
    return clock, len(runner.test_loop.dataloader.dataset), metrics


def main() -> None:
    """Measure and print both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("checkpoint")
    parser.add_argument("--limit", type=int, help="persons; default: all")
    parser.add_argument("--batch-size", type=int, default=128 if torch.cuda.is_available() else 32)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    prepare_environment()
    config = Config.fromfile(options.config)
    times: dict[str, list[tuple[float, float]]] = {}
    for _ in range(options.repeats):
        for name, measure in (("without maps", without_maps), ("MMPose", of_mmpose)):
            with tempfile.TemporaryDirectory(prefix="poseig-evaluation-") as folder:
                clock, persons, result = measure(config, options.checkpoint, options.batch_size, options.limit, folder)
            wall, processor = (1000 * spent / persons for spent in clock.spent)
            times.setdefault(name, []).append((wall, processor))
            print(f"{name}: {wall:.2f} ms a person, {processor:.2f} ms of processor, {persons} persons, {result}")
    for kind, which in (("wall", 0), ("processor", 1)):
        ours, theirs = ([spent[which] for spent in times[name]] for name in ("without maps", "MMPose"))
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        print(
            f"{kind}, median: {statistics.median(ours):.2f} and {statistics.median(theirs):.2f} ms a person; ratio "
            f"{statistics.median(ratios):.2f} (of {len(ratios)} pairs, {min(ratios):.2f} to {max(ratios):.2f}), "
            f"batches of {options.batch_size}, {torch.get_num_threads()} threads"
        )


if __name__ == "__main__":
    main()
