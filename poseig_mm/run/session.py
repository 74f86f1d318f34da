"""The one module that wires the stages together: samples, adapter, attribution, indices, store, report."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..adapters.base import CoordinateAdapter
from ..adapters.build_model import model_hash
from ..attribution.acceleration import Acceleration, tensor_float32
from ..compat import prepare_environment
from ..data.samples import SampleSource
from ..data.sequences import SequenceSource, is_sequence
from ..errors import ConfigError, DataError
from ..functional.likelihood import ALPHA
from ..indices.base import Index
from ..plugin.manager import PluginHost
from ..report.build import build_report
from ..settings import AttributionSettings, Settings
from ..store import Store, StoreWriter
from ..store.atomic import publish
from ..studies.base import configured
from ..types import Section
from .about import describe_run, run_identity
from .calibration import CALIBRATION_SAMPLES, accelerate_on, calibrate_on, scale_on
from .context import Experiment
from .diagnose import BatchDiagnosis, index_frame
from .explainer import Target, check_quadrature
from .journal import Journal
from .loop import Loop, Progress
from .open import load_adapter, load_config
from .rows import check_columns, plugin_columns
from .versions import peak_memory

__all__ = ["Progress", "Session"]


class Session:
    """One diagnosis: everything it needs, and `run()`.

    Args:
        config: any MMPose config (path or `Config`), with or without a `diagnosis` variable.
        checkpoint: the model's weights.
        work_dir: where results go; default 'work_dirs/<config name>'.
        device: 'auto', 'cpu', 'cuda'.
        resume: go on with an earlier run of the same settings in `work_dir`.
        plugins, block: further plugins, and plugins to leave out.
        entry_points: False leaves out installed plugins (tests).
        host: plugins that are loaded already (the command line's); the config's are added to it, and `block` and
            `entry_points` are its own affair.
        on_progress: called after each batch.
        rank, world_size: this process' share of the samples.  Where a process group is up (`--launcher`), rank 0 waits
            for the others before it makes the report.  Without one (jobs of another scheduler, all with `resume`), rank
            0 makes it of what is there; a last call without a rank makes it of all.
        model: a model that is built already, as it is now (a training's), and is given back unchanged; `checkpoint`
            then only says in words where its weights are from.
        time_limit: seconds after which no further person is begun; such a run is left 'interrupted', without studies
            of the whole and report, and `resume` goes on with it.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path | None = None,
        *,
        work_dir: str | Path | None = None,
        device: str = "auto",
        resume: bool = False,
        plugins: Sequence[str] = (),
        block: Sequence[str] = (),
        entry_points: bool = True,
        host: PluginHost | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        rank: int = 0,
        world_size: int = 1,
        model: torch.nn.Module | None = None,
        time_limit: float = math.inf,
    ) -> None:
        prepare_environment()
        self.config = load_config(config)
        self.settings = Settings.parse(self.config.get("diagnosis")).with_plugins(tuple(plugins))
        self.checkpoint = None if checkpoint is None else str(checkpoint)
        name = Path(self.config.filename or "config").stem
        self.work_dir = Path(work_dir or self.config.get("work_dir") or Path("work_dirs") / name)
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self.dtype: torch.dtype = getattr(torch, self.settings.attribution.dtype)  # 'float32' or 'float64'
        self.resume = resume
        self.host = host or PluginHost(block=tuple(block), entry_points=entry_points)
        there = {record.target for record in self.host.records if record.source == "config"}
        self.host.add([p for p in dict.fromkeys(self.settings.plugins) if p not in there])
        self.journal = Journal(self.host)
        self.on_progress = on_progress or (lambda progress: None)
        self.rank, self.world_size = rank, world_size
        self.model, self.time_limit = model, time_limit
        catalog = self.host.catalog
        self.method = catalog.get("attribution_methods", self.settings.attribution.method)
        names = self.settings.indices if self.settings.indices is not None else tuple(catalog.indices)
        self.indices: list[Index] = [catalog.get("indices", n) for n in dict.fromkeys(names)]
        check_columns(self.indices, catalog)
        check_quadrature(self.settings.attribution)
        self.studies = [configured(catalog.get("studies", name), settings) for name, settings in self.settings.studies]

    def run(self) -> Store:
        """Diagnose every sample that is not done yet, then build the report.

        Returns:
            The finished store.

        Raises:
            PoseIGError: the run cannot start, or nothing could be diagnosed; a failing sample, plugin or index is
                recorded and survived.  KeyboardInterrupt leaves a whole store that `resume` goes on with.
        """
        with tensor_float32(self.settings.attribution.tf32):
            return self._run()

    def _run(self) -> Store:
        started, until = time.perf_counter(), time.monotonic() + self.time_limit
        with self.journal.timed("setup"):
            adapter = self._adapter()
            self.settings = self.settings.with_path(adapter.default_path)
            self._check_studies(adapter)
            if self.settings.indices is None:  # what is not about such coordinates would be an empty column
                fits = (None, adapter.dimensions)
                self.indices = [i for i in self.indices if getattr(i, "dimensions", None) in fits]
            weights = model_hash(adapter.model)
            model = adapter.model if self.dtype == torch.float32 else adapter.model.double()
            source = self._source(model.data_preprocessor, self.settings.samples.limit, adapter)
            frame = index_frame(self.settings.attribution.frame, source.whole_image)
            batch_size = self._batch_size(adapter)
            if frame == "instance":
                source.notes.append("indices are read off the map around each person: the box, 1.25 times as large")
            Target(self.settings.attribution, self.host.catalog, adapter, source)  # what is misspelt is an error here
        writer = StoreWriter(
            self.work_dir,
            rank=self.rank,
            resume=self.resume,
            identity=run_identity(self.config, self.settings, weights, source),
            maps=self.settings.store.maps,
            worst=self.settings.store.worst,
            dimensions=source.dimensions,
            places=adapter.unit != "px",
            extra_indices=plugin_columns(self.indices, "joint"),
            extra_relations=plugin_columns(self.indices, "relation"),
        )
        status = "failed"
        try:
            self._wait_for_others()  # what an earlier run left has been looked at by all before anybody writes
            if self.rank == 0:
                publish(self.work_dir / "config.py", self.config.pretty_text.encode())
            self.host.notify(
                "poseig_session_start",
                stage="session_start",
                config=self.config,
                catalog=self.host.catalog,
                run_dir=self.work_dir,
            )
            with self.journal.timed("calibration"):
                samples = source.first(CALIBRATION_SAMPLES)
                settings, device, dtype = self.settings.attribution, self.device, self.dtype
                earlier = writer.run.get("agreement") if self.resume else None
                agreement = calibrate_on(samples, adapter, settings, earlier=earlier, device=device, dtype=dtype)
                if not adapter.takes_images and samples:
                    adapter.prepare(torch.stack([s.image for s in samples]))
                earlier = writer.run.get("likelihood_scale") if self.resume else None
                scale = scale_on(samples, adapter, settings, earlier=earlier, device=device, dtype=dtype)
                acceleration = accelerate_on(samples, adapter, settings, device=device, dtype=dtype)
            description = describe_run(
                self.config,
                self.settings,
                checkpoint=self.checkpoint,
                weights=weights,
                device=self.device,
                plugins=self.host.records,
                source=source,
                adapter=adapter,
                indices=self.indices,
                agreement=agreement,
                scale=scale,
                acceleration=acceleration.as_dict(),
                frame=frame,
            )
            writer.update_run(**description)
            with adapter.frozen():
                in_time = self._loop(adapter, acceleration, scale.get("median"), source, writer).run(
                    self._share(source.ids(), writer.done), batch_size, until=until
                )
            if all(self._of_all_ranks(in_time)):
                if self.rank == 0:
                    self._finish(writer, source, started)
                status = "complete"
            else:
                status = "interrupted"
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        finally:
            self.journal.timings["total"] = time.perf_counter() - started
            self.journal.note(writer)
            writer.close(
                status,
                timings=self.journal.timings,
                peak_memory=peak_memory(),
                plugin_failures=self.host.failure_counts,
            )
        return Store(self.work_dir)

    def build_report(self, store: Store, extra: Sequence[Section] = ()) -> Path:
        """The report from the store alone, with `extra` sections; one that fails becomes a line among the failures."""
        before = len(self.host.failures)
        found = self.host.collect("poseig_report_sections", store=store, config=self.config)
        sections = [*extra, *(section for _, result in found for section in result)]
        for study in self.studies:
            with self.journal.guard("report", study.name):
                if (section := study.section(store)) is not None:
                    sections.append(section)
        return build_report(store, sections, failures=self.host.failures[before:])

    def count(self, limit: int | None) -> tuple[int, int]:
        """How many persons, and annotated joints of theirs, a run with this limit would take; no model is built."""
        source = self._source(lambda data, training: data, limit)
        return len(source), source.annotated()

    # ---- preparation -------------------------------------------------------------------------------------------------

    def _adapter(self) -> CoordinateAdapter:
        model = self.model
        if model is not None and self.dtype != torch.float32:
            model = copy.deepcopy(model)  # it is put into another type
        return load_adapter(self.config if model is None else model, self.checkpoint, self.device, host=self.host)

    def _source(
        self, preprocess: Callable[..., dict[str, Any]], limit: int | None, adapter: CoordinateAdapter | None = None
    ) -> SampleSource:
        """The persons; without the adapter they can be counted, not loaded."""
        samples = self.settings.samples
        kind = SequenceSource if is_sequence(self.config, samples.split) else SampleSource
        return kind(
            self.config,
            preprocess=preprocess,
            split=samples.split,
            mask="instance" if samples.mask == "predicted" else samples.mask,
            limit=limit,
            seed=samples.seed,
            ids=samples.ids,
            datasets=self.host.catalog.datasets,
            truth=None if adapter is None else adapter.truth,
            dimensions=3 if adapter is None else adapter.dimensions,
        )

    def _check_studies(self, adapter: CoordinateAdapter) -> None:
        unfit = [] if adapter.takes_images else [s.name for s in self.studies if s.images_only]
        if unfit:
            raise ConfigError(
                f"study {unfit[0]!r} changes or measures images, but the model's input is a sequence of 2D poses; take "
                f"{', '.join(map(repr, unfit))} out of diagnosis.studies"
            )

    def _batch_size(self, adapter: CoordinateAdapter) -> int:
        given = self.settings.samples.batch_size
        if not adapter.one_image:
            return given or (1 if self.device == "cpu" else 8)
        if given not in (None, 1):
            raise ConfigError(
                f"diagnosis.samples.batch_size is {given}, but adapter {adapter.name!r} finds several persons in an "
                "image and is bound to one of them: samples go one by one. Leave batch_size out (`chunk` makes passes "
                "larger)"
            )
        return 1

    def _loop(
        self,
        adapter: CoordinateAdapter,
        acceleration: Acceleration,
        scale: float | None,
        source: SampleSource,
        writer: StoreWriter,
    ) -> Loop:
        def target(settings: AttributionSettings) -> Target:
            return Target(settings, self.host.catalog, adapter, source, scale)

        diagnose = BatchDiagnosis(
            self.settings,
            adapter,
            acceleration,
            self.method,
            target(self.settings.attribution),
            self.indices,
            journal=self.journal,
            device=self.device,
            dtype=self.dtype,
        )
        experiment = Experiment(
            self.settings.attribution,
            adapter,
            acceleration,
            self.host.catalog.attribution_methods,
            target,
            self.indices,
            source.groups,
            pictures=self.work_dir / "pictures",
            alpha=ALPHA if adapter.unit == "px" else 1 / (scale or math.nan),
            device=self.device,
            dtype=self.dtype,
        )
        return Loop(
            source=source,
            diagnose=diagnose,
            studies=self.studies,
            experiment=experiment,
            writer=writer,
            host=self.host,
            journal=self.journal,
            config=self.config,
            on_progress=self.on_progress,
        )

    # ---- the end -----------------------------------------------------------------------------------------------------

    def _finish(self, writer: StoreWriter, source: SampleSource, started: float) -> None:
        """Of all ranks' numbers: studies of the whole, then the report, while its failures can be noted in run.json.

        Raises:
            DataError: there are no numbers.
        """
        if len(source) and not len(Store(self.work_dir)):
            own = [f.message for f in self.host.failures if f.sample_id] or ["see run.json"]
            raise DataError(f"none of the {len(source)} samples could be diagnosed; the first failure: {own[0]}")
        self._finish_studies(writer)
        self.journal.timings["total"] = time.perf_counter() - started
        self.journal.note(writer)
        writer.update_run(status="complete", timings=self.journal.timings, peak_memory=peak_memory())
        if self.settings.report.enabled:
            with self.journal.timed("report"):
                self.build_report(Store(self.work_dir))

    def _finish_studies(self, writer: StoreWriter) -> None:
        if not self.studies:
            return
        writer.flush()
        store = Store(self.work_dir)
        for study in self.studies:
            with self.journal.timed(f"study {study.name}"), self.journal.guard("study", study.name):
                writer.write_study(study.name, study.store_rows(store), replace_all=True)

    def _share(self, ids: Sequence[str], done: Collection[str]) -> list[int]:
        """Positions of the persons that are this process' to do.

        Ranks of a launcher have all looked at what is done before anybody writes, and share what is left.  Without a
        process group (a job of another scheduler, tried again as often as it fails) a rank's persons are always the
        same.
        """
        if self._grouped():
            return [i for i, name in enumerate(ids) if name not in done][self.rank :: self.world_size]
        return [i for i in range(self.rank, len(ids), self.world_size) if ids[i] not in done]

    def _grouped(self) -> bool:
        from mmengine.dist import is_distributed

        return self.world_size > 1 and bool(is_distributed())

    def _wait_for_others(self) -> None:
        """Until all processes of a launcher have come here; alone, or without one, this does nothing."""
        self._of_all_ranks(True)

    def _of_all_ranks(self, value: bool) -> list[bool]:
        """This value of every process of a launcher, once all have come here."""
        if not self._grouped():
            return [value]
        from mmengine.dist import all_gather

        return [bool(v) for v in all_gather(torch.tensor([value], dtype=torch.uint8))]
