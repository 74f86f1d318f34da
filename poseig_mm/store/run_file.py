"""run.json (what the run is, written atomically) and failures.jsonl (what went wrong, appended as it happens)."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poseig_mm.errors import StoreError
from poseig_mm.types import Failure

from .atomic import append_line, publish
from .older_runs import filled_in
from .run_shape import shape_fault, without_nulls

FORMAT = 1  # of the work dir; a change that old readers cannot read raises it
FAILURES_IN_RUN = 1000  # run.json stays readable; failures.jsonl has them all
STATUSES = ("running", "complete", "interrupted", "failed")

_DEFAULTS: dict[str, Any] = {
    "status": "running",
    "versions": {},
    "config_hash": None,
    "identity": {},
    "plugins": [],
    "seeds": {},
    "counts": {"persons": 0, "joints": 0, "skipped": 0, "failed": 0},
    "failures": [],
    "timings": {},
    "peak_memory": {},
}


def json_safe(value: Any) -> Any:
    """`value` as JSON can hold it: NaN and infinities are null, arrays are lists, what is unknown is its `str`.

    >>> json_safe({'a': np.float32('nan'), 'b': (Path('x'), np.int64(3)), 2: {1}})
    {'a': None, 'b': ['x', 3], '2': [1]}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): json_safe(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return json_safe(value.tolist())
    if isinstance(value, (list, tuple)):
        return [json_safe(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted((json_safe(v) for v in value), key=str)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: json_safe(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return str(value)


def run_path(work_dir: Path, rank: int = 0) -> Path:
    """run.json; ranks above 0 have one of their own.

    >>> run_path(Path('w'), 3).name
    'run-r003.json'
    """
    return work_dir / ("run.json" if rank == 0 else f"run-r{rank:03d}.json")


def read_run(path: Path) -> dict[str, Any]:
    """The content of a run.json, with what runs of earlier versions did not say; empty where there is none.

    Raises:
        StoreError: it cannot be read, is not JSON, has something else where this version reads a dictionary or a list
            (null is as if it were not there), or is of a later format than this version reads.
    """
    try:
        content = json.loads(path.read_bytes(), parse_constant=lambda _: None)  # NaN, which JSON does not know
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as e:
        raise StoreError(f"cannot read {path}: {e}; restore it, or give another --work-dir") from e
    if not isinstance(content, dict):
        raise StoreError(f"cannot read {path}: expected a JSON object, got {type(content).__name__}")
    content = without_nulls(content)
    about = content.get("store")
    written = about.get("format", FORMAT) if isinstance(about, dict) else FORMAT
    if not isinstance(written, int) or written > FORMAT:
        raise StoreError(
            f"{path} says format {written!r}; this version reads formats up to {FORMAT}. The run is of a later "
            "version: read it with that one (pip install -U poseig-mm), or give another --work-dir"
        )
    if fault := shape_fault(content):
        raise StoreError(f"cannot read {path}: {fault}; restore it, or give another --work-dir")
    return filled_in(content)


def earlier_run(work_dir: Path) -> dict[str, Any]:
    """The first rank's run.json that is there (rank 0 may not have begun), as `read_run`; empty where none is."""
    paths = (run_path(work_dir), *sorted(work_dir.glob("run-r*.json")))
    return next((run for path in paths if (run := read_run(path))), {})


def failures_path(work_dir: Path, rank: int) -> Path:
    """Where a rank appends its failures."""
    return work_dir / ("failures.jsonl" if rank == 0 else f"failures-r{rank:03d}.jsonl")


def read_failures(path: Path) -> list[Failure]:
    """The failures in a failures.jsonl, and one more that counts its lines that are none.

    A missing file holds none; a line that begins as a failure and has no end was torn by a kill, and does not count.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as e:
        raise StoreError(f"cannot read {path}: {e}") from e
    failures, odd = [], 0
    for line in content.splitlines():
        try:
            failure = Failure(**json.loads(line))
            if not all(isinstance(value, str) for value in vars(failure).values()):
                raise TypeError
            failures.append(failure)
        except (ValueError, TypeError, RecursionError):
            torn = line.startswith(b"{") and not line.rstrip().endswith(b"}")
            odd += bool(line.strip()) and not torn
    if odd:
        message = f"lines in {path.name} that are no failures, and are passed over: {odd}"
        failures.append(Failure("store", message, "StoreError"))
    return failures


class RunFile:
    """One rank's run.json and failures.jsonl."""

    def __init__(self, work_dir: Path, rank: int) -> None:
        self.path = run_path(work_dir, rank)
        self.failures_path = failures_path(work_dir, rank)
        self._data: dict[str, Any] = {**_DEFAULTS, "started": _now(), "resumes": 0}
        self._failures: list[dict[str, Any]] = []
        self._stages: Counter[str] = Counter()
        self._failed: set[str] = set()  # ids of samples with a failure
        self._general: set[Failure] = set()  # those of no sample, to know them again when a resumed run repeats them

    def begin(self, failures: Iterable[Failure] = ()) -> None:
        """A run of its own: forget what an earlier one left here, then record `failures`."""
        publish(self.failures_path, b"")
        for failure in failures:
            self.record(failure)

    def resume(self, done: Collection[str]) -> None:
        """Go on with an earlier run: keep its entries, and its failures but for samples that are tried again."""
        old = read_run(self.path)
        self._data |= old | {"resumes": int(old.get("resumes", 0)) + 1}
        kept = [f for f in read_failures(self.failures_path) if not f.sample_id or f.sample_id in done]
        publish(self.failures_path, "".join(json.dumps(json_safe(f)) + "\n" for f in kept).encode())
        for failure in kept:
            self._note(failure)

    def record(self, failure: Failure) -> None:
        """Append a failure; it is on disk when this returns.  One of no sample that is known already is not repeated.

        Raises:
            StoreError: the file cannot be written.
        """
        if failure.sample_id or failure not in self._general:
            append_line(self.failures_path, json.dumps(json_safe(failure)))
            self._note(failure)

    @property
    def data(self) -> dict[str, Any]:
        """The content of run.json as last written or taken up."""
        return dict(self._data)

    def failed(self, done: Collection[str]) -> int:
        """How many samples have a failure and are not among `done`."""
        return sum(sample_id not in done for sample_id in self._failed)

    def write(self, info: Mapping[str, Any], counts: Mapping[str, int]) -> None:
        """Merge `info` at the top level and write run.json; `counts` are the store's own and win.

        Raises:
            StoreError: unknown status, or the file cannot be written.
        """
        if info.get("status", "running") not in STATUSES:
            raise StoreError(f"run.json: unknown status {info['status']!r}; known: {', '.join(STATUSES)}")
        self._data |= json_safe(info)
        failures = {"total": sum(self._stages.values()), "by_stage": dict(sorted(self._stages.items()))}
        self._data |= {
            "updated": _now(),
            "counts": {**self._data["counts"], **counts},
            "failures": self._failures,
            "failure_counts": failures,
        }
        publish(self.path, (json.dumps(self._data, indent=1, allow_nan=False) + "\n").encode())

    def _note(self, failure: Failure) -> None:
        if len(self._failures) < FAILURES_IN_RUN:
            self._failures.append(json_safe(failure))
        self._stages[failure.stage] += 1
        if failure.sample_id:
            self._failed.add(failure.sample_id)
        else:
            self._general.add(failure)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
