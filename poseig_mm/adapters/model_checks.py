"""What a preflight says of a model: whose weights, which of its outputs, how well its two decodings agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..checks import Check, Level, Note, noted
from .agreement import WANTED_SHARE
from .base import CoordinateAdapter, input_size_of
from .head_outputs import SETTING, describe_outputs, part_at, tensors_of
from .lost_joints import lost_in_words, not_finite

NO_AGREEMENT = 0.05  # share of joints; fewer is no disagreement of decodings, but another quantity
CERTAIN = 8  # joints: were a third of all to agree, none of eight would once in 25 times
FAR = 100.0  # mm on average; a decoding in space may be coarser than the 1 mm within which it is counted as equal


def weights_check(adapter: CoordinateAdapter, checkpoint: str | None, weights_hash: str) -> Check:
    """Whose weights, and whether they are numbers; a stop where they leave no joint.

    Args:
        adapter: of the run.
        checkpoint: where the weights are from; None: nowhere that is known.
        weights_hash: of the model's state.
    """
    model, lost = adapter.model, adapter.lost
    if checkpoint is None and getattr(model, "random_weights", True):
        return Check(
            "weights",
            "warning",
            "no checkpoint was given: the weights are random, and maps say nothing of a trained model",
            "Give the checkpoint behind the config",
        )
    check = noted(
        Check("weights", "ok", f"{checkpoint or 'brought by the model itself'}, hash {weights_hash[:12]}"),
        (n if isinstance(n, Note) else Note(n, "weights") for n in getattr(model, "weights_notes", ())),
    )
    advice = "Take a checkpoint from before the training diverged, or copy the file again"
    if lost is not None:
        level: Level = "stop" if bool(lost.all()) else "warning"
        return Check("weights", level, f"{check.found}; {lost_in_words(adapter)}", advice)
    if check.level == "ok" and (broken := [name for name, _ in not_finite(model)]):
        return Check(
            "weights", "warning", f"{check.found}; values are NaN or infinite in {', '.join(broken[:3])}", advice
        )
    return check


def outputs_check(adapter: CoordinateAdapter, images: Tensor) -> Check:
    """Which of the head's outputs is explained, of which.

    Args:
        adapter: of the run.
        images: (B, C, H, W) normalised network input.
    """
    if type(adapter).outputs is not CoordinateAdapter.outputs:
        return Check("outputs", "ok", f"adapter {adapter.name!r} reads the head in a way of its own")
    with adapter.frozen(), torch.no_grad():
        features = adapter.features(images)
        whole, output = adapter.head.forward(features), adapter.outputs(features, input_size_of(images))
    seen, explained = describe_outputs(whole), adapter.explained(output)
    if isinstance(whole, Tensor):
        return Check("outputs", "ok", seen)
    chosen = [adapter.output] if adapter.output is not None else []
    places = [".".join(str(part) for part in (*chosen, place) if part != "") for place in explained]
    found = f"{', '.join(map(repr, places))} explained, of {seen}"
    if not chosen and (rivals := _rivals(whole, explained)):
        advice = f"If another is meant, name it: {SETTING}={rivals[0]!r}"
        return Check("outputs", "warning", f"{found}; {', '.join(map(repr, rivals))} could be meant as well", advice)
    return Check("outputs", "ok", found)


def _rivals(output: Any, explained: Mapping[str, Tensor]) -> list[str]:
    """Places of tensors of an explained one's shape that are no stages beside it."""
    found = []
    for place, tensor in tensors_of(output).items():
        alike = [own for own, t in explained.items() if t.shape == tensor.shape]
        if place not in explained and alike:
            above = place.rpartition(".")[0]
            stages = isinstance(part_at(output, above) if above else output, list)
            if not (stages and any(own.rpartition(".")[0] == above for own in alike)):
                found.append(place)
    return found


def agreement_check(agreement: Mapping[str, Any], adapter: CoordinateAdapter, *, fixed: bool) -> Check:
    """How well the differentiable decoding agrees with the model's own; a stop where it does not at all.

    Args:
        agreement: `Agreement.as_dict()`.
        adapter: of the run.
        fixed: the user gave beta.
    """
    share, n, unit = agreement.get("share_within"), int(agreement.get("n") or 0), adapter.unit
    if not n or share is None:
        return Check(
            "agreement",
            "warning",
            "the two decodings could not be compared: no visible joint has a peak, or no annotated person was found",
            "Look at the weights, and at the first persons of the data set",
        )
    within = f"{agreement.get('threshold', adapter.threshold):.3g} {unit}"
    found = (
        f"{100 * share:.0f} % of {n} joints are decoded within {within} of the model's own decoding"
        f"{'' if adapter.beta is None else f' (beta {adapter.beta:.3g})'}; the mean distance is "
        f"{agreement.get('mean_distance', 0.0):.3g} {unit}"
    )
    if share >= WANTED_SHARE:
        return Check("agreement", "ok", found)
    if fixed:
        return Check(
            "agreement", "warning", found, "beta is given: leave it (or the preset) out, and it is set to agree"
        )
    if getattr(adapter.model, "random_weights", False):
        return Check("agreement", "warning", found, "Random weights have no peak to agree on: give the checkpoint")
    apart = float(agreement.get("mean_distance") or 0.0)
    if share >= NO_AGREEMENT or n < CERTAIN or (unit != "px" and apart < FAR):
        return Check("agreement", "warning", found, "The maps explain a decoding that differs from the reported one")
    return Check(
        "agreement",
        "stop",
        found,
        f"Another of the head's outputs is meant (see `outputs`; choose with {SETTING}), or its predict() gives other "
        "units than px of the input: write an adapter for it (docs/plugins.md); or the model is hardly trained",
    )
