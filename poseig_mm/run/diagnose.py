"""The way of a batch: samples, the model's prediction, attribution, indices, and one `Finding` a person."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..errors import AttributionError, ConfigError
from ..functional.heatmaps import gaussian_heatmaps, published_heatmaps
from ..functional.maps import REASONS, person_of
from ..functional.regions import box_region
from ..indices.base import Index, IndexInputs, compute_index_errors, compute_indices, error_column
from ..settings import Settings
from ..types import Attribution, Finding, Sample
from .explainer import Explainer
from .journal import Journal

# Reason codes by the source of the mask: FI is there, but on a mask that nobody annotated.
MADE_UP_MASKS = {"predicted": "predicted_mask", "joints": "joints_mask"}

SIDE_PER_SIGMA = 256 / 1.25 / 8  # px of a person's box a px of LI's Gaussian by the person's size


class BatchDiagnosis:
    """Called with the samples of a batch; writes nothing and keeps nothing.

    Args:
        settings: the user's.
        explainer: the run's way to a map; its model is inside its `frozen()`.
        indices: to compute on every map; one that raises is noted in the journal.
        journal: takes the seconds of 'prediction', 'attribution' and 'indices'.

    Raises:
        ConfigError: what every other sample would meet too.  Any other exception is this batch's own.
    """

    def __init__(self, settings: Settings, explainer: Explainer, indices: Sequence[Index], journal: Journal) -> None:
        self._settings, self._explainer, self._indices, self._journal = settings, explainer, indices, journal

    def __call__(self, samples: Sequence[Sample]) -> list[Finding]:
        """One finding a sample, in their order; all of one size, and one alone where the adapter takes one image."""
        started = time.perf_counter()
        device, dtype = self._explainer.device, self._explainer.dtype
        images = torch.stack([s.image for s in samples]).to(device, dtype)
        truth = torch.stack([s.keypoints for s in samples]).to(device, dtype)
        pixels = places_of(samples).to(truth)
        with self._journal.timed("prediction"):
            explainer = self._explainer.bound(images, pixels)
            prediction = explainer.adapter.predict(images)
        samples = [self._with_mask(s, images[b : b + 1]) for b, s in enumerate(samples)]
        visible = torch.stack([s.visible for s in samples]).to(images.device)
        reference = explainer.reference(truth, prediction)
        with self._journal.timed("attribution"):
            attribution = explainer.attribute(images, truth, visible=visible, prediction=prediction, halves=True)
        values: dict[str, Tensor] = {}
        errors: dict[str, Tensor] = {}
        reasons = [list(row) for row in attribution.reasons]
        if explainer.settings.has_maps:
            with self._journal.timed("indices"):
                values, errors, reasons = self._read_off(
                    samples, attribution, reference, prediction, explainer.places(pixels, prediction), explainer
                )
            attribution = replace(attribution, halves=None)  # nobody else needs them
        seconds = (time.perf_counter() - started) / len(samples)
        return [
            Finding(
                sample=sample,
                attribution=person_of(attribution, b),
                prediction=prediction[b],
                reference=reference[b],
                indices={name: value[b] for name, value in values.items()},
                index_errors={name: value[b] for name, value in errors.items()},
                reasons=tuple(_flag_unannotated(_flag_mask(reasons[b], sample.mask_source), sample.annotated)),
                seconds=seconds,
            )
            for b, sample in enumerate(samples)
        ]

    def _read_off(
        self,
        samples: Sequence[Sample],
        attribution: Attribution,
        reference: Tensor,
        prediction: Tensor,
        places: Tensor,
        explainer: Explainer,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], list[list[str]]]:
        """The indices of a batch's maps, the errors to expect of them, and (B)(K) why a number is missing."""
        inputs = index_inputs(samples, attribution, reference, prediction, places=places, explainer=explainer)
        values, reasons = compute_indices(
            self._indices, inputs, attribution.reasons, on_error=self._journal.index_failed
        )
        errors: dict[str, Tensor] = {}
        halves = attribution.halves
        if halves is not None:
            even, odd = (
                index_inputs(
                    samples,
                    replace(attribution, maps=halves[:, half]),
                    reference,
                    prediction,
                    places=places,
                    explainer=explainer,
                )
                for half in (0, 1)
            )
            errors = compute_index_errors(self._indices, even, odd, attribution.reasons, attribution.evaluations)
        return values, errors, self._flag_one_rule(reasons, attribution, halves)

    def _flag_one_rule(
        self, reasons: Sequence[Sequence[str]], attribution: Attribution, halves: Tensor | None
    ) -> list[list[str]]:
        """Reason codes with 'one_rule' for joints whose map has no two half-rules, so that indices have no error."""
        if not any(map(error_column, self._indices)):
            return [list(row) for row in reasons]
        one = torch.ones_like(attribution.converged) if halves is None else halves.isnan().flatten(3).any(3).any(1)
        return [
            [
                ";".join(filter(None, (r, "one_rule"))) if single and not without else r
                for r, single, without in zip(row, alone, maps, strict=True)
            ]
            for row, alone, maps in zip(reasons, one.tolist(), attribution.reasons, strict=True)
        ]

    def _with_mask(self, sample: Sample, image: Tensor) -> Sample:
        """The model's own person mask where the data set has none and the settings ask for it."""
        if self._settings.samples.mask != "predicted" or sample.mask is not None:
            return sample
        model = self._explainer.adapter.model
        if not hasattr(model, "predict_mask"):
            raise ConfigError(
                f"diagnosis.samples.mask is 'predicted', but {type(model).__name__} has no predict_mask(images); "
                "use 'instance' or 'none'"
            )
        with torch.no_grad():
            return replace(sample, mask=model.predict_mask(image)[0].bool().cpu(), mask_source="predicted")


def places_of(samples: Sequence[Sample]) -> Tensor:
    """Where the joints of samples appear in the input: (B, K, 2) px, NaN where unknown or in no image."""
    none = (torch.full((len(s.keypoints), 2), torch.nan) for s in samples)
    return torch.stack([n if s.pixels is None else s.pixels for s, n in zip(samples, none, strict=True)])


def index_inputs(
    samples: Sequence[Sample],
    attribution: Attribution,
    reference: Tensor,
    prediction: Tensor,
    *,
    places: Tensor,
    explainer: Explainer,
) -> IndexInputs:
    """What the indices of a batch are read off: the maps, or their part around the person, with all that lies in it.

    Args:
        samples: of the maps, in their order.
        attribution, reference, prediction: theirs; the points that the likelihood compared with, and the model's own
            decoding, (B, K, D) in the adapter's unit.
        places: (B, K, 2) where the reference points appear in the input, px.
        explainer: for the adapter's unit and its heatmaps' stride, and the settings `locality`, `indices_over` and
            `frame`.
    """
    adapter, settings = explainer.adapter, explainer.settings
    size = (int(attribution.maps.shape[-2]), int(attribution.maps.shape[-1]))
    regions = adapter.joint_regions(size)
    by_size = settings.locality == "person" and regions is None
    sigmas = torch.tensor([person_sigma(s.extra.get("input_bbox")) for s in samples], dtype=torch.float64)
    if regions is not None:
        heatmaps = regions.to(places).expand(len(samples), -1, -1, -1)
    elif settings.locality == "exact":
        heatmaps = gaussian_heatmaps(places, size)
    elif settings.locality == "person":
        heatmaps = gaussian_heatmaps(places, size, sigmas)
    else:
        heatmaps = published_heatmaps(places, size, adapter.stride or 4, adapter.target_sigma)
    device = attribution.maps.device
    masks = [s.mask for s in samples]
    present = torch.stack([torch.zeros(size, dtype=torch.bool) if m is None else m for m in masks])  # (B, H, W)
    rows, columns = _region(samples, size, index_frame(settings.frame, bool(samples[0].extra.get("whole_image"))))
    corner = torch.zeros_like(reference[:1, :1])
    corner[..., :2] = corner.new_tensor([columns.start or 0, rows.start or 0])
    shift = corner if adapter.unit == "px" else 0 * corner
    in_image = None if settings.indices_over == "input" else _in_image(samples)
    return IndexInputs(
        maps=attribution.maps[..., rows, columns],
        visible=torch.stack([s.visible for s in samples]).to(device),
        mask=present.unsqueeze(1)[..., rows, columns].to(device),
        has_mask=torch.tensor([m is not None for m in masks], device=device),
        heatmaps=heatmaps[..., rows, columns],
        keypoints=reference - shift,
        prediction=prediction - shift,
        pixels=places - corner[..., :2],
        in_image=None if in_image is None else in_image[..., rows, columns].to(device),
        has_box=sigmas.isfinite().to(device) if by_size else None,
    )


def person_sigma(box: Sequence[float] | None) -> float:
    """Standard deviation of LI's Gaussian by the person's size, input px; NaN where there is no box.

    1/25.6 of the box's longer side: 8 px for a person whose box, 1.25 times as large, fills an input of 256 px.

    >>> person_sigma([10.0, 0.0, 90.0, 204.8]), person_sigma(None)
    (8.0, nan)
    """
    side = math.nan if box is None else max(box[2] - box[0], box[3] - box[1])
    return side / SIDE_PER_SIGMA if side > 0 else math.nan


def _in_image(samples: Sequence[Sample]) -> Tensor | None:
    """(B, 1, H, W) bool; None where all of every input is image."""
    if all(s.in_image is None or bool(s.in_image.all()) for s in samples):
        return None
    everywhere = torch.ones(samples[0].image.shape[-2:], dtype=torch.bool)
    return torch.stack([everywhere if s.in_image is None else s.in_image for s in samples]).unsqueeze(1)


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


def _flag_unannotated(reasons: Sequence[str], annotated: bool) -> Sequence[str]:
    """Reason codes of a sample that nobody annotated: no joint of it has an error."""
    return reasons if annotated else [";".join(filter(None, [r, "no_annotation"])) for r in reasons]
