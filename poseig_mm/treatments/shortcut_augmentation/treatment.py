"""Train a model further with the evidence destroyed that its joints should not be read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import ConfigError
from ...settings_fields import number, whole
from ...studies.shortcuts.study import Shortcuts
from ...types import Section
from ..base import TREATED, Plan, Treated, Treatment, TreatmentContext
from ..training import plain, put, schedule, with_import
from .shortcuts import Shortcut, treatable_shortcuts

if TYPE_CHECKING:
    from mmengine.config import Config

    from ...store.reader import Store

TRANSFORMS_MODULE = "poseig_mm.treatments.shortcut_augmentation.erasing"
CONTROL = "random_places"
WITHOUT = "without the evidence"
TRIED = 32  # training persons, of which it is looked up whether they have masks
PLACES = {
    "mark": "the disc where the mark lies",
    "context": "everything but the person",
    "partner": "the disc around its left-right partner, and the partner's bone",
    "parent": "the disc around its parent, and the parent's bone",
}


@dataclass(frozen=True)
class ShortcutAugmentation(Treatment):
    """Fine-tune with the evidence of every shortcut destroyed at random, beside as many erasures at random places.

    The study `shortcuts` says which joint is read from a mark, the background, its partner or its parent.  A cure can
    only be as good as what else there is to read: where the destroyed evidence is all there is, the joint becomes a
    guess.
    """

    name: ClassVar[str] = "shortcut_augmentation"
    needs_studies: ClassVar[tuple[str, ...]] = (Shortcuts.name,)
    iterations: int = whole(300, least=1)
    lr: float = number(5e-4, above=0)
    batch_size: int | None = whole(None, least=1)  # None: the config's own
    prob: float = number(0.75, above=0, most=1)  # share of the training pictures
    decoys: int = whole(2, least=0)  # further erasures a picture, see `DestroyEvidence`

    def plan(self, context: TreatmentContext) -> Plan:
        """Which joint's evidence is destroyed, and why.

        Raises:
            ConfigError: the model is no top-down model of single images, or there is nothing to train with.
        """
        _check_model(context)
        shortcuts = treatable_shortcuts(context.store)
        if not shortcuts:
            return Plan(
                "", needless="no joint is found to be read from a mark, the background, its partner or its parent"
            )
        self._training_config(context, shortcuts, TREATED)  # it can be made
        _register()
        split = f"{context.split}_dataloader"
        always = self._transforms(shortcuts, prob=1.0, ways=("blur",), decoys=0)
        return Plan(
            what=" ".join(self._sentence(s) for s in shortcuts),
            controls={CONTROL: "as much destroyed at random places"},
            joints=tuple(s.joint for s in shortcuts),
            held_out={WITHOUT: plain(_with_transforms(context.config()[split], always, split))},
            judged_on=WITHOUT,
        )

    def make(self, context: TreatmentContext, arm: str) -> Treated:
        """Train one arm; its config is the user's, with the transforms and the schedule it was trained with."""
        _register()
        shortcuts = treatable_shortcuts(context.store)
        config = self._training_config(context, shortcuts, arm)
        trained = context.train(config, arm, context.checkpoint)
        about = {
            "destroyed": "; ".join(f"{s.joint}: {PLACES[s.code]}" for s in shortcuts)
            if arm == TREATED
            else "as much at random places",
            "in so many of the pictures": self.prob,
            "learning rate": self.lr,
            **_about_masks(config, shortcuts),
            **trained.about,
        }
        return Treated(config, trained.checkpoint, about)

    def sections(self, before: Store, after: Store) -> Sequence[Section]:
        """The recipe, to go on with in a training of one's own."""
        from .recipe import recipe_section

        return (recipe_section(before, after),)

    def _training_config(self, context: TreatmentContext, shortcuts: Sequence[Shortcut], arm: str) -> Config:
        config = context.training_config()
        transforms = self._transforms(shortcuts, prob=self.prob, decoys=self.decoys, elsewhere=arm != TREATED)
        config.train_dataloader = _with_transforms(config.train_dataloader, transforms, "train_dataloader")
        if self.batch_size is not None:
            config.train_dataloader.batch_size = self.batch_size
        kind = config.get("optim_wrapper", {}).get("type", "OptimWrapper")
        put(config, schedule(lr=self.lr, iterations=self.iterations))
        config.optim_wrapper["type"] = kind  # mixed precision, say
        with_import(config, TRANSFORMS_MODULE)
        return config

    def _transforms(self, shortcuts: Sequence[Shortcut], **settings: Any) -> list[dict[str, Any]]:
        return [{"type": "DestroyEvidence", **s.evidence, **settings} for s in shortcuts]

    def _sentence(self, shortcut: Shortcut) -> str:
        how = "blurred or replaced by another picture's content at the same place"
        return (
            f"{shortcut.words}: in {100 * self.prob:.0f} % of the training pictures {PLACES[shortcut.code]} is {how}; "
            "the joints' own surroundings are left alone."
        )


def _register() -> None:
    """The transforms, in MMPose's registry."""
    from . import erasing  # noqa: F401


def _with_transforms(loader: Any, transforms: Sequence[Mapping[str, Any]], place: str) -> Any:
    from .pipelines import with_transforms

    return with_transforms(loader, transforms, place)


def _check_model(context: TreatmentContext) -> None:
    adapter = context.adapter
    if not adapter.takes_images or adapter.unit != "px":
        raise ConfigError(
            f"shortcut_augmentation got a model of {'images' if adapter.takes_images else 'sequences of poses'} with "
            f"coordinates in {adapter.unit}; expected a top-down model of single images with coordinates in px"
        )


def _about_masks(config: Config, shortcuts: Sequence[Shortcut]) -> dict[str, str]:
    """How many training persons have a mask, where the background is destroyed; {} elsewhere."""
    if all(s.code != "context" for s in shortcuts):
        return {}
    from ...data.building import build_dataset
    from ...data.person_masks import segmentation_of

    dataset = build_dataset(config, "train", [])
    tried = range(0, len(dataset), max(1, len(dataset) // TRIED))
    masked = [bool(segmentation_of(dataset.get_data_info(i))) for i in tried]
    return {
        "the person is": f"annotated, for {sum(masked)} of {len(masked)} training persons that were looked at"
        + ("" if all(masked) else "; for the others discs and bones of the annotated joints")
    }
