"""Runs a small diagnosis again and again, each time killed (SIGKILL) at another file operation, and resumes it.

A process of its own: it forks a child a run, which is fast, and safe only while the parent has not used polars.
Usage: kill_driver.py DIRECTORY MODE FIRST STEP (which operations, besides all unlinks); prints one JSON object.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
from store_samples import IDENTITY, make_record

from poseig_mm.store import Store, StoreWriter
from poseig_mm.types import Failure

OPERATIONS = ("open", "write", "fsync", "replace", "unlink", "mkdir", "ftruncate")
BATCHES = (("s0", "s1"), ("s2", "s3"), ("s4", "s5"))
MEPE = {"s0": 3.0, "s1": 1.0, "s2": 5.0, "s3": 0.5, "s4": 4.0, "s5": float("nan")}
count = 0
names: list[str] = []


def arm(kill_at: int | None) -> None:
    """Die before file operation number `kill_at`; a write is cut in the middle."""

    def wrap(name: str) -> Any:
        original = getattr(os, name)

        def operation(*args: Any, **kwargs: Any) -> Any:
            global count
            count += 1
            names.append(name)
            if count - 1 == kill_at:
                if name == "write":
                    original(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        return operation

    for name in OPERATIONS:
        setattr(os, name, wrap(name))


def diagnose(work_dir: Path, mode: str, resume: bool, progress: Path | None) -> None:
    """What a session does, with every batch flushed so that it is known what must be on disk."""
    with StoreWriter(work_dir, identity=IDENTITY, resume=resume, maps=mode, worst=2) as writer:
        for batch in BATCHES:
            todo = [i for i in batch if i not in writer.done]
            if batch == BATCHES[1]:
                writer.record_failure(Failure("sample", "cannot be read", "DataError", sample_id="s9"))
                writer.record_failure(Failure("plugin", "is broken", "ValueError", plugin="p"))
            for sample_id in todo:
                writer.write_study("st", [{"sample_id": sample_id, "x": MEPE[sample_id]}])
            writer.write([make_record(i, mepe=MEPE[i]) for i in todo])
            writer.flush()
            if progress is not None:
                with progress.open("a") as file:
                    file.write("\n".join(todo) + "\n")
        writer.write_study("whole", [{"n": 6}], replace_all=True)


def describe(work_dir: Path) -> dict[str, Any]:
    """Everything a reader can see, in a form that can be compared."""
    store = Store(work_dir)
    tables = {
        "joints": store.joints().sort("sample_id", "joint"),
        "samples": store.samples().drop("maps_file").sort("sample_id"),
        "relations": store.relations().sort("sample_id", "joint", "other"),
        "study": store.study("st").sort("sample_id"),
        "whole": store.study("whole"),
    }
    maps = {i: None if (m := store.map(i)) is None else [str(m.shape), str(np.nansum(m))] for i in store.sample_ids}
    pictures = {i: None if (d := store.display(i)) is None else int(d.sum()) for i in store.sample_ids}
    named = {p for p in store.samples()["maps_file"].to_list() if p and (work_dir / p).exists()}
    return {
        **{name: repr(table.rows()) for name, table in tables.items()},
        "maps": dict(sorted(maps.items())),
        "pictures": dict(sorted(pictures.items())),
        "run": {k: store.run[k] for k in ("status", "counts", "failure_counts")},
        "failures": [sorted(f["message"] for f in store.run["failures"]), sorted(f.message for f in store.failures)],
        "waste": sorted(str(p.relative_to(work_dir)) for p in work_dir.rglob(".part*"))
        + sorted(str(p.relative_to(work_dir)) for p in (work_dir / "maps").iterdir() if f"maps/{p.name}" not in named),
        "pictures kept": len(list((work_dir / "displays").iterdir())),
    }


def child(action: Any, report: Path | None = None) -> int:
    """Run `action` in a forked process; its exit status. What it returns is written to `report`."""
    pid = os.fork()
    if pid == 0:
        try:
            result = action()
            if report is not None:
                report.write_text(json.dumps(result))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def attempt(work_dir: Path, mode: str, kills: list[int], report: Path) -> str:
    """A run killed at each of `kills` in turn, then one that ends; '' or what is wrong with it."""
    progress = work_dir.with_suffix(".progress")
    progress.unlink(missing_ok=True)
    shutil.rmtree(work_dir, ignore_errors=True)

    def killed(kill_at: int, resume: bool) -> int:
        arm(kill_at)
        diagnose(work_dir, mode, resume, progress)
        return count

    for n, kill_at in enumerate(kills):
        status = child(lambda kill_at=kill_at, n=n: killed(kill_at, n > 0), report)
        if status not in (0, -signal.SIGKILL):
            return f"kill {n} ended with status {status}"
        if n == 0 and status == 0:
            return "was not killed"

    def resume() -> dict[str, Any]:
        flushed = set(progress.read_text().split()) if progress.exists() else set()
        before = set(Store(work_dir).sample_ids) if (work_dir / "run.json").exists() else set()
        assert flushed <= before, f"lost {flushed - before}"
        assert before in [set(), {*BATCHES[0]}, {*BATCHES[0], *BATCHES[1]}, {*MEPE}], f"half a batch counts: {before}"
        diagnose(work_dir, mode, True, None)
        return describe(work_dir)

    return "" if child(resume, report) == 0 else "cannot be resumed"


def main(directory: Path, mode: str, first: int, step: int) -> dict[str, Any]:
    report, work_dir = directory / "report.json", directory / "run"

    def whole() -> list[Any]:
        arm(None)
        diagnose(work_dir, mode, False, None)
        return [list(names), describe(work_dir)]

    assert child(whole, report) == 0
    operations, expected = json.loads(report.read_text())
    wrong, runs = [], 0
    unlinks = {n for n, name in enumerate(operations) if name == "unlink"}
    last = len(operations)
    plans = [[n] for n in sorted(unlinks | set(range(first, last, step)))]
    plans += [[last // 2, m] for m in range(0, 60, 2 * step)]  # killed, and killed again while it cleans up
    plans += [[n, m] for n in sorted(unlinks)[:1] for m in range(8, 14)]  # the same while it deletes what fell out
    for plan in plans:
        problem = attempt(work_dir, mode, plan, report)
        runs += 1
        found = {} if problem else json.loads(report.read_text())
        differing = [k for k in expected if found.get(k) != expected[k]]
        if problem or differing:
            wrong.append([plan, problem, {k: [expected[k], found.get(k)] for k in differing}])
    return {"runs": runs, "operations": last, "wrong": wrong, "expected": expected}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
