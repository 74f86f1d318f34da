"""The one module that wires the stages together: samples, adapter, attribution, indices, store, report."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from .adapters.base import CoordinateAdapter
from .adapters.loading import build_model, model_hash
from .adapters.registry import select_adapter
from .attribution.acceleration import Acceleration, accelerate
from .attribution.methods import path_ig
from .compat import prepare_environment
from .data.samples import SampleSource
from .errors import AttributionError, ConfigError, DataError, PluginError, did_you_mean
from .functional.heatmaps import gaussian_heatmaps, published_heatmaps
from .functional.paths import LinearPath
from .functional.quadrature import RULES
from .indices.base import Index, IndexInputs, compute_indices
from .plugin.manager import PluginHost
from .provenance import digest, peak_memory, versions
from .records import sample_record
from .report.build import build_report
from .settings import Settings
from .store import Store, StoreWriter
from .store.atomic import publish
from .store.schema import joints_schema, relations_schema
from .types import Attribution, Sample, Section

__all__ = ["Progress", "Session", "attribute", "load_adapter"]

logger = logging.getLogger(__name__)
JOINT_INDICES, RELATION_INDICES = ("di", "fi", "li"), ("ri",)  # columns of every run; further ones are plugins'
CALIBRATION_SAMPLES = 16  # persons looked at to set beta and to report the decoding's agreement


@dataclass(frozen=True)
class Progress:
    """How far a run is: `done` of `total` persons, `seconds` since the first one, `stage` in words."""

    stage: str
    done: int
    total: int
    seconds: float


def load_adapter(
    config_or_model: Any,
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    *,
    beta: float | None = None,
    host: PluginHost | None = None,
) -> CoordinateAdapter:
    """An MMPose model as a differentiable function from images to coordinates.

    Args:
        config_or_model: path of an MMPose config, a `Config`, or a model that is already built.
        checkpoint: weights; None leaves a built model as it is, and a config's model with random weights.
        device: 'cpu', 'cuda', 'cuda:1', ...
        beta: sharpness of the soft-argmax; None: the head's default (see `CoordinateAdapter.calibrate`).
        host: plugins to look for adapters in; None: the built-in and the installed ones.

    Raises:
        CheckpointError: weights that do not belong to the model; AdapterError: no adapter fits its head.
    """
    prepare_environment()
    host = host or PluginHost()
    if isinstance(config_or_model, torch.nn.Module):
        model = config_or_model.to(device)
    else:
        model = build_model(config_or_model, checkpoint, device)
    adapters = host.catalog.adapters
    name = host.first("poseig_select_adapter", model=model, adapters=adapters)
    chosen = host.catalog.get("adapters", name) if name else select_adapter(model, adapters)
    adapter: CoordinateAdapter = chosen(model, beta=beta)
    return adapter


def attribute(
    adapter: CoordinateAdapter,
    images: Tensor,
    keypoints: Tensor,
    *,
    path: str = "blur",
    quadrature: str = "adaptive",
    likelihood: str = "exp_l2",
    dtype: torch.dtype | None = None,
    compute: str = "fast",
    **settings: Any,
) -> Attribution:
    """Attribution maps of each joint, with the model's weights left alone.

    Args:
        adapter: from `load_adapter`.
        images: (B, C, H, W) normalised network input.
        keypoints: (B, K, D) reference points, in the adapter's unit (input px for 2D models).
        dtype: compute in this type (the model must be in it already); None: that of the images.
        compute: 'fast' (see `attribution.acceleration.accelerate`, checked on the first image) or 'exact'.
        path, quadrature, likelihood, settings: see `functional.path_attribution`.
    """
    images = images if dtype is None else images.to(dtype)
    with adapter.frozen():
        fast = accelerate(adapter, images[:1], compute=compute)
        return path_ig(
            fast.adapter,
            images,
            keypoints,
            path=path,
            quadrature=quadrature,
            likelihood=likelihood,
            backward=fast.backward,
            **settings,
        )


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
            for the others before it makes the report.
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
    ) -> None:
        prepare_environment()
        self.config = load_config(config)
        self.settings = Settings.parse(self.config.get("diagnosis")).with_plugins(tuple(plugins))
        self.checkpoint = None if checkpoint is None else str(checkpoint)
        name = Path(self.config.filename or "config").stem
        self.work_dir = Path(work_dir or self.config.get("work_dir") or Path("work_dirs") / name)
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self.resume = resume
        self.host = host or PluginHost(block=tuple(block), entry_points=entry_points)
        there = {record.target for record in self.host.records if record.source == "config"}
        self.host.add([p for p in dict.fromkeys(self.settings.plugins) if p not in there])
        self._noted = 0  # how many of the host's failures stand in run.json
        self.on_progress = on_progress or (lambda progress: None)
        self.rank, self.world_size = rank, world_size
        catalog = self.host.catalog
        self.method = catalog.get("attribution_methods", self.settings.attribution.method)
        names = self.settings.indices if self.settings.indices is not None else tuple(catalog.indices)
        self.indices: list[Index] = [catalog.get("indices", n) for n in dict.fromkeys(names)]
        self._check_columns()
        self._check_quadrature()
        self.studies = [catalog.get("studies", n) for n in self.settings.studies]
        self.timings: dict[str, float] = {}

    def run(self) -> Store:
        """Diagnose every sample that is not done yet, then build the report.

        Returns:
            The finished store.

        Raises:
            PoseIGError: the run cannot start, or nothing could be diagnosed; a failing sample, plugin or index is
                recorded and survived.  KeyboardInterrupt leaves a whole store that `resume` goes on with.
        """
        started = time.perf_counter()
        with self._timed("setup"):
            adapter = load_adapter(self.config, self.checkpoint, self.device, host=self.host)
            weights = model_hash(adapter.model)
            model = adapter.model if self.settings.attribution.dtype == "float32" else adapter.model.double()
            source = self._source(model)
            self._prepare_target(adapter, source)
        writer = StoreWriter(
            self.work_dir,
            rank=self.rank,
            resume=self.resume,
            identity=self._identity(weights, source),
            maps=self.settings.store.maps,
            worst=self.settings.store.worst,
            dimensions=source.dimensions,
            extra_indices=[i.name for i in self.indices if i.kind == "joint" and i.name not in JOINT_INDICES],
            extra_relations=[i.name for i in self.indices if i.kind == "relation" and i.name not in RELATION_INDICES],
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
            with self._timed("calibration"):
                samples = source.first(CALIBRATION_SAMPLES)
                agreement = self._calibrate(adapter, samples, writer)
                self.acceleration = self._accelerate(adapter, samples)
            writer.update_run(**self._description(source, adapter, agreement, weights))
            with adapter.frozen():
                self._diagnose(adapter, source, writer)
            self._wait_for_others()
            if self.rank == 0:
                self._finish(writer, source, started)
            status = "complete"
        except KeyboardInterrupt:
            status = "interrupted"
            raise
        finally:
            self.timings["total"] = time.perf_counter() - started
            self._note_failures(writer)
            writer.close(
                status, timings=self.timings, peak_memory=peak_memory(), plugin_failures=self.host.failure_counts
            )
        return Store(self.work_dir)

    def build_report(self, store: Store, extra: Sequence[Section] = ()) -> Path:
        """The report from the store alone, with `extra` sections; one that fails becomes a line among the failures."""
        before = len(self.host.failures)
        found = self.host.collect("poseig_report_sections", store=store, config=self.config)
        sections = [*extra, *(section for _, result in found for section in result)]
        return build_report(store, sections, failures=self.host.failures[before:])

    # ---- preparation -------------------------------------------------------------------------------------------------

    def _source(self, model: Any) -> SampleSource:
        samples = self.settings.samples
        return SampleSource(
            self.config,
            preprocess=model.data_preprocessor,
            split=samples.split,
            mask="instance" if samples.mask == "predicted" else samples.mask,
            limit=samples.limit,
            seed=samples.seed,
            ids=samples.ids,
            datasets=self.host.catalog.datasets,
        )

    def _check_columns(self) -> None:
        """A plugin's index becomes a column: it cannot have the name of one that is there already."""
        taken = {
            "joint": joints_schema(3).keys() - set(JOINT_INDICES),
            "relation": relations_schema().keys() - set(RELATION_INDICES),
        }
        for index in self.indices:
            if index.name in taken[index.kind]:
                owner = self.host.catalog.owner("indices", index.name)
                raise PluginError(
                    f"plugin {owner!r} gives an index {index.name!r}, but that is a column of every run's table; give it "
                    f"another name, leave it out of diagnosis.indices, or switch the plugin off with --no-plugin {owner}"
                )

    def _check_quadrature(self) -> None:
        s = self.settings.attribution
        if s.method == "path_ig" and s.quadrature not in (known := (*RULES, "adaptive")):
            raise ConfigError(
                f"diagnosis.attribution.quadrature {s.quadrature!r} is unknown; {did_you_mean(s.quadrature, known)}"
            )

    def _prepare_target(self, adapter: CoordinateAdapter, source: SampleSource) -> None:
        """Path, likelihood and reference points by name: what is misspelt is an error before the first sample."""
        s, predicted, annotated = (
            self.settings.attribution,
            len(adapter.keypoint_names),
            len(source.groups.keypoint_names),
        )
        if predicted != annotated:
            raise ConfigError(
                f"the model predicts {predicted} joints, the annotations of {source.dataset_name} have {annotated}; give "
                "the data set that the model was made for, or select joints with model.test_cfg.output_keypoint_indices"
            )
        self._path = _made(
            f"diagnosis.attribution.path_settings of path {s.path!r}",
            self.host.catalog.get("paths", s.path),
            **self._path_settings(s.path, adapter),
        )
        likelihood = dict(s.likelihood_settings)
        if s.alpha_per_heatmap_px is not None and s.likelihood == "exp_l2":
            likelihood["alpha"] = s.alpha_per_heatmap_px / (adapter.stride or 4)
        function = self.host.catalog.get("likelihoods", s.likelihood)
        nowhere = torch.zeros(1, len(source.groups.keypoint_names), source.dimensions)
        _made(
            f"diagnosis.attribution.likelihood_settings of likelihood {s.likelihood!r}",
            inspect.signature(function).bind,
            nowhere,
            nowhere,
            **likelihood,
        )
        self._likelihood: tuple[Any, dict[str, Any]] = (function, likelihood)
        for name in (s.reference, s.contrast):
            self._point(name, nowhere, nowhere, source)
        if s.joints != "visible":
            self._named_joints(s.joints, source)

    def _identity(self, weights: str, source: SampleSource) -> dict[str, str]:
        """What must be equal for `--resume`: the model, the data, and every setting that changes a number."""
        loader = self.config.get(f"{self.settings.samples.split}_dataloader", {})
        return {
            "model": digest(self.config.get("model")),
            "weights": weights,
            "data": digest([loader.get("dataset"), source.fingerprint()]),
            **({"cli_options": digest(options)} if (options := self.config.get("cli_options")) else {}),
            **{f"settings.{k}": digest(v) for k, v in self.settings.identity().items()},
        }

    def _calibrate(self, adapter: CoordinateAdapter, samples: list[Sample], writer: StoreWriter) -> dict[str, Any]:
        """Set the soft-argmax' beta, or take the earlier run's; how well it agrees with the model's own decoding."""
        earlier = writer.run.get("agreement") if self.resume else None
        if earlier and earlier.get("n"):
            adapter.beta = earlier["beta"]
            return dict(earlier)
        if not samples:
            return {"beta": adapter.beta, "n": 0}
        fixed = self.settings.attribution.beta is not None
        if self.settings.attribution.beta is not None:
            adapter.beta = self.settings.attribution.beta
        images, visible = (torch.stack([getattr(s, name) for s in samples]) for name in ("image", "visible"))
        agreement = adapter.calibrate(self._tensor(images), joints=visible.to(self.device), fixed=fixed)
        return agreement.as_dict()

    def _accelerate(self, adapter: CoordinateAdapter, samples: list[Sample]) -> Acceleration:
        """The fast way to the same maps, checked on two of the run's own samples."""
        s = self.settings.attribution
        images = self._tensor(torch.stack([sample.image for sample in samples[:2]])) if samples else torch.empty(0)
        with adapter.frozen():
            return accelerate(adapter, images, compute=s.compute, backward_dtype=s.backward_dtype)

    def _description(
        self, source: SampleSource, adapter: CoordinateAdapter, agreement: dict[str, Any], weights: str
    ) -> dict[str, Any]:
        """What run.json says before the first sample."""
        groups = source.groups
        return {
            "versions": versions(),
            "config": str(self.config.filename or ""),
            "config_hash": digest(self.config.to_dict()),
            "checkpoint": self.checkpoint,
            "weights_hash": weights,
            "plugins": [vars(r) for r in self.host.records],
            "seeds": {"attribution": self.settings.attribution.seed, "samples": self.settings.samples.seed},
            "settings": self.settings.as_dict(),
            "device": self.device,
            "model": {
                "estimator": type(adapter.model).__name__,
                "backbone": type(getattr(adapter.model, "backbone", None)).__name__,
                "head": type(getattr(adapter.model, "head", None)).__name__,
                "adapter": adapter.name,
                "input_size": list(adapter.input_size),
                "unit": adapter.unit,
                "beta": adapter.beta,
                "parameters": sum(p.numel() for p in adapter.model.parameters()),
                "random_weights": self.checkpoint is None and getattr(adapter.model, "random_weights", True),
            },
            "dataset": {"name": source.dataset_name, "persons": len(source)},
            "keypoints": {
                "names": groups.keypoint_names,
                "groups": groups.group_of,
                "parents": groups.parent_of,
                "flip_pairs": groups.flip_pairs,
                "skeleton": groups.skeleton,
                "derived": groups.derived,
            },
            "agreement": agreement,
            "acceleration": self.acceleration.as_dict(),
            "notes": source.notes,
            "indices": [{"name": i.name, "title": i.title, "unit": i.unit, "kind": i.kind} for i in self.indices],
        }

    # ---- the loop ----------------------------------------------------------------------------------------------------

    def _diagnose(self, adapter: CoordinateAdapter, source: SampleSource, writer: StoreWriter) -> None:
        """Batches of samples, each on disk before the next but one is computed."""
        ids = source.ids()
        mine = [i for i in range(len(ids)) if i % self.world_size == self.rank]
        todo = [i for i in mine if ids[i] not in writer.done]
        begin, size = time.perf_counter(), self.settings.samples.batch_size or (1 if self.device == "cpu" else 8)
        self._report_progress(0, len(todo), begin)
        batch: list[Sample] = []
        for position, i in enumerate(todo):
            with self._timed("load"):
                sample = self._load(source, i, ids[i], writer)
            if sample is not None:
                batch.append(sample)
            if batch and (len(batch) == size or position + 1 == len(todo)):
                self._run_batch(adapter, source, batch, writer)
                batch = []
                writer.update_run(timings=self.timings, peak_memory=peak_memory())
            self._report_progress(position + 1, len(todo), begin)
        writer.flush()
        writer.update_run(timings=self.timings)

    def _load(self, source: SampleSource, i: int, sample_id: str, writer: StoreWriter) -> Sample | None:
        try:
            return source.load(i)
        except (DataError, OSError) as error:
            self._fail(error, "sample", sample_id, writer)
            return None

    def _run_batch(
        self, adapter: CoordinateAdapter, source: SampleSource, batch: list[Sample], writer: StoreWriter
    ) -> None:
        """Attribution, indices and rows of one batch; where it fails as a whole, each of its samples by itself."""
        started, given = time.perf_counter(), batch
        try:
            images = self._tensor(torch.stack([s.image for s in batch]))
            truth = self._tensor(torch.stack([s.keypoints for s in batch]))
            with self._timed("prediction"):
                prediction = adapter.predict(images)
            batch = [self._with_mask(adapter, s, images[b : b + 1]) for b, s in enumerate(batch)]
            visible = torch.stack([s.visible for s in batch]).to(images.device)
            reference = self._point(self.settings.attribution.reference, truth, prediction, source)
            with self._timed("attribution"):
                attribution = self._attribute(adapter, images, reference, truth, prediction, visible, source)
            with self._timed("indices"):
                values, reasons = self._indices(batch, attribution, reference, visible, prediction, adapter)
        except ConfigError:
            raise  # every other sample would meet it too
        except Exception as error:
            if len(given) == 1:
                self._fail(error, "attribution", given[0].sample_id, writer)
                return
            logger.info("a batch of %d failed (%s); its samples are tried one by one", len(given), error)
            for sample in given:
                self._run_batch(adapter, source, [sample], writer)
            return
        seconds = (time.perf_counter() - started) / len(batch)
        records = []
        for b, sample in enumerate(batch):
            own = _take(attribution, b)
            mine = {name: value[b] for name, value in values.items()}
            self.host.notify(
                "poseig_after_sample",
                stage="after_sample",
                sample_id=sample.sample_id,
                sample=sample,
                attribution=own,
                indices=mine,
                config=self.config,
            )
            for study in self.studies:
                with self._guard("study", study.name, sample.sample_id):
                    writer.write_study(study.name, study.sample_rows(sample, adapter, own))
            records.append(
                sample_record(
                    sample,
                    own,
                    groups=source.groups,
                    prediction=prediction[b],
                    indices=mine,
                    reasons=reasons[b],
                    unit=adapter.unit,
                    seconds=seconds,
                )
            )
        self._note_failures(writer)
        with self._timed("store"):
            writer.write(records)

    def _attribute(
        self,
        adapter: CoordinateAdapter,
        images: Tensor,
        reference: Tensor,
        truth: Tensor,
        prediction: Tensor,
        visible: Tensor,
        source: SampleSource,
    ) -> Attribution:
        s = self.settings.attribution
        wanted = visible if s.reference != "prediction" else torch.ones_like(visible)
        if s.joints != "visible":
            wanted = wanted & self._named_joints(s.joints, source).to(wanted.device)
        likelihood, likelihood_settings = self._likelihood
        settings = {
            "path": self._path,
            "quadrature": s.quadrature,
            "nodes": s.nodes,
            "max_nodes": s.max_nodes,
            "tol": s.tol,
            "likelihood": likelihood,
            "likelihood_settings": likelihood_settings,
            "joints": wanted,
            "contrast": self._point(s.contrast, truth, prediction, source) if s.contrast else None,
            "power": s.power,
            "noise_std": s.noise_std,
            "noise_draws": s.noise_draws,
            "seed": s.seed,
            "signed": s.signed,
            "chunk": s.chunk or (8 if self.device == "cpu" else 64),
            "backward": self.acceleration.backward,
        }
        result: Attribution = self.method(self.acceleration.adapter, images, reference, **settings)
        if not isinstance(result, Attribution):
            raise AttributionError(
                f"attribution method {s.method!r} returned a {type(result).__name__}; expected poseig_mm.Attribution"
            )
        return result

    def _indices(
        self,
        batch: list[Sample],
        attribution: Attribution,
        reference: Tensor,
        visible: Tensor,
        prediction: Tensor,
        adapter: CoordinateAdapter,
    ) -> tuple[dict[str, Tensor], list[list[str]]]:
        size = (int(attribution.maps.shape[-2]), int(attribution.maps.shape[-1]))
        points = reference[..., :2]
        exact = self.settings.attribution.locality == "exact"
        heatmaps = gaussian_heatmaps(points, size) if exact else published_heatmaps(points, size, adapter.stride or 4)
        masks = [s.mask for s in batch]
        present = torch.stack([torch.zeros(size, dtype=torch.bool) if m is None else m for m in masks]).unsqueeze(
            1
        )  # (B, 1, H, W)
        inputs = IndexInputs(
            maps=attribution.maps,
            visible=visible,
            mask=present.to(visible.device),
            has_mask=torch.tensor([m is not None for m in masks], device=visible.device),
            heatmaps=heatmaps,
            keypoints=reference,
            coords=prediction,
        )
        return compute_indices(
            self.indices,
            inputs,
            attribution.reasons,
            on_error=self._index_failed,
        )

    def _index_failed(self, name: str, error: Exception) -> None:
        self.host.record(error, "index", plugin=name)

    # ---- small things ------------------------------------------------------------------------------------------------

    def _tensor(self, value: Tensor) -> Tensor:
        return value.to(self.device, torch.float64 if self.settings.attribution.dtype == "float64" else torch.float32)

    def _with_mask(self, adapter: CoordinateAdapter, sample: Sample, image: Tensor) -> Sample:
        """The model's own person mask where the data set has none and the settings ask for it."""
        if self.settings.samples.mask != "predicted" or sample.mask is not None:
            return sample
        if not hasattr(adapter.model, "predict_mask"):
            raise ConfigError(
                f"diagnosis.samples.mask is 'predicted', but {type(adapter.model).__name__} has no predict_mask(images); "
                "use 'instance' or 'none'"
            )
        with torch.no_grad():
            return replace(sample, mask=adapter.model.predict_mask(image)[0].bool().cpu(), mask_source="predicted")

    def _point(self, name: str | None, truth: Tensor, prediction: Tensor, source: SampleSource) -> Tensor:
        """A reference by name: 'truth', 'prediction', or a joint whose truth stands for all."""
        if name in (None, "truth"):
            return truth
        if name == "prediction":
            return prediction.to(truth)
        names = source.groups.keypoint_names
        if name not in names:
            raise ConfigError(
                f"reference {name!r} is neither 'truth', 'prediction' nor a joint; joints: {', '.join(names)}"
            )
        k = names.index(str(name))
        return truth[:, k : k + 1].expand_as(truth)

    def _named_joints(self, joints: str | list[str], source: SampleSource) -> Tensor:
        names = source.groups.keypoint_names
        wanted = [joints] if isinstance(joints, str) else joints
        if unknown := [j for j in wanted if j not in names]:
            raise ConfigError(f"diagnosis.attribution.joints names {unknown}; the joints are {', '.join(names)}")
        return torch.tensor([n in wanted for n in names])

    def _path_settings(self, path: str, adapter: CoordinateAdapter) -> dict[str, Any]:
        """The user's path settings; a linear path also learns what black and white are, and reads a baseline file."""
        settings = dict(self.settings.attribution.path_settings)
        if path != "linear":
            return settings
        low, high = adapter.pixel_range()
        settings = {"black": low, "white": high, **settings}
        baseline = settings.get("baseline")
        if isinstance(baseline, str) and baseline not in LinearPath.BASELINES:
            settings["baseline"] = adapter.preprocess_file(baseline)
        return settings

    def _finish_studies(self, writer: StoreWriter) -> None:
        if not self.studies:
            return
        writer.flush()
        store = Store(self.work_dir)
        for study in self.studies:
            with self._guard("study", study.name):
                writer.write_study(study.name, study.store_rows(store), replace_all=True)

    def _finish(self, writer: StoreWriter, source: SampleSource, started: float) -> None:
        """Of all ranks' numbers: studies of the whole, then the report, while its failures can be noted in run.json.

        Raises:
            DataError: there are no numbers.
        """
        if len(source) and not len(Store(self.work_dir)):
            own = [f.message for f in self.host.failures if f.sample_id] or ["see run.json"]
            raise DataError(f"none of the {len(source)} samples could be diagnosed; the first failure: {own[0]}")
        self._finish_studies(writer)
        self.timings["total"] = time.perf_counter() - started
        self._note_failures(writer)
        writer.update_run(status="complete", timings=self.timings, peak_memory=peak_memory())
        if self.settings.report.enabled:
            with self._timed("report"):
                self.build_report(Store(self.work_dir))

    def _wait_for_others(self) -> None:
        """Until all processes of a launcher have come here; alone, or without one, this does nothing."""
        if self.world_size > 1:
            from mmengine.dist import barrier

            barrier()

    def _fail(self, error: Exception, stage: str, sample_id: str, writer: StoreWriter) -> None:
        """Record a failure of our own, whether or not the host keeps it."""
        self._note_failures(writer)
        writer.record_failure(self.host.record(error, stage, sample_id=sample_id))
        self._noted = len(self.host.failures)

    def _note_failures(self, writer: StoreWriter) -> None:
        """What the host has recorded since the last time goes to run.json."""
        for failure in self.host.failures[self._noted :]:
            self._noted += 1
            writer.record_failure(failure)

    @contextmanager
    def _guard(self, stage: str, plugin: str, sample_id: str = "") -> Iterator[None]:
        """Record an exception of somebody's plugin and go on."""
        try:
            yield
        except Exception as error:
            self.host.record(error, stage, plugin=plugin, sample_id=sample_id)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings[stage] = self.timings.get(stage, 0.0) + time.perf_counter() - start

    def _report_progress(self, done: int, total: int, begin: float) -> None:
        self.on_progress(Progress("diagnosing", done, total, time.perf_counter() - begin))


def load_config(config: str | Path | Config) -> Config:
    """A config from a path, with a clear error where it is missing or broken."""
    if isinstance(config, Config):
        return config
    path = Path(config)
    if not path.is_file():
        raise ConfigError(f"config {path} does not exist; give the path of an MMPose config (.py)")
    try:
        return Config.fromfile(str(path))
    except Exception as error:
        raise ConfigError(f"config {path} cannot be read: {type(error).__name__}: {error}") from error


def _made(what: str, make: Callable[..., Any], /, *args: Any, **settings: Any) -> Any:
    """`make(*args, **settings)`; settings that it does not take are a `ConfigError`."""
    try:
        return make(*args, **settings)
    except TypeError as error:
        raise ConfigError(f"{what} do not fit: {error}") from error


def _take(attribution: Attribution, b: int) -> Attribution:
    """One sample of a batch, B = 1."""
    picked: dict[str, Any] = {}
    for name, value in vars(attribution).items():
        picked[name] = value[b : b + 1] if isinstance(value, (Tensor, tuple)) else value
    return replace(attribution, **picked)
