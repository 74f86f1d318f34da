"""Before an official file is converted: python -m poseig_hand_models.check CHECKPOINT CONFIG [--mano M].

Says what the file is, whether every weight has its place, what the model makes of a drawn hand, and what to do next.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from poseig_mm.adapters.official_check import Family, Published, Weights, check_official
from poseig_mm.errors import PoseIGError

from .adapter import HandMeshAdapter
from .convert import read_official
from .mano_file import ManoData, read_mano
from .official import WEIGHTS
from .published import MODELS, identify

__all__ = ["check", "drawn_hand", "main"]

SKIN, GROUND = (140, 170, 220), (90, 110, 70)  # BGR
FINGERS = ((-0.26, 0.05), (-0.15, -0.3), (0.0, -0.36), (0.13, -0.32), (0.24, -0.2))  # tips, thumb first
KNUCKLES = ((-0.12, 0.18), (-0.11, 0.0), (-0.03, -0.02), (0.05, -0.01), (0.12, 0.03))


def drawn_hand(size: tuple[int, int]) -> NDArray[np.uint8]:
    """A right hand's palm and five fingers, upright, in the middle: (w, h) -> (h, w, 3) BGR.

    >>> drawn_hand((64, 48)).shape, drawn_hand((64, 64))[35, 32].tolist()
    ((48, 64, 3), [140, 170, 220])
    """
    picture = np.full((size[1], size[0], 3), GROUND, np.uint8)
    centre, side = np.array(size) / 2, min(size)

    def pixel(place: tuple[float, float]) -> tuple[int, int]:
        x, y = np.round(centre + np.array(place) * side).astype(int).tolist()
        return x, y

    palm = [pixel(p) for p in ((-0.13, 0.0), (0.14, 0.02), (0.1, 0.3), (0.08, 0.45), (-0.06, 0.45), (-0.12, 0.25))]
    cv2.fillConvexPoly(picture, cv2.convexHull(np.array(palm, np.int32)), SKIN)
    for knuckle, tip in zip(KNUCKLES, FINGERS, strict=True):
        cv2.line(picture, pixel(knuckle), pixel(tip), SKIN, max(1, side // 14))
    return picture


def check(
    source: str | Path,
    config: str | Path,
    mano: str | Path | None = None,
    write: Callable[[str], None] = print,
) -> bool:
    """See `poseig_mm.adapters.official_check.check_official`; `mano` is a MANO file, as the converter takes it."""
    arrays: ManoData | None = None if mano is None else read_mano(mano)

    def placed(published: Published, weights: Weights, model: Any, note: Callable[[str], None]) -> Weights:
        return WEIGHTS[published.name](weights, model, arrays, note)

    def next_step(published: Published) -> str:
        given = "" if mano is None else f" --mano {mano}"
        target = f"{published.name}.pth"
        convert = f"python -m poseig_hand_models.official {published.name} {source} {target} --config {config}{given}"
        return f"{convert}, then poseig-diagnose {config} {target}"

    family = Family(read_official, identify, placed, HandMeshAdapter, drawn_hand, MODELS)
    return check_official(source, config, family, next_step, write)


def main(argv: list[str] | None = None) -> int:
    """0: the file can be used; 1: it cannot, and why."""
    parser = argparse.ArgumentParser(prog="python -m poseig_hand_models.check", description=__doc__)
    parser.add_argument("checkpoint", help="an official file, or what the converter made of one")
    parser.add_argument("config", help="the model's config, e.g. configs/hand_models/handar_256x256.py")
    parser.add_argument("--mano", help="your MANO_RIGHT.pkl, where the official file has no MANO arrays")
    options = parser.parse_args(argv)
    try:
        return 0 if check(options.checkpoint, options.config, options.mano) else 1
    except (PoseIGError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
