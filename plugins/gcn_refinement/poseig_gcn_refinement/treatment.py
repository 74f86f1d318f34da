"""The treatment `gcn_refinement`: a graph block behind the frozen model, trained on its cached heatmaps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from poseig_mm.errors import ConfigError, TrainingError
from poseig_mm.settings_fields import checked, number, one_of, whole
from poseig_mm.treatments.base import TREATED, Plan, Treated, Treatment, TreatmentContext
from poseig_mm.treatments.training import put, schedule

if TYPE_CHECKING:
    from mmengine.config import Config

__all__ = ["GCNRefinement"]

CONTROLS = {"identity": "no edges", "random": "random edges", "skeleton": "the bones alone"}
TRIED_PERSONS = 8  # of a trial
MOST_SEED = 2**32 - 1  # that NumPy's generators of MMEngine take


@dataclass(frozen=True)
class GCNRefinement(Treatment):
    """Train the block over a graph of joints, and over the graphs that it is to be told from."""

    name: ClassVar[str] = "gcn_refinement"
    epochs: int = whole(14, least=1)  # of each block
    batch_size: int = whole(64, least=1)
    lr: float = number(1e-3, above=0)
    passes: int = whole(1, least=1)  # over the training data with other random transforms, cached
    train_persons: int | None = whole(None, least=1)  # the first N of a seeded order; None: all of the training data
    order: int = whole(3, least=1)
    hidden: int = whole(256, least=1)
    depth: int = whole(3, least=1)
    dropout: float = number(0.0, least=0, below=1)
    graph: str = one_of("skeleton", "partners")
    controls: tuple[str, ...] = checked(
        ("identity", "random"),
        f"some of {', '.join(CONTROLS)}",
        lambda v: not isinstance(v, str) and set(v) <= {*CONTROLS},
    )
    # of the block's start, the order of batches, the random graph, the choice of persons
    seed: int = checked(0, f"from 0 to {MOST_SEED}", lambda v: type(v) is int and 0 <= v <= MOST_SEED)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.graph in self.controls:
            raise ConfigError(f"treatment {self.name!r}: {self.graph!r} is the graph and among its controls")

    def plan(self, context: TreatmentContext) -> Plan:
        """See `Treatment.plan`.

        Raises:
            ConfigError: a model without heatmaps, or that is refined already; no training data, or not a batch of it; a
                skeleton that does not fit.
        """
        from poseig_mm.adapters.build_model import build_model

        from .estimator import refuse_other_heads

        head = getattr(context.adapter.model, "head", None)
        refuse_other_heads(head)
        config = self._config(context.training_config(), context, TREATED)
        block = build_model(config, weights_follow=True).head.refiner  # raises where the skeleton does not fit
        persons = self._count(context, config)
        if persons * self.passes < self.batch_size:
            raise ConfigError(
                f"treatment {self.name!r}: {persons} training persons, taken {self.passes} times, make no batch of "
                f"{self.batch_size}; lower batch_size, or give more"
            )
        steps = self.epochs * (persons * self.passes // self.batch_size)
        bones = "bones" if self.graph == "skeleton" else "bones and pairs of left-right partners"
        what = (
            f"Each joint is read anew from its own heatmap and its neighbours' in a graph of {bones}: a block of "
            f"{self.depth} graph convolutions ({_weights(block)} weights) behind the model's {type(head).__name__}. "
            f"All else is frozen. It is trained for {steps} steps of {self.batch_size} on the frozen heatmaps of "
            f"{persons} persons of `train_dataloader`."
        )
        return Plan(what, {name: CONTROLS[name] for name in self.controls}, passes=persons * self.passes)

    def make(self, context: TreatmentContext, arm: str) -> Treated:
        """See `Treatment.make`.  All arms share one cache, start, order of batches and number of steps.

        Raises:
            TrainingError: the training changed the frozen part.
        """
        from poseig_mm.adapters.build_model import build_model
        from poseig_mm.adapters.checkpoints import read_checkpoint
        from poseig_mm.run.training_run import save_weights
        from poseig_mm.seeding import random_states_kept

        from .cache import cache_heatmaps, cached_loader, frozen_digest

        config = self._config(context.training_config(), context, arm)
        with random_states_kept(self.seed):
            model = build_model(config, device=context.device, weights_follow=True)
        model.init_weights()
        persons, passes = (TRIED_PERSONS, 1) if context.trial else (self.train_persons, self.passes)
        cache = cache_heatmaps(
            config,
            model,
            context.folder / "cache",
            passes=passes,
            seed=self.seed,
            persons=persons,
            on_progress=partial(context.progress, "frozen heatmaps"),
        )
        items = json.loads((cache / "cache.json").read_text(encoding="utf-8"))["persons"]
        if context.trial:  # the few are taken again and again, in as many steps as all would be
            items = self._count(context, config) * self.passes
        config.train_dataloader = cached_loader(cache, config.model.head.decoder, self.batch_size, items)
        put(config, schedule(lr=self.lr, epochs=self.epochs, steps=items // self.batch_size))
        config.randomness, config.custom_hooks = {"seed": self.seed}, []
        config.model.train_cfg = {**(config.model.get("train_cfg") or {}), "compute_acc": False}
        start = context.folder / "starts" / f"{arm}.pth"
        save_weights(model, start)
        trained = context.train(config, arm, start)
        start.unlink()
        if frozen_digest(read_checkpoint(trained.checkpoint)[0]) != frozen_digest(model.state_dict()):
            raise TrainingError(f"the training of {arm!r} changed the frozen model; please report this")
        about = {
            "frozen": Path(context.checkpoint).name,
            "edges": CONTROLS.get(arm, self.graph),
            "weights of the block": _weights(model.head.refiner),
            **trained.about,
            "times each person is taken": self.passes,
        }
        return Treated(self._config(context.config(), context, arm), trained.checkpoint, about)

    def _config(self, config: Config, context: TreatmentContext, arm: str) -> Config:
        """The refined model's: alike for all arms but for the graph."""
        from .refined_config import refined_config

        same = {name: getattr(self, name) for name in ("order", "hidden", "depth", "dropout", "seed")}
        graph = self.graph if arm == TREATED else arm
        refiner = {"graph": graph, **same}
        if graph == "random":
            refiner["as_many_as"] = self.graph
        return refined_config(config, context.checkpoint, refiner)

    def _count(self, context: TreatmentContext, config: Config) -> int:
        """How many persons there are to train with, at most `train_persons`."""
        from .cache import training_source

        return len(training_source(config, context.adapter.model, self.seed, self.train_persons))


def _weights(block: Any) -> int:
    """How many parameters a block has."""
    return sum(parameter.numel() for parameter in block.parameters())
