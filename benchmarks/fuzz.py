"""Mutated files of each kind, opened for minutes: `python -m benchmarks.fuzz --minutes 10 --loader all --seed 0`.

Each example is opened in a process that is watched: what comes of it is a value or the loader's documented errors,
within 10 s of CPU time and 2 GiB; another exception, a crash, a call out, an import of another package and a file
changed elsewhere are findings.  The input of each kind of finding is kept under `--out`, beside its traceback;
`--first N --examples 1` makes the Nth again.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import gc
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[1]
SECONDS, MEMORY = 10, 2 * 2**30  # of an example
HANGS = 300.0  # s of no progress at all, on a machine that is busy
WARM_UP = 300.0  # s until the first example is there


def finding_kind(error: BaseException) -> str:
    """Its type, and where in this package it came up."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "poseig" in f.filename] or list(frames)
    return f"{type(error).__name__} {Path(own[-1].filename).name}:{own[-1].lineno}"


class Worker:
    """Opens examples one after another, and says so in a file: which one is open, and what came of the others."""

    def __init__(self, name: str, seed: int, home: Path, out: Path) -> None:
        from benchmarks.fuzz_loaders import LOADERS

        self.name, self.seed, self.home, self.out = name, seed, home, out
        self.case, self.progress = home / "case", home / "progress.json"
        shared = home / "shared"
        shutil.rmtree(shared, ignore_errors=True)
        shared.mkdir()
        self.loader = LOADERS[name](shared)
        self.counts: collections.Counter[str] = collections.Counter()

    def warm_up(self) -> None:
        """Seeds are opened, so that what has to be imported is; then memory is limited."""
        self._clear()
        self.loader.seeds(self.case)
        self.loader.open(self.case)
        gc.collect()
        gc.freeze()  # MMPose's data sets collect garbage when they load: half a second each, for modules that stay
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        self.most = int(status["VmHWM"].split()[0]) * 1024 + MEMORY
        limit = int(status["VmSize"].split()[0]) * 1024 + 2 * MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def example(self, number: int) -> None:
        """Make and open one."""
        from call_watch import watched
        from weight_files import flown

        self._clear()
        flown.clear()
        self.loader.make(Random(f"{self.name}/{self.seed}/{number}"), self.case)
        self.progress.write_text(json.dumps({"open": number, "counts": self.counts}))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        outcome, text, raised = "value", "", None
        with watched(self.home, self.loader.allowed) as seen:
            try:
                self.loader.open(self.case)
            except BaseException as error:
                raised = error
        signal.setitimer(signal.ITIMER_PROF, 0)
        if isinstance(raised, self.loader.errors):
            outcome = type(raised).__name__
        elif raised is not None:
            outcome, text = f"FINDING {finding_kind(raised)}", "".join(traceback.format_exception(raised))
        if seen or flown:
            calls = [*seen, *flown]
            outcome, text = f"FINDING call {calls[0].split(' ')[0]}", "\n".join(calls)
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > self.most:
            outcome, text = "FINDING memory", "more than 2 GiB"
            self.most = 2**60  # the peak stays
        self.counts[outcome] += 1
        if text and self.counts[outcome] <= 3:
            keep(self.out, self.name, self.seed, number, self.case, outcome, text)

    def _clear(self) -> None:
        shutil.rmtree(self.case, ignore_errors=True)
        self.case.mkdir()


def keep(out: Path, name: str, seed: int, number: int, case: Path, outcome: str, text: str) -> None:
    """The input of a finding, and what it is."""
    folder = out / name / f"{seed}-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        shutil.copytree(case, folder / "input")
    again = f"python -m benchmarks.fuzz --loader {name} --seed {seed} --first {number} --examples 1"
    (folder / "finding.txt").write_text(f"{outcome}\n{again}\n\n{text}\n", errors="backslashreplace")
    print(f"{name} {number}: {outcome}", flush=True)


def work(options: argparse.Namespace) -> None:
    """The watched process."""
    worker = Worker(options.loader, options.seed, Path(options.home), Path(options.out))
    worker.warm_up()
    number, last, end = options.first, options.first + options.examples, time.monotonic() + 60 * options.minutes
    while number < last and time.monotonic() < end:
        worker.example(number)
        number += 1
    worker.progress.write_text(json.dumps({"open": None, "counts": worker.counts}))


def fuzz(name: str, options: argparse.Namespace) -> dict[str, int]:
    """A loader's examples, by what came of them; a process that ends before its time is a finding, and another goes on
    behind it.
    """
    counts: collections.Counter[str] = collections.Counter()
    number, end = options.first, time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory(prefix="poseig-fuzz-") as folder:
        home, progress = Path(folder), Path(folder) / "progress.json"
        environment = {**os.environ, "TMPDIR": folder, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
        while number < options.first + options.examples and (left := end - time.monotonic()) > 0:
            line = [sys.executable, "-m", "benchmarks.fuzz", "--worker", "--loader", name, "--seed", str(options.seed)]
            line += ["--minutes", str(left / 60), "--first", str(number), "--home", folder, "--out", str(options.out)]
            line += ["--examples", str(options.first + options.examples - number)]
            progress.unlink(missing_ok=True)
            with (Path(options.out) / f"{name}.log").open("ab") as log:  # warnings, and what the loaders log
                process = subprocess.Popen(line, cwd=ROOT, env={**environment, "PYTHONPATH": str(ROOT)}, stderr=log)
            ended = _wait(process, progress)
            if not progress.exists():
                raise SystemExit(f"{name}: its seeds could not be opened")
            done = json.loads(progress.read_text())
            counts.update(done["counts"])
            if done["open"] is None:
                break
            counts[f"FINDING {ended}"] += 1
            keep(Path(options.out), name, options.seed, done["open"], home / "case", f"FINDING {ended}", ended)
            number = done["open"] + 1
    return dict(counts.most_common())


def _wait(process: subprocess.Popen[bytes], progress: Path) -> str:
    """How a process ended; one that gets no further is killed."""
    last, since = -1.0, time.monotonic()
    while process.poll() is None:
        time.sleep(0.2)
        stamp = progress.stat().st_mtime if progress.exists() else -1.0
        if stamp != last:
            last, since = stamp, time.monotonic()
        if time.monotonic() - since > (HANGS if progress.exists() else WARM_UP):
            process.kill()
            process.wait()
            return f"no end after {HANGS:.0f} s"
    code = process.returncode
    if code == -signal.SIGPROF:
        return f"more than {SECONDS} s"
    return f"crash by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"


def main() -> None:
    """Fuzz, print what came of it, and end with 1 where anything was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loader", default="all", help="all, or: zip, legacy, safetensors, pickles, tflite, ...")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each loader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first example")
    parser.add_argument("--examples", type=int, default=10**9, help="at most")
    parser.add_argument("--out", default="work_dirs/fuzz", help="where inputs that found something are kept")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--home", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out = str(Path(options.out).resolve())
    Path(options.out).mkdir(parents=True, exist_ok=True)
    if options.worker:
        return work(options)
    from benchmarks.fuzz_loaders import LOADERS

    found = False
    for name in LOADERS if options.loader == "all" else options.loader.split(","):
        counts = fuzz(name, options)
        found |= any(outcome.startswith("FINDING") for outcome in counts)
        print(f"{name}: {sum(counts.values())} examples: {json.dumps(counts)}", flush=True)
    raise SystemExit(int(found))


if __name__ == "__main__":
    main()
