"""The loop over a run's samples: batches are diagnosed, shown to plugins and studies, and written."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from mmengine.config import Config

from ..data.samples import SampleSource
from ..errors import ConfigError, DataError, refuse_changes
from ..plugin.manager import PluginHost
from ..store import StoreWriter
from ..studies.base import Study
from ..types import Finding, Sample
from ..unchanged import KeptValues, is_built_in
from .context import RunContext
from .diagnose import BatchDiagnosis
from .journal import Journal
from .process import peak_memory
from .rows import sample_record

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a run is: `done` of `total`, `seconds` since the first one, `stage` in words."""

    stage: str
    done: int
    total: int
    seconds: float
    unit: str = "persons"  # of what is counted


class _Count:
    """How many persons are done, of how many, since when: what is told after each, also inside a batch."""

    def __init__(self, tell: Callable[[Progress], None], total: int) -> None:
        self._tell, self._total, self._done, self._begin = tell, total, 0, time.perf_counter()

    def report(self, more: int) -> None:
        self._done += more
        self._tell(Progress("diagnosing", self._done, self._total, time.perf_counter() - self._begin))


@dataclass(frozen=True)
class Loop:
    """`run()` takes samples to the store; one that fails is recorded, and the others go on."""

    source: SampleSource
    diagnose: BatchDiagnosis
    studies: Sequence[Study]
    context: RunContext  # for the studies; its model is inside its `frozen()`
    writer: StoreWriter
    host: PluginHost
    journal: Journal
    config: Config  # for the plugins
    on_progress: Callable[[Progress], None]  # called before the first sample and after each

    def run(self, positions: Sequence[int], batch_size: int, *, until: float = math.inf) -> bool:
        """Some of the source's persons, each batch on disk before the next but one is computed.

        Args:
            positions: in `source.ids()`.
            batch_size: persons computed and written at once.
            until: on `time.monotonic()`; no batch is begun later.

        Returns:
            Whether all were taken in time.

        Raises:
            ConfigError: what every sample would meet.
        """
        ids = self.source.ids()
        count = _Count(self.on_progress, len(positions))
        count.report(0)
        batch: list[Sample] = []
        in_time = True
        for position, i in enumerate(positions):
            if not batch and not (in_time := time.monotonic() < until):
                break
            with self.journal.timed("load"):
                sample = self._load(i, ids[i])
            if sample is None:
                count.report(1)
            else:
                batch.append(sample)
            if batch and (len(batch) == batch_size or position + 1 == len(positions)):
                self._run_batch(batch, count)
                batch = []
                self.writer.update_run(timings=self.journal.timings, peak_memory=peak_memory())
        self.writer.flush()
        self.writer.update_run(timings=self.journal.timings)
        return in_time

    def _load(self, i: int, sample_id: str) -> Sample | None:
        try:
            return self.source.load(i)
        except (DataError, OSError) as error:
            self.journal.sample_failed(error, "sample", sample_id, self.writer)
            return None

    def _run_batch(self, batch: list[Sample], count: _Count) -> None:
        """One batch to the store; where it fails as a whole, each of its samples by itself."""
        try:
            findings = self.diagnose(batch)
        except (ConfigError, KeyboardInterrupt):
            raise  # every other sample would meet it too
        except BaseException as error:
            if len(batch) == 1:
                self.journal.sample_failed(error, "attribution", batch[0].sample_id, self.writer)
                count.report(1)
                return
            logger.info("a batch of %d failed (%s); its samples are tried one by one", len(batch), error)
            for sample in batch:
                self._run_batch([sample], count)
            return
        records, settings = [], self.context.explainer.settings
        for finding in findings:
            self._show(finding)
            records.append(sample_record(finding, self.source.groups, self.context.unit, self.writer.errors, settings))
            if len(records) < len(findings):
                count.report(1)
        self.journal.note(self.writer)
        with self.journal.timed("store"):
            self.writer.write(records)
        count.report(1)  # the last one is done when all are on disk

    def _show(self, finding: Finding) -> None:
        """One person's finding to the plugins that look on, and to the studies; none of them can change it."""
        sample = replace(finding.sample, extra=MappingProxyType(dict(finding.sample.extra)))
        finding = replace(finding, sample=sample, indices=MappingProxyType(dict(finding.indices)))
        for array in (sample.display, sample.inverse_warp):
            array.setflags(write=False)
        self.host.notify(
            "poseig_after_sample",
            stage="after_sample",
            sample_id=sample.sample_id,
            keep=lambda: _kept(finding).restore,
            sample=sample,
            attribution=finding.attribution,
            indices=finding.indices,
            config=self.config,
        )
        context = self.context.of(sample) if self.studies else self.context
        for study in self.studies:
            with (
                self.journal.timed(f"study {study.name}"),
                self.journal.guard("study", study.name, sample.sample_id),
            ):
                kept = None if is_built_in(study) else _kept(finding)
                try:
                    rows = study.sample_rows(finding, context)
                finally:
                    changed = [] if kept is None else kept.restore()
                refuse_changes(changed)
                self.writer.write_study(study.name, rows)


def _kept(finding: Finding) -> KeptValues:
    """All that is shown of a person, under the names by which it is given."""
    return KeptValues(sample=finding.sample, attribution=finding.attribution, indices=finding.indices, finding=finding)
