"""What a treatment may ask of the finished first diagnosis: a `treatments.base.TreatmentContext`."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mmengine.config import Config

from ..adapters.base import CoordinateAdapter
from ..adapters.build_model import build_model
from ..errors import ConfigError
from ..plugin.manager import PluginHost
from ..settings import Settings
from ..store import Store
from ..treatments.base import Trained
from .identity import digest
from .loop import Progress
from .open import load_adapter
from .training_run import Training


@dataclass(frozen=True)
class RunTreatmentContext:
    """One treatment's.

    Args:
        store: of the first diagnosis.
        first_config: its config.
        settings: its `diagnosis`.
        checkpoint: its weights.
        device: where the model goes.
        folder: of the treatment.
        host: of the plugins.
        identity: what the treatment is; a training of another one is not gone on with.
        on_progress: is told how far something is.
        trial: a few persons and steps, for the time they take.
    """

    store: Store
    first_config: Config
    settings: Settings
    checkpoint: str
    device: str
    folder: Path
    host: PluginHost
    identity: str
    on_progress: Callable[[Progress], None]
    trial: bool = False
    trainings: dict[str, Training] = field(default_factory=dict)  # by arm, of this session

    @property
    def split(self) -> str:
        """Of the held-out persons."""
        return self.settings.samples.split

    @cached_property
    def adapter(self) -> CoordinateAdapter:
        """The model as it was diagnosed."""
        output = self.settings.attribution.output
        adapter = load_adapter(self.first_config, self.checkpoint, self.device, output=output, host=self.host)
        adapter.model.requires_grad_(False)
        return adapter

    def config(self) -> Config:
        """A copy of the first run's, without what it says of the diagnosis."""
        found = copy.deepcopy(self.first_config)
        found.pop("diagnosis", None)
        return found

    def training_config(self) -> Config:
        """A copy, ready to be trained further."""
        found = self.config()
        if not found.get("train_dataloader"):
            raise ConfigError(
                f"config {found.filename or '(no file)'} has no train_dataloader, so there is nothing to train with; "
                "give it one over persons that are not diagnosed, as MMPose's own configs have it"
            )
        return found

    def train(self, config: Config, arm: str, checkpoint: str | Path | None = None) -> Trained:
        """See `TreatmentContext.train`."""
        model = build_model(config, checkpoint, self.device, weights_follow=True)
        if checkpoint is None:
            model.init_weights()
        claim = digest([self.identity, arm, config.get("model"), config.get("train_dataloader"), config.train_cfg])
        training = self.trainings[arm] = Training(config, model, self.folder / "training" / arm, claim)
        began = time.perf_counter()

        def tell(done: int, total: int, loss: float) -> None:
            words = f"training {arm}, loss {loss:.3g}"
            self.on_progress(Progress(words, done, total, time.perf_counter() - began, "steps"))

        return training.run(self.folder / "models" / f"{arm}.pth", tell, trial=self.trial)

    def progress(self, stage: str, done: int, total: int) -> None:
        """See `TreatmentContext.progress`."""
        self.on_progress(Progress(stage, done, total, 0.0, ""))
