"""What figures stand before and are made of: backgrounds, clothes, light and noise.  All pictures are RGB."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from .parts import FACE, HAIR, HEAD, MARK, OCCLUDER, OTHER, TORSO

__all__ = ["BACKGROUNDS", "draw_background", "draw_colours", "draw_skin", "finish", "stripes"]

BACKGROUNDS = ("gradient", "clouds", "stripes", "tiles")
Image = NDArray[np.float32]
_SKIN = np.array([[255, 219, 190], [224, 172, 138], [198, 134, 96], [141, 85, 54], [92, 56, 38]], np.float32)
_POOL = 320  # px; noise is cut out of one square of this size


def draw_background(rng: np.random.Generator, height: int, width: int, kind: str | None = None) -> Image:
    """A background (H, W, 3), 0 to 255, with limb-like things in it.

    Args:
        rng: source of all randomness.
        kind: one of `BACKGROUNDS`; None: drawn.

    >>> draw_background(np.random.default_rng(0), 20, 10).shape
    (20, 10, 3)
    """
    kind = kind or BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
    first, second = rng.uniform(30, 225, (2, 3)).astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(7, 13)
    if kind == "stripes":
        picture = stripes(height, width, angle, period, first, second)
    elif kind == "clouds":
        picture = _clouds(rng, height, width) * 60 + first
    elif kind == "tiles":
        y, x = np.ogrid[:height, :width]
        odd = ((x // int(period) + y // int(period)) % 2).astype(np.float32)[..., None]
        picture = first + odd * (second - first) * 0.5
    else:
        y, x = np.ogrid[:height, :width]
        share = ((np.cos(angle) * x / width + np.sin(angle) * y / height + 1) / 2.5).astype(np.float32)[..., None]
        picture = first + share * (second - first)
    picture = np.array(np.broadcast_to(picture, (height, width, 3)), np.float32)
    for _ in range(int(rng.integers(0, 6))):
        x, y, turn, length, half = rng.uniform((0, 0, 0, 12, 2), (width, height, 2 * np.pi, 36, 5))
        end = (int(x + length * np.cos(turn)), int(y + length * np.sin(turn)))
        colour = draw_skin(rng) if rng.random() < 0.4 else rng.uniform(20, 235, 3)
        cv2.line(picture, (int(x), int(y)), end, colour.tolist(), int(2 * half))
    return picture


def stripes(
    height: int, width: int, angle: float, period: float, first: NDArray[np.float32], second: NDArray[np.float32]
) -> Image:
    """Soft stripes (H, W, 3) that run along `angle` (radians, x to the right, y down), `period` px apart."""
    y, x = np.ogrid[:height, :width]
    turn = 2 * np.pi / period
    across = np.float32(-np.sin(angle) * turn) * x.astype(np.float32) + np.float32(np.cos(angle) * turn) * y.astype(
        np.float32
    )
    wave = np.clip(0.5 + 0.9 * np.sin(across), 0, 1)[..., None]
    picture: Image = first + wave * (second - first)
    return picture


def draw_colours(rng: np.random.Generator) -> NDArray[np.float32]:
    """(128, 3) colour of each part: the same on a figure's left and right, so that only its face tells them apart."""
    table = np.zeros((128, 3), np.float32)
    for first in (0, OTHER):
        skin, shirt, trousers, hair = draw_skin(rng), *rng.uniform(20, 235, (2, 3)), rng.uniform(10, 120, 3)
        sleeves = skin if rng.random() < 0.4 else shirt * 0.92
        bare = rng.random() < 0.25
        table[first + HEAD] = skin
        table[first + HAIR], table[first + FACE], table[first + TORSO] = hair, (35, 20, 25), shirt
        table[first + 5 : first + 7] = shirt * 0.85
        table[first + 7 : first + 9] = sleeves
        table[first + 9 : first + 11] = skin * 0.95
        table[first + 11 : first + 13] = trousers
        table[first + 13 : first + 15] = skin if bare else trousers * 0.85
        table[first + 15 : first + 17] = rng.uniform(10, 90, 3)
    table[OCCLUDER] = rng.uniform(20, 235, 3)
    table[MARK], table[MARK + 1] = (255, 0, 255), (255, 255, 0)
    return table


def finish(rng: np.random.Generator, picture: Image, figure: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Cloth texture, light, blur and noise: (H, W, 3) float, and (H, W) where the figure is -> uint8."""
    height, width = figure.shape
    picture = picture.copy()
    picture[figure] += _noise(rng, height, width, grain=True)[figure] * 22
    light = 0.18 * _clouds(rng, height, width, channels=1) + np.float32(rng.uniform(0.7, 1.15))
    picture *= light[..., None]
    picture = cv2.GaussianBlur(picture, (3, 3), 0.6)
    picture += _noise(rng, height, width) * np.float32(rng.uniform(2, 9))
    return np.clip(picture, 0, 255, out=picture).astype(np.uint8)


def draw_skin(rng: np.random.Generator) -> NDArray[np.float32]:
    tone: NDArray[np.float32] = _SKIN[int(rng.integers(len(_SKIN)))] + rng.normal(0, 6, 3).astype(np.float32)
    return tone


def _clouds(rng: np.random.Generator, height: int, width: int, channels: int = 3) -> Image:
    coarse = rng.standard_normal((6, 5, channels), dtype=np.float32)
    smooth: Image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return smooth


def _noise(rng: np.random.Generator, height: int, width: int, *, grain: bool = False) -> Image:
    """Standard normal noise (H, W, 3), cut out of a pool at a drawn place; `grain`: averaged over 3 x 3 pixels."""
    pool = _noise_pool(grain)
    y, x = int(rng.integers(0, _POOL - height)), int(rng.integers(0, _POOL - width))
    return pool[y : y + height, x : x + width]


@lru_cache(maxsize=2)
def _noise_pool(grain: bool) -> Image:
    noise = np.random.default_rng(17).standard_normal((_POOL, _POOL, 3), dtype=np.float32)
    return cv2.blur(noise, (3, 3)) if grain else noise
