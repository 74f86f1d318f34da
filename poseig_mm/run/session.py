"""The one module that wires the stages together: samples, adapter, attribution, indices, store, report."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..adapters.base import CoordinateAdapter
from ..adapters.build_model import model_hash
from ..attribution.acceleration import tensor_float32
from ..checks import Check
from ..compat import prepare_environment
from ..data.samples import SampleSource
from ..errors import ConfigError, DataError
from ..indices.base import Index
from ..plugin.kinds import CONCLUSIONS
from ..report.build import build_report
from ..report.conclusions_section import conclusions_section
from ..settings import Settings
from ..settings_fields import configured
from ..store import Store, StoreWriter
from ..store.atomic import publish
from ..store.opening import idle_ranks
from ..store.run_file import earlier_run
from ..studies.base import check_needs_no_maps
from ..summary.conclusions import ranked
from ..treatments.base import Treatment
from ..types import Conclusion, Sample, Section
from .about import describe_run
from .calibration import CALIBRATION_SAMPLES, accelerate_on, calibrate_on, scale_on
from .context import RunContext
from .diagnose import BatchDiagnosis, index_frame
from .explainer import Explainer, check_quadrature
from .identity import run_identity, used_plugins
from .journal import Journal
from .loop import Loop, Progress
from .open import Plugins, batch_size, load_adapter, load_config, open_samples
from .preflight import Preflight, check_names, refuse_stops
from .process import peak_memory
from .rows import check_columns, error_columns, index_columns
from .shard import RankGoneError, Shard


class Session:
    """One diagnosis: everything it needs, and `run()`.

    Args:
        config: any MMPose config (path or `Config`), with or without a `diagnosis` variable.
        checkpoint: the model's weights.
        settings: in the place of the config's `diagnosis`.
        work_dir: where results go; default 'work_dirs/<config name>'.
        device: 'auto', 'cpu', 'cuda'.
        resume: go on with an earlier run of the same settings in `work_dir`.
        plugins: beside those that the config names.
        shard: this process' share of the persons.
        on_progress: called after each batch.
        model: a model that is built already, as it is now (a training's), and is given back unchanged; `checkpoint`
            then only says in words where its weights are from.
        time_limit: seconds after which no further person is begun; such a run is left 'interrupted', without studies
            of the whole and report, and `resume` goes on with it.
        allow: names of checks of the preflight whose stop is to be a warning, such as 'agreement'.
        on_checked: called with the preflight's lines, in the first process alone.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path | None = None,
        *,
        settings: Settings | None = None,
        work_dir: str | Path | None = None,
        device: str = "auto",
        resume: bool = False,
        plugins: Plugins = Plugins(),  # noqa: B008 - it is frozen
        shard: Shard = Shard(),  # noqa: B008
        on_progress: Callable[[Progress], None] | None = None,
        model: torch.nn.Module | None = None,
        time_limit: float = math.inf,
        allow: Sequence[str] = (),
        on_checked: Callable[[Sequence[Check]], None] | None = None,
    ) -> None:
        prepare_environment()
        self.config = load_config(config)
        if settings is not None:
            self.config = Config(
                {**self.config.to_dict(), "diagnosis": settings.as_config()}, filename=self.config.filename
            )
        self.settings = Settings.parse(self.config.get("diagnosis")).with_plugins(tuple(plugins.load))
        self.checkpoint = None if checkpoint is None else str(checkpoint)
        name = Path(self.config.filename or "config").stem
        self.work_dir = Path(work_dir or self.config.get("work_dir") or Path("work_dirs") / name)
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self.resume, self.shard, self.model, self.time_limit = resume, shard, model, time_limit
        self.host = plugins.open(self.settings.plugins)
        self.journal = Journal(self.host)
        self.allow = check_names(allow)
        self.conclusions: list[Conclusion] = []  # of the finished run, ranked
        self.on_checked = on_checked or (lambda checks: None)
        self.on_progress = on_progress or (lambda progress: None)
        catalog = self.host.catalog
        catalog.get("attribution_methods", self.settings.attribution.method)
        names: Iterable[str] = self.settings.indices or ()
        if self.settings.indices is None and self.settings.attribution.has_maps:
            names = (name for name, index in catalog.indices.items() if getattr(index, "by_default", True))
        self.indices: list[Index] = [catalog.get("indices", n) for n in dict.fromkeys(names)]
        check_columns(self.indices, catalog)
        check_quadrature(self.settings.attribution)
        self.treatments: list[Treatment] = [
            configured(catalog.get("treatments", name), given, "treatment") for name, given in self.settings.treatments
        ]
        self.settings = self.settings.with_studies([n for t in self.treatments for n in t.needs_studies])
        self.studies = [configured(catalog.get("studies", n), given, "study") for n, given in self.settings.studies]
        if not self.settings.attribution.has_maps:
            check_needs_no_maps(self.studies)

    def run(self) -> Store:
        """Diagnose every sample that is not done yet, then build the report.

        Returns:
            The finished store.

        Raises:
            PoseIGError: the run cannot start, a check says stop, or nothing could be diagnosed; a failing sample,
                plugin or index is recorded and survived.  KeyboardInterrupt leaves a whole store that `resume` goes on
                with.
        """
        with tensor_float32(self.settings.attribution.tf32):
            return self._run()

    def _run(self) -> Store:
        started, until = time.perf_counter(), time.monotonic() + self.time_limit
        with self.journal.timed("setup"):
            explainer, source, weights = self._opened()
            adapter = explainer.adapter
            if self.settings.indices is None:  # what is not about such coordinates would be an empty column
                fits = (None, adapter.dimensions)
                self.indices = [i for i in self.indices if getattr(i, "dimensions", None) in fits]
            frame = index_frame(self.settings.attribution.frame, source.whole_image)
            if frame == "instance":
                source.notes.append("indices are read off the map around each person: the box, 1.25 times as large")
            plugins = used_plugins(
                self.host,
                self.settings,
                adapter=adapter,
                indices=self.indices,
                studies=self.studies,
                dataset_name=source.dataset_name,
            )
            at_once = batch_size(
                self.settings.samples.batch_size, adapter, self.device, maps=self.settings.attribution.has_maps
            )
        writer = StoreWriter(
            self.work_dir,
            rank=self.shard.rank,
            resume=self.resume,
            identity=run_identity(
                self.config, self.settings, weights=weights, source=source, adapter=adapter, plugins=plugins
            ),
            maps=self.settings.store.maps,
            worst=self.settings.store.worst,
            dimensions=source.dimensions,
            places=adapter.unit != "px",
            indices=index_columns(self.indices, "joint"),
            relations=index_columns(self.indices, "relation"),
            errors=error_columns(self.indices),
        )
        status = "failed"
        try:
            self.shard.wait_for_others()  # what an earlier run left has been looked at by all before anybody writes
            if self.shard.first:
                publish(self.work_dir / "config.py", self.config.pretty_text.encode())
            self.host.notify(
                "poseig_session_start",
                stage="session_start",
                config=self.config,
                catalog=self.host.catalog,
                run_dir=self.work_dir,
            )
            with self.journal.timed("calibration"):
                explainer, about, samples = self._calibrated(explainer, source, writer.run if self.resume else {})
            with self.journal.timed("preflight"):
                left = len(set(source.ids()) - writer.done)
                checks = self._checked(explainer, source, samples, about["agreement"], weights, left)
            writer.update_run(
                **describe_run(
                    self.config,
                    self.settings,
                    checkpoint=self.checkpoint,
                    weights=weights,
                    device=self.device,
                    plugins=self.host.records,
                    source=source,
                    adapter=adapter,
                    indices=self.indices,
                    frame=frame,
                    before=writer.run if self.resume else {},
                    used=plugins,
                    owners={index.name: self.host.catalog.owner("indices", index.name) for index in self.indices},
                    preflight=checks,
                    **about,
                )
            )
            refuse_stops(checks)
            with adapter.frozen():
                positions = self.shard.positions(source.ids(), writer.done)
                in_time = self._loop(explainer, source, writer).run(positions, at_once, until=until)
            writer.update_run(loading_notes=_loading_notes(writer, source))
            if self.shard.all_of(in_time):
                if self.shard.first:
                    self._finish(writer, source, started)
                status = "complete"
            else:
                status = "interrupted"
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        except RankGoneError as error:
            others = [rank for rank in range(self.shard.world_size) if rank != self.shard.rank]
            gone = ", ".join(f"rank {rank}" for rank in idle_ranks(self.work_dir, others)) or "a rank"
            raise RankGoneError(f"{gone} has gone: {error}") from error
        finally:
            self.journal.timings["total"] = time.perf_counter() - started
            self.journal.note(writer)
            writer.close(
                status,
                timings=self.journal.timings,
                peak_memory=peak_memory(),
                plugin_failures=self.host.failure_counts,
                loading_notes=_loading_notes(writer, source),
            )
        return Store(self.work_dir)

    def check(self) -> list[Check]:
        """The preflight alone, in seconds: nothing is attributed, and nothing is written.

        Raises:
            PoseIGError: the run cannot start; a check that says stop does not raise here.
        """
        with tensor_float32(self.settings.attribution.tf32):
            explainer, source, weights = self._opened()
            explainer, about, samples = self._calibrated(explainer, source, {})
            return self._checked(explainer, source, samples, about["agreement"], weights, len(source))

    def build_report(self, store: Store, extra: Sequence[Section] = ()) -> Path:
        """The report from the store alone, with `extra` sections; one that fails becomes a line among the failures."""
        before = len(self.host.failures)
        self.conclusions = self.conclude(store)
        collected = self.host.collect("poseig_report_sections", store=store, config=self.config)
        sections = [
            conclusions_section(store, self.conclusions),
            *extra,
            *(section for _, result in collected for section in result),
        ]
        for study in self.studies:
            with self.journal.guard("report", study.name):
                if (section := study.section(store)) is not None:
                    sections.append(section)
        return build_report(store, sections, failures=self.host.failures[before:])

    def conclude(self, store: Store) -> list[Conclusion]:
        """What stands out, ranked, from the store alone; a plugin or study that fails is recorded."""
        given = [c for _, result in self.host.collect(CONCLUSIONS.hook, store=store) for c in result]
        for study in self.studies:
            with self.journal.guard("report", study.name):
                given += [c for _, c in CONCLUSIONS.entries(study.conclusions(store))]
        return ranked(given)

    def built_model(self) -> torch.nn.Module:
        """The model that is diagnosed, as MMPose's."""
        model: torch.nn.Module = self._adapter().model
        return model

    def count(self, limit: int | None) -> tuple[int, int]:
        """How many persons, and annotated joints of theirs, a run with this limit would take; no model is built."""
        settings = replace(self.settings.samples, limit=limit)
        source = open_samples(self.config, settings, self.host, preprocess=lambda data, training: data)
        return len(source), source.annotated()

    # ---- preparation -------------------------------------------------------------------------------------------------

    def _opened(self) -> tuple[Explainer, SampleSource, str]:
        """The model, as what makes maps; the persons; the hash of the weights."""
        adapter = self._adapter()
        earlier = earlier_run(self.work_dir) if self.resume else {}
        self.settings = self.settings.with_path(adapter.default_path).with_indices_over(earlier)
        self._check_studies(adapter)
        weights = model_hash(adapter.model)
        if self._double:
            adapter.model.double()
        source = self._samples(adapter)
        if not source.frames and (timeless := [s.name for s in self.studies if getattr(s, "needs_frames", False)]):
            raise ConfigError(
                f"study {timeless[0]!r} is about the frames of a video; give one (--images VIDEO), or take "
                f"{', '.join(map(repr, timeless))} out of diagnosis.studies"
            )
        names = source.groups.keypoint_names
        return Explainer(adapter, self.host.catalog, self.settings.attribution, names, self.device), source, weights

    def _adapter(self) -> CoordinateAdapter:
        model = copy.deepcopy(self.model) if self._double else self.model  # it is put into another type
        return load_adapter(
            self.config if model is None else model,
            self.checkpoint,
            self.device,
            output=self.settings.attribution.output,
            host=self.host,
        )

    @property
    def _double(self) -> bool:
        return self.settings.attribution.dtype == "float64"

    def _samples(self, adapter: CoordinateAdapter) -> SampleSource:
        preprocess = adapter.model.data_preprocessor
        return open_samples(self.config, self.settings.samples, self.host, preprocess=preprocess, adapter=adapter)

    def _check_studies(self, adapter: CoordinateAdapter) -> None:
        without = (
            []
            if not self.settings.samples.image_names
            else [s.name for s in self.studies if getattr(s, "needs_annotations", False)]
        )
        if without:
            raise ConfigError(
                f"study {without[0]!r} compares with annotations, and diagnosis.samples.images has none; take "
                f"{', '.join(map(repr, without))} out of diagnosis.studies"
            )
        unfit = [] if adapter.takes_images else [s.name for s in self.studies if s.images_only]
        if unfit:
            raise ConfigError(
                f"study {unfit[0]!r} changes or measures images, but the model's input is a sequence of 2D poses; take "
                f"{', '.join(map(repr, unfit))} out of diagnosis.studies"
            )

    def _calibrated(
        self, explainer: Explainer, source: SampleSource, before: Mapping[str, Any]
    ) -> tuple[Explainer, dict[str, Any], list[Sample]]:
        """The explainer with what is settled on the first samples, or by the run that is resumed (`before`); run.json's
        words; those samples.
        """
        samples, adapter = source.first(CALIBRATION_SAMPLES), explainer.adapter
        agreement = calibrate_on(samples, explainer, before.get("agreement"))
        if not adapter.takes_images and samples:
            adapter.prepare(torch.stack([s.image for s in samples]))
        scale = scale_on(samples, explainer, before.get("likelihood_scale"))
        acceleration = accelerate_on(samples, explainer)
        about = {"agreement": agreement, "scale": scale, "acceleration": acceleration.as_dict()}
        return replace(explainer, acceleration=acceleration, scale=scale.get("median")), about, samples

    def _checked(
        self,
        explainer: Explainer,
        source: SampleSource,
        samples: Sequence[Sample],
        agreement: dict[str, Any],
        weights: str,
        left: int,
    ) -> list[Check]:
        """The preflight's lines: made by one process, known to all, shown by the first."""
        preflight = Preflight(
            settings=self.settings,
            studies=self.studies,
            explainer=explainer,
            source=source,
            samples=samples,
            agreement=agreement,
            checkpoint=self.checkpoint,
            weights_hash=weights,
            work_dir=self.work_dir,
            left=left,
            processes=self.shard.world_size,
        )
        checks = self.shard.of_first(lambda: preflight.checks(self.allow))
        if self.shard.first:
            self.on_checked(checks)
        return checks

    def _loop(self, explainer: Explainer, source: SampleSource, writer: StoreWriter) -> Loop:
        return Loop(
            source=source,
            diagnose=BatchDiagnosis(self.settings, explainer, self.indices, self.journal),
            studies=self.studies,
            context=RunContext(explainer, self.indices, source.groups, self.work_dir / "pictures"),
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
                self.on_progress(Progress("writing the report", 0, 1, 0.0, "page"))
                self.build_report(Store(self.work_dir))
        else:
            self.conclusions = self.conclude(Store(self.work_dir))

    def _finish_studies(self, writer: StoreWriter) -> None:
        if not self.studies:
            return
        writer.flush()
        store, begin = Store(self.work_dir), time.perf_counter()
        for i, study in enumerate(self.studies):
            about = (f"study {study.name}", i, len(self.studies), time.perf_counter() - begin, "studies")
            self.on_progress(Progress(*about))
            with self.journal.timed(f"study {study.name}"), self.journal.guard("study", study.name):
                writer.write_study(study.name, study.store_rows(store), replace_all=True)


def _loading_notes(writer: StoreWriter, source: SampleSource) -> list[str]:
    """Those of this session, after those that earlier ones left."""
    return list(dict.fromkeys([*(writer.run.get("loading_notes") or ()), *source.loading_notes()]))
