"""From a heatmap config to a refined one, and its training by MMEngine's runner."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poseig_mm.adapters.training_checkpoints import training_checkpoints_readable
from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError
from poseig_mm.store.atomic import make_dir, publish

from .skeleton import skeleton_of_config

__all__ = ["IMPORT", "put", "refined_config", "save_weights", "schedule", "train", "with_import"]

IMPORT = "poseig_gcn_refinement.estimator"
WARM_UP = 500  # steps at most; a rate of 1e-3 from the first step on undoes the identity start


def refined_config(cfg: Any, checkpoint: str | Path | None, refiner: Mapping[str, Any] | None = None) -> Any:
    """A copy of a top-down heatmap config whose model is refined; the skeleton is that of its data sets.

    Args:
        cfg: an mmengine `Config`.
        checkpoint: the frozen model's weights.
        refiner: settings of the block; None: its defaults.

    Raises:
        ConfigError: no data set tells the skeleton, or the model is refined already.
    """
    found = copy.deepcopy(cfg)
    kind = str(found.model.get("type", ""))
    if kind.rpartition(".")[2] == "RefinedPoseEstimator":
        raise ConfigError("the config's model is a RefinedPoseEstimator already; give the frozen model's config")
    skeleton = found.model.get("skeleton") or skeleton_of_config(found)
    found.model.update(
        type="RefinedPoseEstimator",
        refiner={"type": "GCNRefiner", **(refiner or {})},
        skeleton=skeleton,
        frozen_checkpoint=None if checkpoint is None else str(checkpoint),
    )
    with_import(found, IMPORT)
    return found


def with_import(cfg: Any, module: str) -> None:
    """Add a module to the config's `custom_imports`, in place."""
    imports = cfg.get("custom_imports") or {}
    given = imports.get("imports") or []
    names = [given] if isinstance(given, str) else list(given)
    cfg.custom_imports = {**imports, "imports": list(dict.fromkeys([*names, module]))}


def put(cfg: Any, entries: Mapping[str, Any]) -> None:
    """Put entries in the place of those a config has (`Config.update` would merge the two), in place."""
    for name, value in entries.items():
        cfg[name] = value


def schedule(epochs: int, steps_per_epoch: int, lr: float = 1e-3) -> dict[str, Any]:
    """Config entries for `put`: Simple Baseline's schedule, with a warm-up.

    Adam, with drops after 9 and 12 of 14 parts.

    >>> schedule(140, 1000)['param_scheduler'][1]['milestones']
    [90, 120]
    """
    warm_up = max(2, min(WARM_UP, epochs * steps_per_epoch // 10))  # one step alone would stay at its end
    drops = sorted({max(1, round(epochs * part / 14)) for part in (9, 12)})
    return {
        "train_cfg": {"by_epoch": True, "max_epochs": epochs},
        "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "Adam", "lr": lr}},
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 1e-3, "begin": 0, "end": warm_up, "by_epoch": False},
            {"type": "MultiStepLR", "milestones": drops, "gamma": 0.1, "begin": 0, "end": epochs, "by_epoch": True},
        ],
        "default_hooks": {
            "logger": {"type": "LoggerHook", "interval": 50},
            "checkpoint": {"type": "CheckpointHook", "interval": 1, "max_keep_ckpts": 1},
        },
        "log_processor": {"by_epoch": True},
        "custom_hooks": [],
        "auto_scale_lr": {"enable": False},
    }


def train(cfg: Any, work_dir: str | Path, *, launcher: str = "none") -> Any:
    """Train by MMEngine's runner, from where an earlier training in `work_dir` stopped; returns the model.

    Nothing is evaluated on the way: a study does that afterwards, of every model alike.
    """
    prepare_environment()
    from mmengine.runner import Runner

    found = copy.deepcopy(cfg)
    found.work_dir, found.launcher, found.resume, found.load_from = str(work_dir), launcher, True, None
    for split in ("val", "test"):
        for part in ("dataloader", "cfg", "evaluator"):
            found[f"{split}_{part}"] = None
    with training_checkpoints_readable():
        return Runner.from_cfg(found).train()


def save_weights(model: Any, path: str | Path) -> None:
    """All weights and nothing else: a checkpoint that every torch reads, unlike MMEngine's, without running its
    pickle.
    """
    import io

    import torch

    buffer = io.BytesIO()
    torch.save({"state_dict": model.state_dict(), "meta": {}}, buffer)
    make_dir(Path(path).parent)
    publish(Path(path), buffer.getvalue())
