"""A checkpoint of a training run as a file to ship: python -m poseig_synthetic_figures.shrink CHECKPOINT OUT.

Weights alone, as float16 (half the size; a heatmap moves by less than a thousandth of its peak), with nothing but plain
types beside them, so that `torch.load(weights_only=True)` reads it.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import torch

from poseig_mm.adapters.official import write_checkpoint

__all__ = ["shrink"]


def shrink(source: Path, target: Path) -> dict[str, Any]:
    """Write the weights of an MMEngine checkpoint as float16; returns what stands beside them."""
    found = torch.load(source, map_location="cpu", weights_only=False)
    weights = {
        name: value.half() if value.is_floating_point() else value for name, value in found["state_dict"].items()
    }
    meta = {
        "iterations": int(found["meta"]["iter"]),
        "seed": int(found["meta"]["seed"]),
        "config": Path(str(found["meta"]["experiment_name"])).stem.rpartition("_2")[0],
        "trained_as": hashlib.sha256(str(found["meta"]["cfg"]).encode()).hexdigest(),
    }
    write_checkpoint(weights, target, **meta)
    return meta


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="a work dir's iter_N.pth")
    parser.add_argument("target", type=Path)
    arguments = parser.parse_args()
    print(shrink(arguments.source, arguments.target))
