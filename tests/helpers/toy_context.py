"""A model whose answers are worked out by hand: each joint is moved by what happens to its own patch of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poseig_mm.types import Attribution, Finding, JointGroups, Sample

__all__ = ["ToyContext", "toy_finding", "toy_groups", "toy_sample", "toy_store"]


def toy_groups(names: Sequence[str], groups: Sequence[str] | None = None) -> JointGroups:
    """Joints without bones, in one group unless told otherwise."""
    return JointGroups(tuple(names), tuple(groups or ["all_of_them"] * len(names)), (-1,) * len(names), (), ())


@dataclass
class ToyContext:
    """A `StudyContext`: joint k lies at truth_k + (offset + gain_k * c, 0), c the mean change of its patch from
    `image`.

    The mean is over the pixels of the patch and over channels; `offset` is the EPE on the image itself (0 by default).
    It counts the images that it is asked about (`seen`), and refuses to make maps.
    """

    image: Tensor  # (C, H, W) of which the changes are measured
    patches: Tensor  # (K, H, W) bool
    truth: Tensor  # (K, D)
    gain: Tensor  # (K,) px for a change of 1
    groups: JointGroups
    offset: float = 0.0  # px
    low: tuple[float, ...] = (-2.0, -2.0, -2.0)  # black and white in the normalised input
    high: tuple[float, ...] = (2.0, 2.0, 2.0)
    unit: str = "px"
    seed: int = 0
    alpha: float = 0.075
    seen: int = 0

    @property
    def adapter(self) -> Any:
        return SimpleNamespace(pixel_range=lambda: (self.low, self.high), unit=self.unit, stride=4)

    def coordinates(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        change = (images - self.image).mean(1).double()  # (N, H, W)
        weights = self.patches.double() / self.patches.sum((1, 2))[:, None, None]
        moved = self.offset + self.gain * torch.einsum("nhw,khw->nk", change, weights)
        coords = self.truth.expand(len(images), -1, -1).clone()
        coords[..., 0] += moved
        return coords

    predict = coordinates

    def attribute(self, sample: Sample, **changes: Any) -> Attribution:
        raise NotImplementedError

    def indices(self, sample: Sample, attribution: Attribution) -> dict[str, Tensor]:
        raise NotImplementedError

    def save_picture(self, study: str, stem: str, image: Any) -> Path:
        raise NotImplementedError


def toy_sample(image: Tensor, truth: Tensor, sample_id: str = "1-1", visible: Sequence[bool] | None = None) -> Sample:
    """One person with this image (C, H, W) and truth (K, D); every joint is visible unless told otherwise."""
    shown = torch.ones(len(truth), dtype=torch.bool) if visible is None else torch.tensor(visible)
    display = np.zeros((*image.shape[1:], 3), np.uint8)
    return Sample(
        sample_id, "1", sample_id, "", image, display, truth, shown, None, "none", np.eye(3)[:2], pixels=truth[:, :2]
    )


def toy_finding(context: ToyContext, maps: Tensor, sample_id: str = "1-1", **options: Any) -> Finding:
    """What a run would hand to a study: the context's own prediction, maps (K, H, W) as given; NaN ones have
    'zero_map'.
    """
    k = len(maps)
    sample = toy_sample(context.image, context.truth, sample_id, **options)
    none = torch.full((k,), torch.nan, dtype=torch.float64)
    reasons = ("" if m.isfinite().all() else "zero_map" for m in maps)
    coords = context.coordinates(context.image[None])
    attribution = Attribution(
        maps, none, none, none, none, none, none > 0, none.nan_to_num().long(), tuple(reasons), None, coords[0]
    )
    return Finding(sample, attribution, coords[0], context.truth, {}, ("",) * k, 0.0)


class toy_store:
    """As much of a `Store` as a section asks for: one study's table, run.json, the joints' groups, no pictures.

    >>> toy_store('counting', [{'sample_id': '1-1', 'n': 2}]).study('counting')['n'].to_list()
    [2]
    """

    def __init__(
        self, study: str, rows: Sequence[Any], groups: JointGroups | None = None, run: dict[str, Any] | None = None
    ) -> None:
        from poseig_mm.store.batch import study_frame

        self._table, self.studies, self.groups, self.run = study_frame(study, rows), (study,), groups, run or {}

    def study(self, name: str) -> Any:
        assert name in self.studies
        return self._table

    def samples(self) -> Any:
        """Every person in an image of its own."""
        ids = self._table["sample_id"].unique(maintain_order=True)
        return ids.to_frame().with_columns(ids.alias("image_id"))

    def pictures(self, study: str) -> list[Path]:
        return []
