"""Made-up persons whose left wrist is read from a known place, by maps made by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import torch
from planted import COCO

from poseig_mm.studies.shortcuts.rows import partners_of
from poseig_mm.studies.shortcuts.study import Shortcuts
from poseig_mm.types import Finding, Sample

HEIGHT, WIDTH = 128, 96
BOX = (23.0, 14.0, 73.0, 114.0)  # 50 x 100 px: the person's size is 70.7, a disc's radius 7.07
RADIUS = 0.1 * math.sqrt(50 * 100)
WRIST, ELBOW, RIGHT = 9, 7, 10
MARK = (9, -9)
ARMS = (5, 6, 7, 8, 9, 10)
BASE = np.array(
    [
        (48, 20), (51, 17), (45, 17), (55, 18), (41, 18), (58, 34), (34, 34), (63, 52), (22, 50), (68, 70), (16, 70),
        (56, 68), (40, 68), (58, 88), (38, 88), (58, 108), (38, 108),
    ],
    dtype=np.float64,
)  # fmt: skip
YS, XS = np.mgrid[:HEIGHT, :WIDTH]
Array = np.ndarray[Any, Any]
Drawn = Callable[[Array, Array], Array]  # (points, mask) -> the left wrist's map


def disc(point: Array, radius: float = 4.0) -> Array:
    """Mass 1 around a point."""
    inside = (np.hypot(XS - point[0], YS - point[1]) <= radius).astype(float)
    return inside / inside.sum()


def mark(points: Array, _: Array) -> Array:
    """7 x 7 px at (+9, -9) of the wrist."""
    x, y = np.rint(points[WRIST] + MARK)
    values = ((abs(XS - x) <= 3) & (abs(YS - y) <= 3)).astype(float)
    return values / values.sum()


def background(_: Array, mask: Array) -> Array:
    """Uniform off the person."""
    return ~mask / (~mask).sum()


UNIFORM = np.full((HEIGHT, WIDTH), 1 / (HEIGHT * WIDTH))
VARIANTS: dict[str, Drawn] = {
    "own": lambda p, m: disc(p[WRIST]),
    "parent": lambda p, m: disc(p[ELBOW]),
    "partner": lambda p, m: disc(p[RIGHT]),
    "mark": mark,
    "context": background,
}


def person(
    number: int,
    drawn: Drawn,
    *,
    flip: bool = False,
    masked: bool = True,
    noise: float = 0.5,
    visible: Sequence[int] = ARMS,
) -> Finding:
    """One made-up person: honest but for the left wrist; `noise` of each map is uniform, `flip` swaps left and
    right.
    """
    random = np.random.default_rng(number)
    points = BASE + random.uniform(-2, 2, BASE.shape)
    points[WRIST] = points[ELBOW] + 16 * np.array([np.cos(t := random.uniform(-0.5, 1.5)), np.sin(t)])
    mask = np.hypot(XS[..., None] - points[:, 0], YS[..., None] - points[:, 1]).min(-1) <= 6
    maps = np.stack([disc(p) for p in points])
    maps[WRIST] = drawn(points, mask)
    maps = (1 - noise) * maps + noise * UNIFORM
    partners = [k if p < 0 else p for k, p in enumerate(partners_of(COCO))]
    shown = torch.ones(17, dtype=torch.bool)
    shown[[k for k in range(17) if k not in visible]] = False
    sample = Sample(
        sample_id=f"{number:03d}-1", image_id=str(number), instance_id="1", image_path="",
        image=torch.zeros(3, HEIGHT, WIDTH), display=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        keypoints=torch.tensor(points), visible=shown,
        mask=torch.tensor(mask) if masked else None, mask_source="instance" if masked else "none",
        inverse_warp=np.eye(2, 3), extra={"bbox": list(BOX)}, pixels=torch.tensor(points),
    )  # fmt: skip
    reasons = tuple("" if s else "not_visible" for s in shown.tolist())
    attribution: Any = SimpleNamespace(maps=torch.tensor(maps), reasons=reasons)
    prediction = torch.tensor(points[partners] if flip else points)
    return Finding(sample, attribution, prediction, sample.keypoints, {}, ("",) * 17, 0.0)


CONTEXT: Any = SimpleNamespace(unit="px", groups=COCO)


def table(findings: Sequence[Finding], study: Shortcuts | None = None) -> pl.DataFrame:
    """The study's rows of these persons."""
    return pl.DataFrame([dict(r) for f in findings for r in (study or Shortcuts()).sample_rows(f, CONTEXT)])


@cache
def crowd(variant: str) -> pl.DataFrame:
    """12 persons of one variant."""
    return table([person(i, VARIANTS[variant]) for i in range(12)])
