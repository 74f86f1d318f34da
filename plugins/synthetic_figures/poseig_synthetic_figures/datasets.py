"""The figures as an MMPose data set in the COCO form; no file is read."""

from __future__ import annotations

from typing import Any

from mmpose.registry import DATASETS

from poseig_mm.errors import ConfigError, did_you_mean

from .drawn import DrawnDataset
from .planting import VARIANTS
from .scene import Scene, draw_scene

__all__ = ["SyntheticFiguresDataset"]


@DATASETS.register_module()
class SyntheticFiguresDataset(DrawnDataset):
    """Articulated figures, drawn when they are asked for: COCO's 17 joints, one annotated person a picture.

    Args:
        split: 'train', 'val' or 'test'.
        length: number of pictures.
        variant: one of `planting.VARIANTS`, or several: picture i then has the (i modulo n)-th.
        removed: leave the planted evidence out, to see whether a model uses it.
        seed: another seed, other pictures in every split.
        others: of MMPose's `BaseCocoStyleDataset` (pipeline, test_mode, ...).

    Raises:
        ConfigError: an unknown split or variant, or a length below 1.
    """

    NAME = "synthetic_figures"
    METAINFO: dict[str, Any] = dict(from_file="configs/_base_/datasets/coco.py")  # noqa: RUF012  (as MMPose has it)

    def __init__(
        self,
        split: str = "train",
        length: int = 1024,
        variant: str | list[str] | tuple[str, ...] = "honest",
        removed: bool = False,
        seed: int = 0,
        **others: Any,
    ) -> None:
        variants = (variant,) if isinstance(variant, str) else tuple(variant)
        if not variants:
            raise ConfigError("variant is empty; expected at least one")
        for name in variants:
            if name not in VARIANTS:
                raise ConfigError(f"there is no variant {name!r}; {did_you_mean(name, VARIANTS)}")
        self.variants, self.removed = variants, removed
        super().__init__(split, length, seed, **others)

    def variant_of(self, index: int) -> str:
        """What is planted in picture `index`."""
        return self.variants[index % len(self.variants)]

    def scene(self, index: int) -> Scene:
        """Picture `index` with all that is known of it: parts, evidence, visibility."""
        return draw_scene(self.seed_of(index), self.variant_of(index), removed=self.removed)
