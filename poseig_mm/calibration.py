"""What is settled on a run's first samples: the soft-argmax' sharpness, and the fast way to the same maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from .adapters.base import CoordinateAdapter
from .adapters.instances import InstanceAdapter
from .attribution.acceleration import Acceleration, accelerate
from .settings import AttributionSettings
from .types import Sample

__all__ = ["CALIBRATION_SAMPLES", "accelerate_on", "calibrate_on"]

CALIBRATION_SAMPLES = 16  # persons looked at to set beta and to report the decoding's agreement


def calibrate_on(
    samples: Sequence[Sample],
    adapter: CoordinateAdapter,
    settings: AttributionSettings,
    *,
    earlier: Mapping[str, Any] | None,
    device: str,
    dtype: torch.dtype,
) -> dict[str, Any]:
    """Set the soft-argmax' beta, or take the earlier run's; how well it agrees with the model's own decoding.

    Args:
        samples: the run's first ones; none: beta stays as it is.
        adapter: its `beta` is set.
        settings: a `beta` given there is kept.
        earlier: what this gave in the run that is resumed: its beta holds for all rows.
        device, dtype: of the model.

    Returns:
        `Agreement.as_dict()`: beta, n, and how far the two decodings are apart.
    """
    if earlier and earlier.get("n"):
        adapter.beta = earlier["beta"]
        return dict(earlier)
    if not samples:
        return {"beta": adapter.beta, "n": 0}
    if settings.beta is not None:
        adapter.beta = settings.beta
    visible = torch.stack([s.visible for s in samples]).to(device)
    if isinstance(adapter, InstanceAdapter):  # images of all sizes, a person each
        each = [s.image[None].to(device, dtype) for s in samples]
        truth = [s.keypoints[None].to(device, dtype) for s in samples]
        found = adapter.calibrate_persons(each, truth, visible.split(1), fixed=settings.beta is not None)
        return found.as_dict()
    images = torch.stack([s.image for s in samples]).to(device, dtype)
    return adapter.calibrate(images, joints=visible, fixed=settings.beta is not None).as_dict()


def accelerate_on(
    samples: Sequence[Sample],
    adapter: CoordinateAdapter,
    settings: AttributionSettings,
    *,
    device: str,
    dtype: torch.dtype,
) -> Acceleration:
    """The fast way to the same maps, checked on the first two of `samples`; arguments as in `calibrate_on`.

    Where images hold several persons: on the first sample, whoever is the surest person in it.
    """
    checked = samples[: 1 if adapter.one_image else 2]
    images = torch.stack([s.image for s in checked]).to(device, dtype) if checked else torch.empty(0)
    with adapter.frozen():
        bound = adapter.bind(images) if checked else adapter
        return accelerate(bound, images, compute=settings.compute, backward_dtype=settings.backward_dtype)
