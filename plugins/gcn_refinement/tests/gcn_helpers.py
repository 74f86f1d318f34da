"""A training by MMEngine's Runner, and a treatment's context, without a diagnosis."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from poseig_mm.treatments.base import Trained

ROOT = Path(__file__).parents[3]


def run_training(cfg: Any, folder: Path) -> Any:
    """Train a config's model by MMEngine's Runner, every epoch kept; returns the model."""
    from mmengine.runner import Runner

    from poseig_mm.adapters.training_checkpoints import training_checkpoints_readable

    own = copy.deepcopy(cfg)
    own.update(work_dir=str(folder), launcher="none", resume=True, load_from=None)
    own.default_hooks = {"checkpoint": {"type": "CheckpointHook", "interval": 1}}
    for split in ("val", "test"):
        for part in ("dataloader", "cfg", "evaluator"):
            own[f"{split}_{part}"] = None
    with training_checkpoints_readable():
        return Runner.from_cfg(own).train()


@dataclass
class Context:
    """A `TreatmentContext` without a first diagnosis: MMEngine's Runner, and nothing else."""

    made: Any
    folder: Path
    trial: bool = False
    store: Any = None
    device: str = "cpu"
    split: str = "test"
    edit: Callable[[Any], None] = lambda cfg: None  # of the user's config
    told: list[tuple[str, int, int]] = field(default_factory=list)
    spoil: bool = False  # change a frozen weight while training

    @property
    def checkpoint(self) -> str:
        return str(self.made.weights)

    @cached_property
    def adapter(self) -> Any:
        from poseig_mm import load_adapter

        return load_adapter(self.config(), self.checkpoint, "cpu")

    def config(self) -> Any:
        from mmengine.config import Config

        found = Config.fromfile(str(self.made.config))
        self.edit(found)
        return found

    def training_config(self) -> Any:
        return self.config()

    def train(self, config: Any, arm: str, checkpoint: str | Path | None = None) -> Trained:
        import torch

        from poseig_mm.treatments.base import Trained

        model = run_training(config, self.folder / "training" / arm)
        if self.spoil:
            model.backbone.bn1.running_mean += 1
        torch.save({"state_dict": model.state_dict()}, self.folder / f"{arm}.pth")
        steps = config.train_cfg.max_epochs
        return Trained(self.folder / f"{arm}.pth", {"training persons": 3, "steps": steps})

    def progress(self, stage: str, done: int, total: int) -> None:
        self.told.append((stage, done, total))
