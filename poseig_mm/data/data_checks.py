"""What a preflight says of the data: whom it has, and whether what was looked at is plausible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..checks import Check, noted
from ..types import Sample
from .samples import SampleSource

FEW = 0.5  # share of the annotated joints; where fewer lie inside the input, they are not on these persons
VISIBLE_PADDING = 0.01  # share of an input; less is a line of pixels at its edge
SMALL = 4.0  # px of the original, of a box's shorter side


def persons_check(source: SampleSource, samples: Sequence[Sample]) -> Check:
    """Annotated, used, and left out by cause; a stop where nobody can be loaded.

    Args:
        source: of the run.
        samples: its first ones, as far as they can be loaded.
    """
    where = source.dataset_name or "the data set"
    if not source.annotations:
        where = (
            f"the pictures, which nobody annotated: the model's own prediction is explained, with the joints of {where}"
        )
    found = f"{len(source)} of {source.total} in {where}"
    counts = source.persons
    if counts is not None and counts.left_out:
        found += f"; {counts}"
    check = noted(Check("persons", "warning" if counts is not None and counts.odd else "ok", found), source.notes)
    if samples or not len(source):
        return check
    first = f": {source.unloadable[0]}" if source.unloadable else ""
    return Check(
        "persons",
        "stop",
        f"{check.found}; none can be loaded{first}",
        "Correct data_root, data_prefix and the annotation file" if source.annotations else "Give other pictures",
    )


def images_check(source: SampleSource, samples: Sequence[Sample]) -> Check:
    """Whether images can be read and are those that were annotated, and whether joints and boxes are in them."""
    tried = len(samples) + len(source.unloadable)
    found, advice = [f"{len(samples)} of the first {tried} persons can be loaded"], ""
    if source.unloadable:
        found.append(f"the first that cannot: {source.unloadable[0]}")
        advice = "Such persons are left out, as failures"
    annotated = sum(int(_annotated(s).sum()) for s in samples)
    inside = sum(int((_annotated(s) & s.visible).sum()) for s in samples)
    if annotated:
        what = "annotated" if source.annotations else "predicted"
        found.append(f"{inside} of {annotated} {what} joints lie inside the input")
        if source.annotations and inside < FEW * annotated:
            advice = "Boxes or keypoints are in another unit, or of another size of the images"
    shares = [1 - float(s.in_image.double().mean()) for s in samples if s.in_image is not None]
    if padded := [share for share in shares if share >= VISIBLE_PADDING]:
        mean = 100 * sum(padded) / len(padded)
        found.append(f"{len(padded)} of {len(samples)} inputs are padded, by {mean:.0f} % of their area on average")
    sides = [min(box[2] - box[0], box[3] - box[1]) for s in samples if (box := s.extra.get("bbox"))]
    if sides and float(np.median(sides)) < SMALL:
        found.append(f"half of the boxes are less than {SMALL:g} px wide or high")
        advice = "Give boxes in px of the original image"
    odd = source.loading_notes()
    return noted(Check("images", "warning" if advice or odd else "ok", "; ".join([*found, *odd]), advice), source.notes)


def masks_check(source: SampleSource, samples: Sequence[Sample], kind: str) -> Check:
    """How many of the looked-at persons have a mask that can tell person from surroundings.

    Args:
        source, samples: as `persons_check`.
        kind: `diagnosis.samples.mask`.
    """
    if kind == "none":
        return Check("masks", "ok", "none are asked for (diagnosis.samples.mask): FI is NaN")
    usable = sum(s.mask is not None and bool(s.mask.any()) and not bool(s.mask.all()) for s in samples)
    found = f"{usable} of the first {len(samples)} persons have a usable one ({kind})"
    if kind == "predicted":
        return noted(Check("masks", "ok", f"{found}; of the others the model's own is taken"), source.notes)
    if usable == len(samples):
        return noted(Check("masks", "ok", found), source.notes)
    advice = "FI is NaN without; diagnosis.samples.mask='joints' draws masks from the joints"
    return noted(Check("masks", "warning", found, advice), source.notes)


def pixels_check(source: SampleSource) -> Check:
    """What the pipeline really gives, and what the preprocessor makes of it."""
    return noted(Check("pixels", "ok", source.channels.described or "none were looked at"), source.notes)


def joints_check(source: SampleSource, predicted: Sequence[str]) -> Check:
    """Whether model and data call their joints alike.

    Args:
        source: of the run; its notes say how they differ.
        predicted: (K,) the checkpoint's names.
    """
    named = any(name != f"joint_{k}" for k, name in enumerate(predicted))
    found = f"{len(predicted)} joints"
    if noted(Check("joints", "ok", ""), source.notes).level == "ok":
        found += ", called alike by model and data" if named else ", which the checkpoint does not name"
    return noted(Check("joints", "ok", found), source.notes)


def sigmas_check(source: SampleSource, studies: Sequence[str]) -> Check:
    """Whether the data set has sigmas of its own.

    Args:
        source: of the run.
        studies: those that measure by them.
    """
    if source.groups.sigmas:
        return Check("sigmas", "ok", "the data set's own")
    found = "the data set's metainfo has none"
    if not studies:
        return Check("sigmas", "ok", f"{found}, and no study of this run needs any")
    found += f"; {', '.join(studies)} must take COCO's for COCO's joints, else one for all"
    return Check("sigmas", "warning", found, "Give the metainfo `sigmas`, or the study its `sigma`")


def _annotated(sample: Sample) -> torch.Tensor:
    """(K,) bool."""
    return (sample.keypoints if sample.pixels is None else sample.pixels).isfinite().all(-1)
