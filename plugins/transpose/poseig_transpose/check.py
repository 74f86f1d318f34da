"""Before an official file is converted: python -m poseig_transpose.check CHECKPOINT CONFIG.

Says which model the file is, whether every weight has its place, whether the config reads heatmaps as the official code
does, what the model makes of a drawn person, and what to do next.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from poseig_mm.adapters.checkpoints import read_checkpoint
from poseig_mm.adapters.heatmap import HeatmapAdapter
from poseig_mm.adapters.official_check import Family, Published, Weights, check_official
from poseig_mm.errors import CheckpointError, PoseIGError

from .convert import renamed
from .positions import sine_positions
from .variants import VARIANTS, Variant

__all__ = ["check", "drawn_person", "identify", "main"]

MODELS = "the TransPose models (r-a3, r-a4, h-s, h-a4, h-a6), official or converted"
OWN_NAMES, MMPOSE_NAMES = "the official code's names", "an MMPose checkpoint"
EMBEDDING = 1e-4  # between the file's position embedding and the published sines
CLOTHES, GROUND = (140, 170, 220), (90, 110, 70)  # BGR
LIMBS = (  # from and to, in heights of the picture from its middle
    ((0.0, -0.26), (0.0, 0.08)), ((-0.11, -0.22), (0.11, -0.22)), ((-0.11, -0.22), (-0.17, -0.06)),
    ((-0.17, -0.06), (-0.2, 0.1)), ((0.11, -0.22), (0.19, -0.1)), ((0.19, -0.1), (0.24, 0.02)),
    ((-0.07, 0.08), (0.07, 0.08)), ((-0.07, 0.08), (-0.09, 0.24)), ((-0.09, 0.24), (-0.1, 0.42)),
    ((0.07, 0.08), (0.1, 0.24)), ((0.1, 0.24), (0.09, 0.42)),
)  # fmt: skip


def drawn_person(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Someone who stands in the middle: (w, h) -> (h, w, 3) BGR.

    >>> drawn_person((192, 256)).shape, drawn_person((192, 256))[100, 96].tolist()
    ((256, 192, 3), [140, 170, 220])
    """
    picture = np.full((size[1], size[0], 3), GROUND, np.uint8)

    def pixel(place: tuple[float, float]) -> tuple[int, int]:
        return round(size[0] / 2 + place[0] * size[1]), round(size[1] / 2 + place[1] * size[1])

    for start, end in LIMBS:
        cv2.line(picture, pixel(start), pixel(end), CLOTHES, max(1, size[1] // 16))
    cv2.circle(picture, pixel((0.0, -0.35)), max(1, size[1] // 14), CLOTHES, -1)
    return picture


def identify(weights: Weights) -> Published | None:
    """The model that weights are of, by the official names or by those of the MMPose model; None: no TransPose."""
    converted = "neck.reduce.weight" in weights
    official = {name.partition(".")[2] if converted else name: value for name, value in weights.items()}
    reduce, joints = official.get("reduce.weight"), official.get("final_layer.weight")
    embedding, first = official.get("pos_embedding"), official.get("global_encoder.layers.0.linear1.weight")
    if reduce is None or embedding is None or first is None or joints is None:
        return None
    layers = len({name.split(".")[2] for name in official if name.startswith("global_encoder.layers.")})
    branch = official.get("transition1.0.0.weight")  # (w, 256, 3, 3)
    width = None if branch is None else len(branch)
    name = next((n for n, v in VARIANTS.items() if _fits(v, width, len(reduce), len(first), layers)), "")
    backbone = "ResNet-50 to stage 2" if width is None else f"HRNet-W{width} to stage 3"
    return Published(
        name=name,
        what=f"TransPose-{name.upper() or '?'}: {backbone}, {layers} layers of d {len(reduce)}, hidden {len(first)}, "
        f"on {len(embedding)} tokens; {len(joints)} joints",
        layout=MMPOSE_NAMES if converted else OWN_NAMES,
        backbone="ResNet" if width is None else "HRNetStage3",
        config=f"configs/transpose/transpose_{name.replace('-', '_')}_coco-256x192.py" if name else "one of its own",
    )


def check(source: str | Path, config: str | Path, write: Callable[[str], None] = print) -> bool:
    """See `poseig_mm.adapters.official_check.check_official`; also False where the config reads heatmaps otherwise."""
    joints, others = 17, list[str]()

    def placed(published: Published, weights: Weights, model: Any, note: Callable[[str], None]) -> Weights:
        nonlocal joints, others
        _same_model(published, model, str(source), str(config))
        others = _other_reading(model)
        note(f"config: {_reading(others)}")
        if published.layout == OWN_NAMES:
            weights = renamed(weights, model, str(source))
        joints = len(weights["head.final_layer.weight"])
        embedding = weights["neck.pos_embedding"]
        sines = sine_positions(model.neck.in_featuremap_size, embedding.shape[-1])
        same = torch.allclose(embedding, sines, rtol=0, atol=EMBEDDING)
        note(f"positions: {'the published sines' if same else 'not the published sines; those of the file are used'}")
        return weights

    def next_step(published: Published) -> str:
        if published.layout == MMPOSE_NAMES:
            return f"poseig-diagnose {config} {source}"
        target = f"transpose_{published.name.replace('-', '_')}.pth"
        more = "" if joints == 17 else f" --joints {joints}"
        convert = f"python -m poseig_transpose.convert {source} {target} --model {published.name}{more}"
        return f"{convert}, then poseig-diagnose {config} {target}"

    family = Family(_read, identify, placed, HeatmapAdapter, drawn_person, MODELS)
    return check_official(source, config, family, next_step, write) and not others


def _read(path: Path) -> Weights:
    return read_checkpoint(path)[0]


def _same_model(published: Published, model: Any, source: str, config: str) -> None:
    """CheckpointError where the config's model is not the file's; no weight's shape tells the number of heads."""
    if not published.name:
        raise CheckpointError(f"{source} is {published.what}, which is none of {MODELS}")
    own = identify(model.state_dict())
    if own is None or own.name != published.name:
        what = "no TransPose" if own is None else own.what
        raise CheckpointError(f"{config} has {what}, and the file is {published.what}; take {published.config}")
    heads, expected = model.neck.global_encoder.layers[0].self_attn.num_heads, VARIANTS[published.name].heads
    if heads != expected:
        raise CheckpointError(f"{config} has {heads} heads of attention, and the file is for {expected}")


def _fits(variant: Variant, width: int | None, channels: int, hidden: int, layers: int) -> bool:
    """Whether weights are of a variant, as far as they tell (all but the number of heads)."""
    return (variant.width, variant.channels, variant.hidden, variant.layers) == (width, channels, hidden, layers)


def _other_reading(model: Any) -> list[str]:
    """What a model's config does otherwise than the official code on the way from picture to coordinates."""
    pipeline = model.cfg.get("test_dataloader", {}).get("dataset", {}).get("pipeline", ())
    crops = [step for step in pipeline if step.get("type") == "TopdownAffine"]
    codec = type(model.head.decoder).__name__
    said = {
        "its test pipeline has no TopdownAffine with use_udp=True": not any(step.get("use_udp") for step in crops),
        f"its codec is {codec}, not UDPHeatmap": codec != "UDPHeatmap",
        "its flip test shifts heatmaps": bool((model.test_cfg or {}).get("shift_heatmap", False)),
    }
    return [what for what, so in said.items() if so]


def _reading(others: Sequence[str]) -> str:
    if others:
        return f"{'; '.join(others)}: predictions are 1 to 3 px off, take a config of configs/transpose"
    return "corners aligned in crop and heatmaps, no shift in the flip test, as in the official code"


def main(argv: list[str] | None = None) -> int:
    """0: the file can be used; 1: it cannot, and why."""
    parser = argparse.ArgumentParser(prog="python -m poseig_transpose.check", description=__doc__)
    parser.add_argument("checkpoint", help="an official file, or what the converter made of one")
    parser.add_argument("config", help="the model's, e.g. configs/transpose/transpose_r_a4_coco-256x192.py")
    options = parser.parse_args(argv)
    try:
        return 0 if check(options.checkpoint, options.config) else 1
    except (PoseIGError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
