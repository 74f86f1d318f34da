"""Where the repository's tiny run is; tests that need it skip where this distribution is tested alone."""

from __future__ import annotations

import copy
import gc
import importlib.util
import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from poseig_mm.treatments.base import Trained

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """`tests/helpers/tiny.py`: a drawn data set of three persons, and a config of a tiny model over it."""
    path = ROOT / "tests" / "helpers" / "tiny.py"
    if not path.is_file():
        pytest.skip(f"no {path}")
    spec = importlib.util.spec_from_file_location("tiny", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A config with weights, and with training data: the same three persons."""
    from mmengine.config import Config

    found = tiny.write_run(tmp_path_factory.mktemp("frozen"))
    cfg = Config.fromfile(str(found.config))
    pipeline = [dict(step) for step in cfg.pipeline]
    pipeline.insert(-1, dict(type="GenerateTarget", encoder=dict(cfg.codec)))
    loader = cfg.test_dataloader.to_dict()
    loader.update(batch_size=3, sampler=dict(type="DefaultSampler", shuffle=True))
    loader["dataset"].update(test_mode=False, pipeline=pipeline)
    with found.config.open("a") as file:
        file.write(f"train_dataloader = {loader!r}\n")
        file.write("train_cfg = dict(by_epoch=False, max_iters=7, val_interval=7)\n")  # to be replaced as a whole
    gc.freeze()  # MMPose's data sets collect garbage when they load: half a second each, for modules that stay
    return found


@pytest.fixture
def frozen_cfg(made: Any) -> Any:
    """The frozen model's config, a fresh copy."""
    from mmengine.config import Config

    return Config.fromfile(str(made.config))


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
