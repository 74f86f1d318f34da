"""Indices beside AP: a diagnosis of a few persons inside MMEngine's validation and test loops.

Two lines in any MMPose config::

    custom_imports = dict(imports=["poseig_mm.integrations.mmengine"], allow_failed_imports=False)
    custom_hooks = [dict(type="SyncBuffersHook"), dict(type="PoseIGHook", interval=10)]  # the first is MMPose's default
"""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from mmengine.dist import all_gather_object, get_dist_info, is_distributed
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS, METRICS
from mmengine.runner import EpochBasedTrainLoop

from ..errors import ConfigError, describe_error
from ..run.preflight import check_names
from ..run.session import Session
from ..settings import Settings
from ..store import Store
from ..store.file_names import file_stem
from .meetings import MeetingShard
from .model_state import ModelState
from .pictures import overview
from .undisturbed import undisturbed

PREFIX = "poseig"


@HOOKS.register_module()
class PoseIGHook(Hook):  # type: ignore[misc]  # MMEngine has no types
    """Diagnoses the model on a fixed subset after a validation (or test) and logs the numbers beside AP.

    Scalars are `poseig/di`, `poseig/fi/leaf`, ... (see `index_means`), in the metrics that other hooks get (so that
    `save_best="poseig/fi"` works), in the message hub and so in every visualizer back-end; there the first persons'
    maps are images.  Each diagnosis is a whole run of poseig-diagnose in `<work_dir>/poseig/epoch_<n>` (or `iter_<n>`),
    which poseig-compare takes.  The training itself is left as it is: weights, statistics, modes, random numbers.
    Whatever fails, on whichever rank, is a warning, and the training goes on: also a plugin that calls `sys.exit`, a
    visualizer on a full disk, a plugin that changes the model (it is put back, and nothing is logged).  Only the user's
    own interrupt ends it.

    It comes before EMAHook gives the training its own weights back: what is diagnosed is what was evaluated.

    Args:
        interval: diagnose every n-th validation, and the last one.
        persons: of the seeded subset, the same ones each time.
        seed: of the choice.
        time_limit: seconds a diagnosis may take; what is not done by then is not logged, with a warning.
        images: how many persons' maps are logged as pictures.
        diagnosis: as the config variable `diagnosis`, which it stands in the place of; None: the config's own.  Where
            there is neither, no report is made and maps are kept pooled.  Where it says nothing of `attribution`, maps
            are made with the preset 'quick' (16 gradients, errors stated).
        allow: names of checks that do not stop a diagnosis, such as 'agreement'.

    Raises:
        ConfigError: a number that is out of range; a misspelt key of `diagnosis`; no such check.
    """

    priority = "ABOVE_NORMAL"  # after RuntimeInfoHook, before EMAHook (NORMAL), LoggerHook, CheckpointHook

    def __init__(
        self,
        interval: int = 1,
        persons: int = 16,
        seed: int = 0,
        time_limit: float = 600.0,
        images: int = 4,
        diagnosis: Mapping[str, Any] | None = None,
        allow: Sequence[str] = (),
    ) -> None:
        for name, value, least in (("interval", interval, 1), ("persons", persons, 1), ("images", images, 0)):
            if not isinstance(value, int) or value < least:
                raise ConfigError(f"PoseIGHook: {name} is {value!r}; expected a whole number, at least {least}")
        if not time_limit > 0:
            raise ConfigError(f"PoseIGHook: time_limit is {time_limit!r}; expected seconds, more than 0")
        self.interval, self.persons, self.seed = interval, persons, seed
        self.time_limit, self.images = float(time_limit), images
        self.diagnosis, self.allow = diagnosis, check_names(allow)
        self._by_metric = False  # a PoseIGMetric asks for the numbers

    # ---- MMEngine's points -------------------------------------------------------------------------------------------

    def before_val(self, runner: Any) -> None:
        """Lend the runner to the loop's PoseIGMetric, where it has one."""
        self._lend(runner, "val", runner.val_evaluator)

    def before_test(self, runner: Any) -> None:
        """As `before_val`."""
        self._lend(runner, "test", runner.test_evaluator)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Diagnose, unless a PoseIGMetric has done so already."""
        self._after(runner, "val", metrics)

    def after_test_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """As `after_val_epoch`."""
        self._after(runner, "test", metrics)

    # ---- the work ----------------------------------------------------------------------------------------------------

    def diagnose(self, runner: Any, split: str) -> dict[str, float]:
        """The means of a diagnosis of the runner's model now; empty where none is due, or it failed.

        Args:
            runner: MMEngine's.
            split: 'val' or 'test', whose data the persons are taken from.
        """
        means: dict[str, float] = {}
        problems = ["it could not be begun"]  # until it has been
        with _survived("the diagnosis"):
            if not self._due(runner, split):
                return {}
            problems = self._diagnose(runner, split, means)
        # Every rank comes here, whatever happened on it: all log rank 0's numbers, or none does.
        outcomes = _of_all_ranks((means, problems))
        failed = {rank: problems for rank, (_, problems) in enumerate(outcomes) if problems}
        for rank, texts in failed.items():
            on = f" on rank {rank}" if len(outcomes) > 1 else ""
            _warn(f"PoseIG: nothing is logged of the diagnosis at {_moment(runner, split)}{on}: {'; '.join(texts)}")
        return {} if failed else dict(outcomes[0][0])

    def _diagnose(self, runner: Any, split: str, means: dict[str, float]) -> list[str]:
        """Fill in `means`; what is wrong with them, in words."""
        started = time.perf_counter()
        name = _moment(runner, split)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        before: ModelState | None = None
        shard = MeetingShard(*get_dist_info())
        problems: list[str] = []
        try:
            before = ModelState(model)
            with undisturbed():
                store = self._session(runner, split, model, Path(runner.work_dir) / PREFIX / name, shard).run()
            if store.run.get("status") == "interrupted":
                problems.append(
                    f"it was not done within time_limit = {self.time_limit:g} s ({len(store)} persons are in "
                    f"{store.path}); take fewer persons or a wider interval"
                )
            else:
                means.update({f"{PREFIX}/{key}": value for key, value in index_means(store).items()})
                with _survived("logging pictures"):
                    self._add_images(runner, store)
        except KeyboardInterrupt:  # the user's own
            raise
        except BaseException as error:  # a diagnosis is never a reason to end a training: SystemExit neither
            problems.append(f"it failed ({describe_error(error)}); training goes on")
        finally:
            changed = [] if before is None else before.restore()
        if changed:
            problems.append(
                f"something in it, most likely a plugin, changed the model: {', '.join(changed[:3])}"
                f"{' ...' if len(changed) > 3 else ''}; the model has been put back as it was"
            )
        if problems:
            shard.leave()
            return problems
        seconds = time.perf_counter() - started
        with _survived("logging"):
            print_log(f"PoseIG: {len(store)} persons diagnosed in {seconds:.1f} s; {store.path}", logger="current")
        return []

    def _session(self, runner: Any, split: str, model: Any, place: Path, shard: MeetingShard) -> Session:
        if shard.first:
            shutil.rmtree(place, ignore_errors=True)  # of the same epoch of a training that was resumed before it
        shard.wait_for_others()
        return Session(
            runner.cfg,
            f"(the training in {runner.work_dir}, {place.name})",
            settings=self._settings(runner.cfg, split),
            work_dir=place,
            device=str(next(model.parameters()).device),
            model=model,
            time_limit=self.time_limit,
            shard=shard,
            allow=self.allow,
        )

    def _settings(self, cfg: Any, split: str) -> Settings:
        """The training's, or the hook's own, for this subset."""
        given = self.diagnosis if self.diagnosis is not None else cfg.get("diagnosis")
        unasked: dict[str, Any] = {"report": {"enabled": False}, "store": {"maps": "pooled"}}
        given = {"attribution": {"preset": "quick"}, **(unasked if given is None else given)}
        settings = Settings.parse(given)
        return replace(settings, samples=replace(settings.samples, split=split, limit=self.persons, seed=self.seed))

    def _due(self, runner: Any, split: str) -> bool:
        """Every n-th validation and the last one of a training; every one outside of it."""
        if split == "test" or not _training(runner):
            return True
        loop = runner.train_loop
        now, last = (runner.epoch, loop.max_epochs) if _by_epoch(loop) else (runner.iter, loop.max_iters)
        return bool(now >= last or (now // loop.val_interval) % self.interval == 0)

    def _lend(self, runner: Any, split: str, evaluator: Any) -> None:
        with _survived("looking for a PoseIGMetric"):
            metrics = [metric for metric in evaluator.metrics if isinstance(metric, PoseIGMetric)]
            for metric in metrics:
                metric.diagnose = partial(self.diagnose, runner, split)
            self._by_metric = bool(metrics)

    def _after(self, runner: Any, split: str, metrics: MutableMapping[str, float] | None) -> None:
        if self._by_metric:
            return
        means = self.diagnose(runner, split)
        if metrics is not None:
            metrics.update(means)
        with _survived("logging numbers"):
            for key, value in means.items():
                runner.message_hub.update_scalar(f"{split}/{key}", value)  # RuntimeInfoHook has been there already

    def _add_images(self, runner: Any, store: Store) -> None:
        step = runner.iter if _training(runner) else 0
        for sample_id, picture in overview(store, sorted(store.sample_ids)[: self.images]):
            runner.visualizer.add_image(f"{PREFIX}_{file_stem(sample_id)}", picture, step=step)


@METRICS.register_module()
class PoseIGMetric(BaseMetric):  # type: ignore[misc]
    """The same numbers as one of an evaluator's metrics, for what reads its result (`tools/test.py --out`).

    `val_evaluator = [dict(type="CocoMetric", ...), dict(type="PoseIGMetric")]`, beside PoseIGHook, which has the model
    (an evaluator is given predictions only) and all settings.
    """

    def __init__(self, collect_device: str = "cpu", prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.diagnose: Callable[[], dict[str, float]] | None = None  # given by the hook at the beginning of a loop

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Nothing: predictions tell no evidence."""

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Nothing; see `evaluate`."""
        return {}

    def evaluate(self, size: int) -> dict[str, float]:
        """The hook's numbers, of all processes; `size`, of the data set, has no part in them.

        Raises:
            ConfigError: there is no PoseIGHook.
        """
        if self.diagnose is None:
            raise ConfigError(
                "PoseIGMetric has no model: an evaluator is given predictions only. Add dict(type='PoseIGHook') to the "
                "config's custom_hooks"
            )
        return self.diagnose()


def index_means(store: Store) -> dict[str, float]:
    """Means over a run's visible joints: `di`, `di/leaf`, ..., `epe`, and the medians `residual` and `map_error`.

    What cannot be computed (FI without masks) is left out, since a logged NaN is a gap that nobody can explain.

    Args:
        store: of a run that is done.
    """
    joints = store.joints().filter(pl.col("visible"))
    names = [i["name"] for i in store.run.get("indices", []) if i["kind"] == "joint" and i["name"] in joints.columns]
    means: dict[str, float] = {}
    for name in ("epe", *names):
        values = joints.select("group", pl.col(name).cast(pl.Float64).alias("value")).filter(
            pl.col("value").is_finite()
        )
        if len(values):
            means[name] = float(values["value"].mean())  # type: ignore[arg-type]  # there are some
            groups = values.filter(pl.col("group") != "").group_by("group", maintain_order=True).agg(pl.mean("value"))
            means |= {f"{name}/{group}": float(value) for group, value in groups.rows()}
    for name, column in (("residual", "residual_rel"), ("map_error", "map_error")):
        median = joints[column].drop_nulls().drop_nans().median()
        if median is not None and math.isfinite(float(median)):  # type: ignore[arg-type]
            means[name] = float(median)  # type: ignore[arg-type]
    return means


def _training(runner: Any) -> bool:
    """Whether the runner trains (its loop is a dict, or None, where it does not)."""
    return hasattr(runner._train_loop, "run")


def _by_epoch(loop: Any) -> bool:
    return isinstance(loop, EpochBasedTrainLoop)


def _moment(runner: Any, split: str) -> str:
    """The name of a diagnosis: 'epoch_10', 'iter_5000', or the loop's name where nothing is trained."""
    if split == "test" or not _training(runner):
        return split
    return f"epoch_{runner.epoch}" if _by_epoch(runner.train_loop) else f"iter_{runner.iter}"


def _of_all_ranks(value: Any) -> list[Any]:
    return list(all_gather_object(value)) if is_distributed() else [value]


@contextmanager
def _survived(doing: str) -> Iterator[None]:
    """Whatever is raised inside is a warning; only the user's own interrupt passes."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        _warn(f"PoseIG: {doing} failed ({describe_error(error)}); training goes on")


def _warn(text: str) -> None:
    try:
        print_log(text, logger="current", level=logging.WARNING)
    except KeyboardInterrupt:
        raise
    except BaseException:  # the log itself cannot be written: there is nothing left to say it with
        return
