"""Official TransPose weights as an MMPose checkpoint: python -m poseig_transpose.convert OFFICIAL.pth OUT.pth --model
r-a4.

Official files (github.com/yangsenius/TransPose, releases) are a plain state dict; those of a training run hold one
under 'state_dict', its names beginning with 'module.'.  Names are the same but for the part of the model they belong
to.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poseig_mm.errors import PoseIGError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["convert", "main", "mmpose_name", "renamed"]

# First component of an official name -> part of the MMPose model
PARTS = {
    **dict.fromkeys(
        ("conv1", "bn1", "conv2", "bn2", "layer1", "layer2", "transition1", "stage2", "transition2", "stage3"),
        "backbone",
    ),
    **dict.fromkeys(("reduce", "pos_embedding", "global_encoder"), "neck"),
    **dict.fromkeys(("deconv_layers", "final_layer"), "head"),
}


def mmpose_name(official: str) -> str | None:
    """An official parameter's name in the MMPose model; None where it belongs to no part.

    >>> mmpose_name('layer2.0.bn1.weight'), mmpose_name('pos_embedding'), mmpose_name('fc.weight')
    ('backbone.layer2.0.bn1.weight', 'neck.pos_embedding', None)
    """
    part = PARTS.get(official.partition(".")[0])
    return None if part is None else f"{part}.{official}"


def renamed(official: Mapping[str, Tensor], model: Any, source: str = "the checkpoint") -> dict[str, Tensor]:
    """Official weights under the model's names, every weight of the model among them and none besides.

    Args:
        official: weights by official name.
        model: MMPose's, e.g. `variants.build_variant('r-a4')`; it is not changed.
        source: for messages.

    Raises:
        CheckpointError: lists what the model lacks, what the checkpoint lacks, and what has another shape.
    """
    from poseig_mm.adapters.official import place_weights

    return place_weights(
        official,
        model,
        mmpose_name,
        official_name=lambda name: name.partition(".")[2],
        source=source,
        advice="give the file's own model with --model (r-a3, r-a4, h-s, h-a4, h-a6), or --joints where it predicts "
        "other joints than COCO's",
    )


def convert(source: str | Path, target: str | Path, model: str, joints: int = 17) -> Path:
    """Write an official file as an MMPose checkpoint; nothing in the file is run (`poseig_mm.adapters.checkpoints`).

    Args:
        source: an official file.
        target: where to write; replaced when complete.
        model: one of `variants.VARIANTS`.
        joints: that the model predicts.

    Raises:
        CheckpointError: no such file, or not this model's.
        ConfigError: no such model.
    """
    from poseig_mm.adapters.checkpoints import read_checkpoint
    from poseig_mm.adapters.official import write_checkpoint

    from .variants import build_variant

    official, _ = read_checkpoint(source)
    weights = renamed(official, build_variant(model, joints), str(source))
    return write_checkpoint(weights, target, transpose=model, converted_from=Path(source).name)


def main(argv: list[str] | None = None) -> int:
    """Parse, convert, exit code."""
    from .variants import VARIANTS

    parser = argparse.ArgumentParser(prog="python -m poseig_transpose.convert", description=__doc__)
    parser.add_argument("source", help="the official file")
    parser.add_argument("target", help="the MMPose checkpoint to write")
    parser.add_argument("--model", required=True, choices=list(VARIANTS), help="which of the published models it is")
    parser.add_argument("--joints", type=int, default=17, help="that the model predicts (default 17, COCO's)")
    options = parser.parse_args(argv)
    try:
        target = convert(options.source, options.target, options.model, options.joints)
    except (PoseIGError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"written: {target}, for configs/transpose/transpose_{options.model.replace('-', '_')}_coco-256x192.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
