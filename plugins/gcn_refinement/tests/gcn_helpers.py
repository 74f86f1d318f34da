"""A training by MMEngine's Runner, and a treatment's context, without a diagnosis."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from poseig_mm.run.treatment_context import RunTreatmentContext

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


def context_of(
    made: Any, folder: Path, *, edit: Callable[[Any], None] = lambda cfg: None, trial: bool = False
) -> tuple[RunTreatmentContext, list[tuple[str, int, int]]]:
    """A treatment's context over the tiny run, without a first diagnosis, and what it is told.

    Args:
        made: the run.
        folder: of the treatment.
        edit: of the user's config.
        trial: as for --dry-run.
    """
    from mmengine.config import Config

    from poseig_mm.plugin.manager import PluginHost
    from poseig_mm.run.treatment_context import RunTreatmentContext
    from poseig_mm.settings import Settings

    config = Config.fromfile(str(made.config))
    edit(config)
    told: list[tuple[str, int, int]] = []
    context = RunTreatmentContext(
        store=None,
        first_config=config,
        settings=Settings.parse(config.diagnosis),
        checkpoint=str(made.weights),
        device="cpu",
        folder=folder,
        host=PluginHost(entry_points=False),
        identity="",
        on_progress=lambda p: told.append((p.stage, p.done, p.total)),
        trial=trial,
    )
    return context, told
