"""What studies ask of a run: its model, its own way of making maps with some settings changed, its indices."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from ..adapters.base import CoordinateAdapter
from ..attribution.acceleration import Acceleration
from ..attribution.methods import call_method
from ..errors import ConfigError, did_you_mean
from ..functional.fast_backward import FastBackward
from ..indices.base import Index, compute_indices
from ..settings import AttributionSettings, Settings
from ..store.atomic import make_dir
from ..types import Attribution, JointGroups, Sample
from .diagnose import index_inputs, places_of
from .explainer import Target, check_quadrature

__all__ = ["Experiment"]

# Settings that the model was made ready with, or that concern more than a map: a change of them would be ignored.
_OF_THE_RUN = frozenset({"preset", "beta", "dtype", "backward_dtype", "locality", "frame", "residual_threshold"})


class Experiment:
    """A `studies.base.StudyContext`, one a run.

    Args:
        settings: `diagnosis.attribution`.
        adapter: the model as it is, inside its `frozen()`.
        acceleration: what attribution runs on.
        methods: attribution methods by name.
        target: makes a `Target` of changed settings.
        indices: the run's.
        groups: of the joints.
        pictures: folder for `save_picture`.
        alpha: of exp_l2, per unit of the coordinates, that errors as usual of this model ask for.
        device, dtype: of the model.
    """

    def __init__(
        self,
        settings: AttributionSettings,
        adapter: CoordinateAdapter,
        acceleration: Acceleration,
        methods: Mapping[str, Callable[..., Attribution]],
        target: Callable[[AttributionSettings], Target],
        indices: Sequence[Index],
        groups: JointGroups,
        *,
        pictures: Path,
        alpha: float,
        device: str,
        dtype: torch.dtype,
    ) -> None:
        self.adapter, self.groups, self.unit, self.seed = adapter, groups, adapter.unit, settings.seed
        self.alpha = alpha
        self._settings, self._acceleration, self._methods, self._indices = settings, acceleration, methods, indices
        self._make_target = target
        self._pictures, self._device, self._dtype = pictures, device, dtype

    def of(self, sample: Sample) -> Experiment:
        """The same, bound to a sample's person; itself, except where the model finds several persons in an image."""
        image = sample.image[None].to(self._device, self._dtype)
        bound = self.adapter.bind(image, places_of([sample]).to(image))
        if bound is self.adapter:
            return self
        twin = copy.copy(self)
        twin.adapter, twin._acceleration = bound, self._acceleration.bound(bound)
        return twin

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
        """Maps of one sample (B = 1); see `StudyContext.attribute`."""
        settings, target = self._changed(changes)
        pixels = (sample.image if image is None else image)[None].to(self._device, self._dtype)
        truth = sample.keypoints[None].to(pixels)
        prediction = self.adapter.predict(pixels)
        visible = sample.visible[None].to(pixels.device)
        arguments = target.arguments(truth, prediction, visible)
        adapter, backward = self._acceleration.adapter, self._acceleration.backward
        if changed_model or settings.compute == "exact":
            adapter = self.adapter
            # it keeps prepared weights, so a changed model needs a new one
            backward = None if backward is None or settings.compute == "exact" else FastBackward(backward.dtype)
        method = self._methods[settings.method]
        with torch.enable_grad():  # also where the study is inside a `no_grad` of its own
            reference = target.reference(truth, prediction)
            return call_method(method, adapter, pixels, reference, **arguments, backward=backward)

    def indices(self, sample: Sample, attribution: Attribution) -> Mapping[str, Tensor]:
        """name -> (K,), or (K, K) for a relation; an index that raises is NaN."""
        maps = attribution.maps
        truth = sample.keypoints[None].to(maps)
        coords = truth if attribution.coords is None else attribution.coords
        inputs = index_inputs(
            [sample],
            attribution,
            truth,
            coords,
            places=places_of([sample]).to(maps),
            adapter=self.adapter,
            locality=self._settings.locality,
            frame=self._settings.frame,
        )
        values, _ = compute_indices(self._indices, inputs, attribution.reasons)
        return {name: value[0].cpu() for name, value in values.items()}

    def save_picture(self, study: str, stem: str, image: Image) -> Path:
        """Write `<pictures>/<study>/<stem>.jpg`; its path."""
        folder = self._pictures / study
        make_dir(folder)
        path = folder / f"{stem}.jpg"
        image.convert("RGB").save(path, quality=88)
        return path

    def _parts(self, images: Tensor) -> list[Tensor]:
        """Images in batches of the run's `chunk`, on the model's device."""
        size = self._settings.chunk or self.adapter.most_at_once or (8 if self._device == "cpu" else 64)
        return [part.to(self._device, self._dtype) for part in images.split(size)]

    def _changed(self, changes: Mapping[str, Any]) -> tuple[AttributionSettings, Target]:
        """Settings and target with some settings changed, checked as the config's are."""
        if fixed := sorted(changes.keys() & _OF_THE_RUN):
            raise ConfigError(f"diagnosis.attribution.{fixed[0]} is the run's and cannot be changed for one map")
        given = vars(self._settings)
        dropped: dict[str, Any] = {"preset": None}  # it has been filled in; settings of what is replaced go with it
        if changes.get("path", given["path"]) != given["path"]:
            dropped["path_settings"] = {}
        if changes.get("likelihood", given["likelihood"]) != given["likelihood"]:
            dropped |= {"likelihood_settings": {}, "alpha_per_heatmap_px": None}
        if "likelihood_settings" in changes:
            dropped["alpha_per_heatmap_px"] = None
        if changes.get("alpha_per_heatmap_px") is not None:
            dropped["likelihood_settings"] = {}
        settings = Settings.parse({"attribution": {**given, **dropped, **changes}}).attribution
        if settings.method not in self._methods:
            raise ConfigError(
                f"there is no attribution method {settings.method!r}; {did_you_mean(settings.method, self._methods)}"
            )
        check_quadrature(settings)
        return settings, self._make_target(settings)
