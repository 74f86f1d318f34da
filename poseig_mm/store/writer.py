"""The store's writer: batches become committed parts in the background, and a killed run can go on."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from poseig_mm.errors import StoreError
from poseig_mm.types import Failure

from .atomic import OpenFolder, make_dir, publish, remove
from .batch import Batch, make_batch, publish_batch, rows_that_fit, study_frame
from .lock import WriterLock
from .map_parts import MapPolicy, check_arrays
from .opening import clean, compare_images, compare_runs, refuse_if_used
from .parts import encode_table, part_stem, rank_of, scan_parts, whole_stem
from .run_file import FORMAT, RunFile, read_run, run_path
from .schema import SampleRecord, joints_schema, relations_schema

_DIRECTORIES = ("samples", "joints", "relations", "maps", "displays", "studies")
_STUDY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_OWN_KEYS = frozenset({"identity", "store", "failures", "failure_counts", "started", "updated", "resumes"})


class StoreWriter:
    """Append-only writer of one rank's share of a run.

    A batch handed to `write` is one part: its files are written under other names, flushed and renamed, the samples
    file last; then it counts.  Writing goes on in one thread behind the computation, with at most `queue_size` batches
    in memory; an error in it comes up at the next `write`, `flush` or `close`, and nothing is written after it.  A run
    that was killed at any moment is taken up with `resume=True`.

    Args:
        work_dir: created where absent.
        rank: of this process; every rank writes parts of its own.
        identity: what makes runs comparable (hashes of config, model, data, settings, and of each plugin under
            'plugins'); a resumed run must have the same.
        resume: go on with what is there, if anything.
        maps: 'all', 'worst' (of each rank, the `worst` samples of largest mean error), 'pooled' (by 4) or 'none'.
        maps_dtype: 'float16' or 'float32'.
        dimensions: of the joints, 2 or 3.
        places: the joints have columns for where they appear in the input, see `joints_schema`.
        indices: names of indices, columns of `joints` after `unit`.
        relations: names of relation indices, columns of `relations`.
        errors: names of columns of `joints` that say how far others can be trusted; a run that was begun without
            them goes on without.
        queue_size: batches handed over and not yet on disk; a further `write` waits.

    Attributes:
        errors: the columns of that kind that its rows have.
        done: ids committed by all ranks when this opened (none without `resume`); they need not be computed again.

    Raises:
        StoreError: the work dir cannot be written, is in use, holds results already (without `resume`), or holds
            another run (with it): the differing keys are named.
        ConfigError: unknown `maps` or `maps_dtype`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as d, StoreWriter(d, identity={'model': 'abc'}) as writer:
    ...     sorted(writer.done)
    []
    """

    def __init__(
        self,
        work_dir: str | Path,
        *,
        rank: int = 0,
        identity: Mapping[str, Any],
        resume: bool = False,
        maps: str = "all",
        worst: int = 100,
        maps_dtype: str = "float16",
        dimensions: int = 2,
        places: bool = False,
        indices: Sequence[str] = (),
        relations: Sequence[str] = (),
        errors: Sequence[str] = (),
        queue_size: int = 2,
    ) -> None:
        self.path, self.rank = Path(work_dir), rank
        self.errors = () if resume and _begun_without_errors(self.path) else tuple(errors)
        self._policy = MapPolicy(maps, worst, maps_dtype)
        self._schemas = {
            "joints": joints_schema(dimensions, tuple(indices), places, self.errors),
            "relations": relations_schema(tuple(relations)),
        }
        settings = {
            "format": FORMAT,
            "dimensions": dimensions,
            **({"places": True} if places else {}),
            "indices": list(indices),
            "relations": list(relations),
            **({"errors": list(self.errors)} if self.errors else {}),
        }
        about: dict[str, dict[str, Any]] = {"identity": dict(identity), "store": settings | self._policy.settings()}
        for directory in (self.path, *(self.path / name for name in _DIRECTORIES)):
            make_dir(directory)
        self._lock = WriterLock(self.path, rank)
        try:
            self._open(about, resume)
        except BaseException:
            self._lock.release()
            raise
        self._folder = OpenFolder(self.path / "samples")
        self._study_rows: dict[str, list[Mapping[str, Any]]] = {}
        self._error: BaseException | None = None
        self._told = self._closed = False
        self._queue_size = max(1, queue_size)
        self._pending: deque[Future[None]] = deque()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="poseig-store")

    def _open(self, about: Mapping[str, Mapping[str, Any]], resume: bool) -> None:
        """Look at what is there, refuse or clean it, and write the first run.json: before any part."""
        inventory = scan_parts(self.path, thorough=resume)
        if resume:
            compare_runs(self.path, self.rank, about, bool(inventory.parts))
            compare_images(self.path, inventory.parts)
        else:
            refuse_if_used(self.path, self.rank)
        cleaned = clean(self.path, self.rank, inventory, resume)
        parts = inventory.parts if resume else ()
        self.done = frozenset(sample_id for part in parts for sample_id in part.samples["sample_id"])
        self._seen = set(self.done)
        self._tally = {"persons": 0, "joints": 0, "skipped": 0}
        for part in parts:
            self._count(part.samples)
        own = [part for part in parts if part.rank == self.rank]
        self._number = max((part.number for part in own), default=-1) + 1
        for name in self._policy.restore(self.path, own):
            remove(self.path / name)
        self._run_file = RunFile(self.path, self.rank)
        if resume:
            self._run_file.resume(self.done)
        else:
            self._run_file.begin()
        for stem in inventory.broken:
            if rank_of(stem) in cleaned:
                self._run_file.record(inventory.failure(stem))
        self._run_file.write({"status": "running", **about}, self._counts())

    @property
    def run(self) -> dict[str, Any]:
        """The content of run.json; on resume it starts as what the earlier run left."""
        return self._run_file.data

    def write(self, records: Sequence[SampleRecord]) -> None:
        """Hand over one batch; returns as soon as there is room for it.  Arrays must not be changed afterwards.

        Raises:
            StoreError: rows that do not fit the schema (the column is named), a sample that is there already, or an
                earlier batch that could not be written.
        """
        self._check()
        if not records:
            return
        ids = [record.sample_id for record in records]
        twice = [i for i in ids if i in self._seen or ids.count(i) > 1]
        if twice:
            raise StoreError(f"sample {twice[0]!r} would be written twice: leave out what `done` names")
        check_arrays(records)
        batch = make_batch(records, self._study_rows, self._schemas)
        while len(self._pending) >= self._queue_size:
            self._wait_for_one()
        self._check()
        self._seen.update(ids)
        self._study_rows = {}
        self._pending.append(self._pool.submit(self._run, batch))

    def flush(self) -> None:
        """Wait until everything handed over is on disk.

        Raises:
            StoreError: a batch could not be written.
        """
        while self._pending:
            self._wait_for_one()
        self._check()

    def write_study(
        self, name: str, rows: pl.DataFrame | Sequence[Mapping[str, Any]], *, replace_all: bool = False
    ) -> None:
        """Add rows to a study's table.

        Rows of samples are kept until the `write` that follows and are committed with that batch, so that a resumed run
        neither loses nor repeats them; rows whose `sample_id` is not in that batch are dropped, as its sample is.
        With `replace_all` the rows are a whole, stored at once in the place of what was stored so before.

        Raises:
            StoreError: a name that cannot be a directory, a row that does not fit the table (the others are kept), or
                the table cannot be written.
        """
        self._check()
        if _STUDY.fullmatch(name) is None:
            raise StoreError(f"study name {name!r}: expected letters, digits, '_', '-' or '.', beginning with a letter")
        error: StoreError | None = None
        if not replace_all:
            new = rows.to_dicts() if isinstance(rows, pl.DataFrame) else list(rows)
            # what makes no table is refused here, while it is known whose it is, and not when the batch is written
            self._study_rows[name], error = rows_that_fit(name, self._study_rows.get(name, ()), new)
            if error is not None:
                raise error
            return
        if not isinstance(rows, pl.DataFrame):
            rows, error = rows_that_fit(name, (), list(rows))
        path = self.path / "studies" / name / f"{whole_stem(self.rank)}.parquet"
        if len(rows):
            make_dir(path.parent)
            publish(path, encode_table(study_frame(name, rows)))
        else:
            remove(path)
        if error is not None:
            raise error

    def record_failure(self, failure: Failure) -> None:
        """Note what went wrong and was survived; on disk when this returns.

        Raises:
            StoreError: it cannot be written.
        """
        self._run_file.record(failure)

    def update_run(self, **info: Any) -> None:
        """Merge `info` into run.json at the top level and write it (JSON-safe: NaN is null, arrays are lists).

        Of `counts`, persons, joints (visible ones), skipped (persons without one) and failed (samples with a failure
        and no rows) are the store's: what is committed, over all sessions of the run.

        Raises:
            StoreError: a key that is the store's own, an unknown status, or the file cannot be written.
        """
        own = sorted(info.keys() & _OWN_KEYS)
        if own:
            raise StoreError(f"run.json: {own[0]!r} is kept by the store and cannot be set (failures: record_failure)")
        self._run_file.write(info, self._counts())

    def close(self, status: str = "complete", **info: Any) -> None:
        """Wait for the last batch, write run.json with `status` and `info`, free the lock; a second call does nothing.

        Raises:
            StoreError: a batch or run.json could not be written, and no call has said so yet; the status is then
                'failed' on disk, where that could still be written.
        """
        if self._closed:
            return
        try:
            while self._pending:
                self._wait_for_one()
            self._look_for_folder()
            failed = self._error is not None and status == "complete"
            try:
                self.update_run(**info, status="failed" if failed else status)
            except StoreError:
                if self._error is None:
                    raise
            if not self._told:
                self._raise()
        finally:
            self._closed = True
            self._pool.shutdown(wait=True)
            self._folder.close()
            self._lock.release()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close("complete")
            return
        try:
            self.close("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        except StoreError as e:  # the error that ended the block is the one to be seen
            if hasattr(error, "add_note"):  # Python 3.11
                error.add_note(f"while closing the store: {e}")

    def _run(self, batch: Batch) -> None:
        """In the writing thread: commit a batch, or keep the error for the main thread."""
        if self._error is not None:
            return
        try:
            stem = part_stem(self.rank, self._number)
            plan = self._policy.plan(stem, batch.records)
            publish_batch(self.path, stem, batch, plan)
            self._number += 1
            self._count(batch.samples)
            self._policy.committed(plan)
            for name in plan.drop:
                remove(self.path / name)
        except BaseException as e:
            self._error = e

    def _count(self, samples: pl.DataFrame) -> None:
        visible = samples["n_visible"]
        self._tally["persons"] += len(visible)
        self._tally["joints"] += int(visible.sum())
        self._tally["skipped"] += int((visible == 0).sum())

    def _counts(self) -> dict[str, int]:
        return {**self._tally, "failed": self._run_file.failed(self._seen)}

    def _wait_for_one(self) -> None:
        self._pending[0].result()
        self._pending.popleft()

    def _check(self) -> None:
        if self._closed:
            raise StoreError(f"the writer of {self.path} is closed")
        self._look_for_folder()
        self._raise()

    def _look_for_folder(self) -> None:
        """Is the work dir still the one that this began to write into?"""
        if self._error is None and not self._folder.is_there():
            self._error = StoreError(
                f"{self.path} was deleted or moved while the run wrote into it: what it held is not there any more. "
                "Put it back and go on with --resume, or start again"
            )

    def _raise(self) -> None:
        if self._error is not None:
            self._told = True
            raise self._error


def _begun_without_errors(work_dir: Path) -> bool:
    """Whether a run is there whose tables have no columns of errors: one of an earlier version."""
    begun = [run for path in (run_path(work_dir), *sorted(work_dir.glob("run-r*.json"))) if (run := read_run(path))]
    return bool(begun) and "errors" not in begun[0].get("store", {})
