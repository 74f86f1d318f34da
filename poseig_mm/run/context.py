"""What studies ask of a run: its model, its own way of making maps with some settings changed, its indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from ..adapters.base import CoordinateAdapter
from ..functional.maps import batch_of_one
from ..indices.base import Index, compute_indices
from ..store.atomic import make_dir
from ..store.file_names import check_plain_name
from ..store.parts import check_inside
from ..types import Attribution, JointGroups, Sample
from .diagnose import index_inputs, places_of
from .explainer import Explainer


@dataclass(frozen=True)
class RunContext:
    """A `studies.base.StudyContext`, one a run.

    Args:
        explainer: the run's way to a map; its model is inside its `frozen()`.
        run_indices: the run's.
        groups: of the joints.
        pictures: folder for `save_picture`.
    """

    explainer: Explainer
    run_indices: Sequence[Index]
    groups: JointGroups
    pictures: Path

    @property
    def adapter(self) -> CoordinateAdapter:
        """The model as it is."""
        return self.explainer.adapter

    @property
    def unit(self) -> str:
        """Of coordinates and errors."""
        return self.explainer.adapter.unit

    @property
    def alpha(self) -> float:
        """See `Explainer.alpha`."""
        return self.explainer.alpha

    @property
    def seed(self) -> int:
        """`diagnosis.attribution.seed`."""
        return self.explainer.settings.seed

    def of(self, sample: Sample) -> RunContext:
        """The same, bound to a sample's person; itself, except where the model finds several persons in an image."""
        image = sample.image[None].to(self.explainer.device, self.explainer.dtype)
        bound = self.explainer.bound(image, places_of([sample]).to(image))
        return self if bound is self.explainer else replace(self, explainer=bound)

    def predict(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> the model's own decoding (N, K, D), on the CPU."""
        return torch.cat([self.adapter.predict(part).cpu() for part in self._parts(images)])

    def coordinates(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> the differentiable decoding (N, K, D), on the CPU, without gradient."""
        with torch.no_grad():
            return torch.cat([self.adapter(part).coords.cpu() for part in self._parts(images)])

    def attribute(
        self, sample: Sample, *, image: Tensor | None = None, changed_model: bool = False, **changes: Any
    ) -> Attribution:
        """Maps of one sample; see `StudyContext.attribute`."""
        explainer = self.explainer.with_(**changes)
        if changed_model:
            explainer = explainer.after_change()
        return explainer.attribute(sample if image is None else replace(sample, image=image))

    def indices(self, sample: Sample, attribution: Attribution) -> Mapping[str, Tensor]:
        """name -> (K,), or (K, K) for a relation; an index that raises is NaN."""
        batch = batch_of_one(attribution)
        maps = batch.maps
        truth, places = sample.keypoints[None].to(maps), places_of([sample]).to(maps)
        prediction = self.predict(sample.image[None]).to(maps)
        inputs = index_inputs([sample], batch, truth, prediction, places=places, explainer=self.explainer)
        values, _ = compute_indices(self.run_indices, inputs, batch.reasons)
        return {name: value[0].cpu() for name, value in values.items()}

    def save_picture(self, study: str, stem: str, image: Image) -> Path:
        """Write `<pictures>/<study>/<stem>.jpg`; its path.

        Raises:
            StoreError: a name that is no plain file name, or the folder leads out of the work dir.
        """
        folder = self.pictures / check_plain_name(study, "a study's name")
        path = folder / f"{check_plain_name(stem, 'the stem of a picture')}.jpg"
        check_inside(self.pictures.parent, folder)
        make_dir(folder)
        path.unlink(missing_ok=True)  # a link would be followed
        image.convert("RGB").save(path, quality=88)
        return path

    def _parts(self, images: Tensor) -> list[Tensor]:
        """Images in batches of the run's `chunk`, on the model's device."""
        explainer = self.explainer
        return [part.to(explainer.device, explainer.dtype) for part in images.split(explainer.chunk)]
