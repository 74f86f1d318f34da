"""What is settled on a run's first samples: the soft-argmax' sharpness, and the fast way to the same maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..adapters.base import CALIBRATION_BATCH, CoordinateAdapter
from ..attribution.acceleration import Acceleration, accelerate
from ..errors import ConfigError
from ..functional.likelihood import scaled_settings
from ..settings import AttributionSettings
from ..types import Sample
from .explainer import Explainer

CALIBRATION_SAMPLES = 16  # persons looked at to set beta and to report the decoding's agreement


def calibrate_on(samples: Sequence[Sample], explainer: Explainer, earlier: Mapping[str, Any] | None) -> dict[str, Any]:
    """Set the soft-argmax' beta, or take the earlier run's; how well it agrees with the model's own decoding.

    Args:
        samples: the run's first ones; none: beta stays as it is.
        explainer: its adapter's `beta` is set; a `beta` given in its settings is kept.
        earlier: what this gave in the run that is resumed: its beta holds for all rows.

    Returns:
        `Agreement.as_dict()`: beta, n, and how far the two decodings are apart.
    """
    adapter, settings, device, dtype = explainer.adapter, explainer.settings, explainer.device, explainer.dtype
    if earlier and earlier.get("n"):
        adapter.beta = earlier["beta"]
        return dict(earlier)
    if not samples:
        return {"beta": adapter.beta, "n": 0}
    if settings.beta is not None:
        adapter.beta = settings.beta
    return adapter.calibrate(
        [s.image.to(device, dtype) for s in samples],
        keypoints=[None if s.pixels is None else s.pixels.to(device, dtype) for s in samples],
        joints=[s.visible.to(device) for s in samples],
        fixed=settings.beta is not None,
    ).as_dict()


def scale_on(samples: Sequence[Sample], explainer: Explainer, earlier: Mapping[str, Any] | None) -> dict[str, Any]:
    """The distance that the likelihood is made for, where coordinates are in another unit than px: the median error.

    Args:
        samples: the run's first ones.
        explainer: its adapter has the beta of the run.
        earlier: what this gave in the run that is resumed: it holds for all rows.

    Returns:
        As `likelihood_scale`; empty for px, whose likelihoods have a default, without samples and without maps.

    Raises:
        ConfigError: as `likelihood_scale`.
    """
    if explainer.adapter.unit == "px" or not samples or not explainer.settings.has_maps:
        return {}
    if earlier:
        return dict(earlier)
    images = torch.stack([s.image for s in samples]).to(explainer.device, explainer.dtype)
    truth, visible = torch.stack([s.keypoints for s in samples]), torch.stack([s.visible for s in samples])
    return likelihood_scale(images, truth, visible, explainer.adapter, explainer.settings)


def likelihood_scale(
    images: Tensor, truth: Tensor, visible: Tensor, adapter: CoordinateAdapter, settings: AttributionSettings
) -> dict[str, Any]:
    """The median distance between the differentiable coordinates and the truth, and what the likelihood gets of it.

    Args:
        images: (B, C, H, W) normalised network input.
        truth: (B, K, D) in the adapter's unit.
        visible: (B, K) bool, the joints that count.
        adapter, settings: of the run.

    Returns:
        `median`, in `unit`, over so many `joints` of so many `persons`; `settings` of the likelihood.

    Raises:
        ConfigError: no joint is visible, or half of them are exact, while the likelihood needs a scale.
    """
    errors = []
    with adapter.frozen(), torch.no_grad():
        for part, points, seen in zip(*(v.split(CALIBRATION_BATCH) for v in (images, truth, visible)), strict=True):
            coords = adapter(part).coords
            errors.append((coords - points.to(coords)).norm(dim=-1)[seen.to(coords.device)].double().cpu())
    errors_of_all = torch.cat(errors)
    median = float(errors_of_all.quantile(0.5)) if len(errors_of_all) else math.nan
    usable = 0 < median < math.inf
    wanted = scaled_settings(settings.likelihood, median if usable else 1.0)
    wanted = {name: value for name, value in wanted.items() if name not in settings.likelihood_settings}
    if wanted and not usable:
        raise ConfigError(
            f"the likelihood {settings.likelihood!r} is made for the median error of the first {len(images)} persons, "
            f"which is {median:g} {adapter.unit} over {len(errors_of_all)} visible joints. Give likelihood_settings="
            f"dict({next(iter(wanted))}=...) per {adapter.unit}"
        )
    about = {"median": median, "unit": adapter.unit, "joints": len(errors_of_all), "persons": len(images)}
    return {**about, "settings": wanted}


def accelerate_on(samples: Sequence[Sample], explainer: Explainer) -> Acceleration:
    """The fast way to the same maps, checked on the first two of `samples`; the model as it is where there are none.

    Where images hold several persons: on the first sample, whoever is the surest person in it.
    """
    adapter, settings = explainer.adapter, explainer.settings
    if not settings.has_maps:
        return Acceleration(adapter)
    checked = [s.image for s in samples[: 1 if adapter.one_image else 2]]
    images = torch.stack(checked).to(explainer.device, explainer.dtype) if checked else torch.empty(0)
    with adapter.frozen():
        bound = adapter.bind(images) if checked else adapter
        return accelerate(bound, images, compute=settings.compute, backward_dtype=settings.backward_dtype)
