"""What a run keeps account of on its way: seconds of each stage, and the failures that it survives."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..plugin.manager import PluginHost
from ..store import StoreWriter


class Journal:
    """Timings and failures of a session, for run.json.

    Args:
        host: keeps the failures of plugins; those that it has already are noted too.

    Attributes:
        timings: stage -> seconds, summed over its calls.
    """

    def __init__(self, host: PluginHost) -> None:
        self.timings: dict[str, float] = {}
        self._host = host
        self._noted = 0  # how many of the host's failures stand in run.json

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of the block to its stage, also where it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings[stage] = self.timings.get(stage, 0.0) + time.perf_counter() - start

    @contextmanager
    def guard(self, stage: str, plugin: str, sample_id: str = "") -> Iterator[None]:
        """Record what somebody's plugin raises, `SystemExit` too, and go on."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._host.record(error, stage, plugin=plugin, sample_id=sample_id)

    def index_failed(self, name: str, error: BaseException) -> None:
        """Record an index that raised (see `indices.base.compute_indices`)."""
        self._host.record(error, "index", plugin=name)

    def sample_failed(self, error: BaseException, stage: str, sample_id: str, writer: StoreWriter) -> None:
        """Record a failure of our own, whether or not the host keeps it."""
        self.note(writer)
        writer.record_failure(self._host.record(error, stage, sample_id=sample_id))
        self._noted = len(self._host.failures)

    def note(self, writer: StoreWriter) -> None:
        """What the host has recorded since the last time goes to run.json."""
        for failure in self._host.failures[self._noted :]:
            self._noted += 1
            writer.record_failure(failure)
