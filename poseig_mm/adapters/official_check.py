"""What a published file of weights is, whether it fits a config, and what it gives: the general part of plugins'
`check` commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import CheckpointError
from .base import CoordinateAdapter
from .build_model import build_model
from .weights import load_weights

__all__ = ["Family", "Published", "check_official"]

Weights = Mapping[str, Tensor]
BACKBONE = "backbone."  # what MMPose checkpoints have before a published model's names
STILL = 1e-6  # of the largest coordinate: a joint that moves less does not see the picture


@dataclass(frozen=True)
class Published:
    """A published model, as the names and shapes in its file tell.

    Args:
        name: the converter's.
        what: model and variant, for people.
        layout: who wrote the file's names, and when.
        backbone: the class of the backbone that takes it.
        config: one that fits.
    """

    name: str
    what: str
    layout: str
    backbone: str
    config: str


@dataclass(frozen=True)
class Family:
    """What a plugin knows of the models that it converts.

    Args:
        read: a file -> its weights by official name; nothing in it is run.
        identify: weights -> what they are; None: none of the family.
        place: what it is, weights, a model and who is told of what is left out -> the model's weights, strictly.
        adapter: a model -> its coordinates.
        picture: (w, h) -> (h, w, 3) BGR, 0 to 255, with what the models look for in its middle.
        models: what there is, for messages.
    """

    read: Callable[[Path], Weights]
    identify: Callable[[Weights], Published | None]
    place: Callable[[Published, Weights, Any, Callable[[str], None]], Weights]
    adapter: Callable[[Any], CoordinateAdapter]
    picture: Callable[[tuple[int, int]], NDArray[Any]]
    models: str


def check_official(
    source: str | Path,
    config: str | Path,
    family: Family,
    next_step: Callable[[Published], str],
    write: Callable[[str], None] = print,
) -> bool:
    """Tell what a file is, whether every weight has its place, what a forward pass gives, and what to do next.

    Args:
        source: an official file, or an MMPose checkpoint that a converter made of one.
        config: the model's.
        family: of models that it may be.
        next_step: a command that goes on with an official file.
        write: is told, line by line.

    Returns:
        Whether the model can be used: joints are finite, and depend on the picture.

    Raises:
        CheckpointError: there is no such file; it is none of the family; it does not fit the config.
        ConfigError: the config cannot be read or built.
    """
    weights = family.read(Path(source).expanduser())
    write(f"file: {source}, {len(weights)} weights, {sum(v.numel() for v in weights.values()) / 1e6:.1f} M numbers")
    published = family.identify(weights)
    inner = {k.removeprefix(BACKBONE): v for k, v in weights.items() if k.startswith(BACKBONE)}
    converted = published is None and (published := family.identify(inner)) is not None
    if published is None:
        parts = ", ".join(sorted({name.partition(".")[0] for name in weights})[:8])
        raise CheckpointError(f"{source} is none of {family.models}; its weights' names begin with {parts}")
    write(f"what: {published.what}{', as an MMPose checkpoint' if converted else ''}")
    write(f"layout: {published.layout}")
    model = build_model(config, weights_follow=True)
    if (own := type(model.backbone).__name__) != published.backbone:
        raise CheckpointError(f"{config} has a {own}, and the file is for a {published.backbone}: {published.config}")
    placed = weights if converted else family.place(published, weights, model, write)
    notes = load_weights(model, placed, str(source))
    for note in notes:
        write(f"note: {note}")
    write(f"place: every weight that is not left out has its place in {config}, and every place its weight")
    fine = _forward(family.adapter(model), family.picture, write)
    write(f"next: {f'poseig-diagnose {config} {source}' if converted else next_step(published)}")
    return fine and not notes


def _forward(
    adapter: CoordinateAdapter, picture: Callable[[tuple[int, int]], NDArray[Any]], write: Callable[[str], None]
) -> bool:
    size = adapter.input_size
    drawn = torch.from_numpy(picture(size).copy()).permute(2, 0, 1)
    empty = torch.full_like(drawn, 128)
    prepared = adapter.model.data_preprocessor({"inputs": [drawn, empty], "data_samples": []}, training=False)
    with torch.no_grad():
        here, nowhere = adapter(prepared["inputs"]).coords
    unit, count = adapter.unit, len(here)
    what = f"forward: {count} joints in {unit} from a drawing of {size[0]} x {size[1]} px"
    if unfit := int((~here.isfinite()).any(-1).sum()):
        write(f"{what}, {unfit} of them not finite: weights are NaN or too large, get the file anew")
        return False
    ranges = [f"{a} {low:.1f} to {high:.1f}" for a, low, high in zip("xyz", here.amin(0), here.amax(0), strict=False)]
    write(f"{what}: {', '.join(ranges)}")
    moves = (here - nowhere).norm(dim=-1)
    seen = int((moves > STILL * here.abs().max()).sum())
    write(f"forward: {seen} of {count} joints move when the drawing is taken away (median {moves.median():.3g} {unit})")
    if not seen:
        write("forward: nothing depends on the picture, so the weights are not those of a trained network")
    return seen > 0
