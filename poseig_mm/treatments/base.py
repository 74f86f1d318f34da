"""What a treatment is: a change of a model that its diagnosis calls for, to be told from the change of its controls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..settings_fields import check_fields

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..adapters.base import CoordinateAdapter
    from ..store.reader import Store
    from ..types import Section

BEFORE, TREATED = "before", "treated"  # the model as it was diagnosed; the arm that is treated


@dataclass(frozen=True)
class Plan:
    """What a treatment is going to do, said before it does anything."""

    what: str  # in sentences: what the diagnosis calls for, and what is trained on which data
    # beside `TREATED`: arm -> in a few words what it is, e.g. {'identity': 'no edges'}.  Trained alike, without the one
    # thing that is to be the cure
    controls: Mapping[str, str] = field(default_factory=dict)
    joints: tuple[str, ...] = ()  # names of those that it is meant for; (): all
    # held-out data beside the config's own: a few words -> config of the data loader in the place of the split's
    held_out: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # of `held_out`, on which treatment and controls are judged; '': on the config's own.  A model that no longer trusts
    # a shortcut is expected to do a little worse where that is still there
    judged_on: str = ""
    passes: int = 0  # persons that go through the model before the training, to know what it will take
    needless: str = ""  # why there is nothing to treat, in a sentence: then nothing is done


@dataclass(frozen=True)
class Treated:
    """A changed model, as a config and a checkpoint that load like any of MMPose's."""

    config: Config
    checkpoint: Path
    about: Mapping[str, Any] = field(default_factory=dict)  # what was trained, on what, how long; shown in this order


@dataclass(frozen=True)
class Trained:
    """What a training of `TreatmentContext.train` left."""

    checkpoint: Path  # the weights and nothing else
    about: Mapping[str, Any]  # 'training persons', 'steps', 'batch', 'seconds', 'loss' (of the last steps)


class TreatmentContext(Protocol):
    """What a treatment may ask: the finished first diagnosis, its model, and a training."""

    @property
    def store(self) -> Store:
        """Of the first diagnosis; in a trial (`trial`) of a few persons."""

    @property
    def adapter(self) -> CoordinateAdapter:
        """The model as it was diagnosed, frozen; `.model` is MMPose's.  Whoever changes it gives it back as it was."""

    @property
    def checkpoint(self) -> str:
        """Its weights, a file."""

    @property
    def device(self) -> str:
        """'cpu', 'cuda', ..."""

    @property
    def split(self) -> str:
        """Of the held-out persons: 'test' or 'val', whose data loader the config's is."""

    @property
    def folder(self) -> Path:
        """For what the treatment keeps itself, such as a cache; it is there when a later session goes on."""

    @property
    def trial(self) -> bool:
        """Nothing but the time is asked for (--dry-run): a few persons are enough of everything."""

    def config(self) -> Config:
        """The model's config, a copy to change."""

    def training_config(self) -> Config:
        """The same, ready to be trained further.

        Raises:
            ConfigError: it has no `train_dataloader`; what to give.
        """

    def train(self, config: Config, arm: str, checkpoint: str | Path | None = None) -> Trained:
        """Train a config's model by MMEngine's Runner; a training that was interrupted goes on.

        Args:
            config: with `train_dataloader`, `train_cfg`, `optim_wrapper`, `param_scheduler`.
            arm: whose training it is.
            checkpoint: weights to begin with; None: as the model's `init_weights` leaves them.

        Raises:
            TrainingError: the loss is no number, the disk is full, or no batch can be made.
            StoreError: another training's checkpoints lie there.
        """

    def progress(self, stage: str, done: int, total: int) -> None:
        """Say how far something long is, e.g. ('frozen heatmaps', 64, 8192)."""


class Treatment(ABC):
    """Base of all treatments.

    A treatment with settings is a frozen dataclass whose fields have defaults, as a study is:
    `dict(type='<name>', field=value)` in `diagnosis.treatments` changes them.

    `run/treat.py` does the rest, for all alike: the first diagnosis, trainings that go on where they stopped, what
    every arm predicts for all held-out persons, the second diagnosis, and the page with a verdict.
    """

    name: ClassVar[str]
    needs_studies: ClassVar[tuple[str, ...]] = ()  # whose rows `plan` reads: the first diagnosis has them then

    def __post_init__(self) -> None:
        """Check the fields of a treatment that is a dataclass.

        Raises:
            ConfigError: a value that its field does not take.
        """
        check_fields(self, f"treatment {self.name!r}: ")

    @abstractmethod
    def plan(self, context: TreatmentContext) -> Plan:
        """What is going to be done, from the first diagnosis; nothing is trained here.

        Raises:
            ConfigError: it cannot be done to this model or with these data, and what could.
        """

    @abstractmethod
    def make(self, context: TreatmentContext, arm: str) -> Treated:
        """The changed model of one arm: `TREATED`, or one of the plan's controls.

        Called once an arm; where it was interrupted, once more.
        """

    def sections(self, before: Store, after: Store) -> Sequence[Section]:
        """Further parts of the page, from the stores of both diagnoses."""
        return ()
