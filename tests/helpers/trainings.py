"""Trainings over the tiny data set, with the hook or without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tiny import FAST, tiny

__all__ = ["DIAGNOSIS", "HOOK", "config_of", "runner_of", "scalars"]

HOOK = {"type": "PoseIGHook", "persons": 2, "images": 1}
DIAGNOSIS = {"attribution": FAST, "report": {"enabled": False}, "indices": ["di", "fi", "li"]}


def config_of(made: tiny, work_dir: Path, *, epochs: int = 2, hooks: list[dict[str, Any]], **changes: Any) -> Any:
    """A training over the tiny data set, with a random flip (random numbers) and batch norm."""
    from mmengine.config import Config

    from poseig_mm.compat import prepare_environment

    prepare_environment()
    cfg = Config.fromfile(str(made.config))
    cfg.custom_imports = {"imports": ["mmpose", "poseig_mm.integrations.mmengine"], "allow_failed_imports": False}
    data = cfg.test_dataloader.dataset.to_dict()
    transforms = [*data["pipeline"][:2], {"type": "RandomFlip"}, data["pipeline"][2]]
    transforms += [{"type": "GenerateTarget", "encoder": cfg.codec.to_dict()}, data["pipeline"][3]]
    cfg.train_dataloader = {
        **{"batch_size": 2, "num_workers": 0, "sampler": {"type": "DefaultSampler", "shuffle": True}},
        "dataset": {**data, "test_mode": False, "pipeline": transforms},
    }
    cfg.model.head.loss = {"type": "KeypointMSELoss", "use_target_weight": True}
    cfg.train_cfg = {"by_epoch": True, "max_epochs": epochs, "val_interval": 1}
    cfg.val_cfg = cfg.test_cfg = {}
    cfg.optim_wrapper = {"type": "OptimWrapper", "optimizer": {"type": "Adam", "lr": 1e-3}}
    cfg.val_evaluator = cfg.test_evaluator = [{"type": "EPE"}]
    cfg.visualizer = {"type": "PoseLocalVisualizer", "vis_backends": [{"type": "LocalVisBackend"}]}
    cfg.randomness = {"seed": 3}
    cfg.work_dir, cfg.custom_hooks, cfg.load_from = str(work_dir), hooks, str(made.weights)
    cfg.experiment_name = (
        f"{work_dir.parent.name}-{work_dir.name}"  # MMEngine's loggers and visualizers are one a name in a process
    )
    cfg.merge_from_dict(changes)
    return cfg


def runner_of(*args: Any, **kwargs: Any) -> Any:
    from mmengine.runner import Runner
    from mmengine.utils import import_modules_from_strings

    cfg = config_of(*args, **kwargs)
    import_modules_from_strings(**cfg.custom_imports)
    return Runner.from_cfg(cfg)


def scalars(work_dir: Path) -> list[dict[str, Any]]:
    (path,) = work_dir.glob("*/vis_data/scalars.json")
    return [json.loads(line) for line in path.read_text().splitlines()]
