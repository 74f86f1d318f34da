"""The way of a batch: samples, the model's prediction, attribution, indices, and one `Finding` a person."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..adapters.base import CoordinateAdapter
from ..attribution.acceleration import Acceleration
from ..attribution.methods import call_method
from ..errors import AttributionError, ConfigError
from ..functional.heatmaps import gaussian_heatmaps, published_heatmaps
from ..functional.maps import REASONS
from ..functional.regions import box_region
from ..indices.base import Index, IndexInputs, compute_indices
from ..settings import Settings
from ..types import Attribution, Finding, Sample
from .explainer import Target
from .journal import Journal

__all__ = ["BatchDiagnosis", "index_frame", "index_inputs", "places_of"]

# Reason codes by the source of the mask: FI is there, but on a mask that nobody annotated.
MADE_UP_MASKS = {"predicted": "predicted_mask", "joints": "joints_mask"}


class BatchDiagnosis:
    """Called with the samples of a batch; writes nothing and keeps nothing.

    Args:
        settings: the user's.
        adapter: the model as it is, inside its `frozen()`.
        acceleration: what attribution runs on.
        method: `diagnosis.attribution.method`, called as `attribution.methods` says.
        target: what is explained.
        indices: to compute on every map; one that raises is noted in the journal.
        journal: takes the seconds of 'prediction', 'attribution' and 'indices'.
        device: where to compute.
        dtype: what to compute in; the model's.

    Raises:
        ConfigError: what every other sample would meet too.  Any other exception is this batch's own.
    """

    def __init__(
        self,
        settings: Settings,
        adapter: CoordinateAdapter,
        acceleration: Acceleration,
        method: Callable[..., Attribution],
        target: Target,
        indices: Sequence[Index],
        *,
        journal: Journal,
        device: str,
        dtype: torch.dtype,
    ) -> None:
        self._settings, self._adapter, self._acceleration = settings, adapter, acceleration
        self._method, self._target, self._indices = method, target, indices
        self._journal, self._device, self._dtype = journal, device, dtype

    def __call__(self, samples: Sequence[Sample]) -> list[Finding]:
        """One finding a sample, in their order; all of one size, and one alone where the adapter takes one image."""
        started = time.perf_counter()
        images = torch.stack([s.image for s in samples]).to(self._device, self._dtype)
        truth = torch.stack([s.keypoints for s in samples]).to(self._device, self._dtype)
        pixels = places_of(samples).to(truth)
        with self._journal.timed("prediction"):
            adapter = self._adapter.bind(images, pixels)
            prediction = adapter.predict(images)
        samples = [self._with_mask(s, images[b : b + 1]) for b, s in enumerate(samples)]
        visible = torch.stack([s.visible for s in samples]).to(images.device)
        reference = self._target.reference(truth, prediction)
        with self._journal.timed("attribution"):
            arguments = self._target.arguments(truth, prediction, visible)
            attribution = self._attribute(self._acceleration.bound(adapter), images, reference, arguments)
        with self._journal.timed("indices"):
            inputs = index_inputs(
                samples, attribution, reference, prediction,
                places=self._target.places(pixels, prediction), adapter=self._adapter,
                locality=self._settings.attribution.locality,
                frame=self._settings.attribution.frame,
            )  # fmt: skip
            values, reasons = compute_indices(
                self._indices, inputs, attribution.reasons, on_error=self._journal.index_failed
            )
        seconds = (time.perf_counter() - started) / len(samples)
        return [
            Finding(
                sample=sample,
                attribution=_take(attribution, b),
                prediction=prediction[b],
                reference=reference[b],
                indices={name: value[b] for name, value in values.items()},
                reasons=tuple(_flag_mask(reasons[b], sample.mask_source)),
                seconds=seconds,
            )
            for b, sample in enumerate(samples)
        ]

    def _with_mask(self, sample: Sample, image: Tensor) -> Sample:
        """The model's own person mask where the data set has none and the settings ask for it."""
        if self._settings.samples.mask != "predicted" or sample.mask is not None:
            return sample
        model = self._adapter.model
        if not hasattr(model, "predict_mask"):
            raise ConfigError(
                f"diagnosis.samples.mask is 'predicted', but {type(model).__name__} has no predict_mask(images); "
                "use 'instance' or 'none'"
            )
        with torch.no_grad():
            return replace(sample, mask=model.predict_mask(image)[0].bool().cpu(), mask_source="predicted")

    def _attribute(
        self, fast: Acceleration, images: Tensor, reference: Tensor, arguments: dict[str, Any]
    ) -> Attribution:
        result: object = call_method(self._method, fast.adapter, images, reference, **arguments, backward=fast.backward)
        if not isinstance(result, Attribution):
            raise AttributionError(
                f"attribution method {self._settings.attribution.method!r} returned a {type(result).__name__}; "
                "expected poseig_mm.Attribution"
            )
        return result


def places_of(samples: Sequence[Sample]) -> Tensor:
    """Where the joints of samples appear in the input: (B, K, 2) px, NaN where unknown or where the input is no
    image.
    """
    none = (torch.full((len(s.keypoints), 2), torch.nan) for s in samples)
    return torch.stack([n if s.pixels is None else s.pixels for s, n in zip(samples, none, strict=True)])


def index_inputs(
    samples: Sequence[Sample],
    attribution: Attribution,
    reference: Tensor,
    prediction: Tensor,
    *,
    places: Tensor,
    adapter: CoordinateAdapter,
    locality: str,
    frame: str | None = None,
) -> IndexInputs:
    """What the indices of a batch are read off: the maps, or their part around the person, with all that lies in it.

    Args:
        samples: of the maps, in their order.
        attribution, reference, prediction: theirs; (B, K, D) points in the adapter's unit.
        places: (B, K, 2) where the reference points appear in the input, px.
        adapter: for its unit, and its heatmaps' stride, for locality 'published'.
        locality: `diagnosis.attribution.locality`.
        frame: `diagnosis.attribution.frame`.
    """
    size = (int(attribution.maps.shape[-2]), int(attribution.maps.shape[-1]))
    regions = adapter.joint_regions(size)
    if regions is not None:
        heatmaps = regions.to(places).expand(len(samples), -1, -1, -1)
    elif locality == "exact":
        heatmaps = gaussian_heatmaps(places, size)
    else:
        heatmaps = published_heatmaps(places, size, adapter.stride or 4)
    device = attribution.maps.device
    masks = [s.mask for s in samples]
    present = torch.stack([torch.zeros(size, dtype=torch.bool) if m is None else m for m in masks])  # (B, H, W)
    rows, columns = _region(samples, size, index_frame(frame, bool(samples[0].extra.get("whole_image"))))
    corner = torch.zeros_like(reference[:1, :1])
    corner[..., :2] = corner.new_tensor([columns.start or 0, rows.start or 0])
    shift = corner if adapter.unit == "px" else 0 * corner
    return IndexInputs(
        maps=attribution.maps[..., rows, columns],
        visible=torch.stack([s.visible for s in samples]).to(device),
        mask=present.unsqueeze(1)[..., rows, columns].to(device),
        has_mask=torch.tensor([m is not None for m in masks], device=device),
        heatmaps=heatmaps[..., rows, columns],
        keypoints=reference - shift,
        coords=prediction - shift,
        pixels=places - corner[..., :2],
    )


def index_frame(asked: str | None, whole_image: bool) -> str:
    """What indices are read off: 'input' (the whole map), or 'instance' (the person's box, 1.25 times as large).

    Args:
        asked: `diagnosis.attribution.frame`.
        whole_image: inputs are whole images, where a share of the area says little of one person.

    Raises:
        ConfigError: 'instance' where the input is a person's crop.

    >>> index_frame(None, True), index_frame("input", True), index_frame(None, False)
    ('instance', 'input', 'input')
    """
    if asked == "instance" and not whole_image:
        raise ConfigError(
            "diagnosis.attribution.frame is 'instance', but the pipeline crops a person: its input is that frame "
            "already. Leave `frame` out"
        )
    return asked or ("instance" if whole_image else "input")


def _region(samples: Sequence[Sample], size: tuple[int, int], frame: str) -> tuple[slice, slice]:
    box = samples[0].extra.get("input_bbox")
    if frame == "input" or box is None:
        return slice(None), slice(None)
    if len(samples) > 1:
        raise AttributionError(f"indices of {len(samples)} persons in their own frames; expected one person a batch")
    return box_region(tuple(box), size)


def _flag_mask(reasons: Sequence[str], source: str) -> Sequence[str]:
    """Reason codes of a sample whose FI uses a mask that nobody annotated: every joint that has a number says so."""
    if source not in MADE_UP_MASKS:
        return reasons
    without_map = set(REASONS[1:])
    code = MADE_UP_MASKS[source]
    return [r if without_map & set(r.split(";")) else ";".join(filter(None, [r, code])) for r in reasons]


def _take(attribution: Attribution, b: int) -> Attribution:
    """One sample of a batch, B = 1."""
    picked: dict[str, Any] = {}
    for name, value in vars(attribution).items():
        picked[name] = value[b : b + 1] if isinstance(value, (Tensor, tuple)) else value
    return replace(attribution, **picked)
