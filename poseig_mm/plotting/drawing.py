"""Maps, densities and joints drawn on images.  Arrays and Pillow only; nothing here knows of stores or reports.

Points are (x, y) with pixel centres at integers, in the frame of the image they are drawn on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ..video import VideoReader, video_of

Floats = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]
TRUTH, PREDICTION, HALO = (86, 180, 233), (255, 255, 255), (0, 0, 0)  # Okabe-Ito sky blue; white
HEAT = "inferno"  # perceptually uniform, readable with any colour vision
FINER = 3  # marks are drawn this many times larger, then the canvas is reduced: smooth lines


def to_original(points: Floats, inverse_warp: Floats) -> Floats:
    """Points (N, 2) of the input, in the original image's frame.

    >>> to_original(np.array([[2.0, 1.0]]), np.array([[2.0, 0, 10], [0, 2, 20]])).tolist()
    [[14.0, 22.0]]
    """
    moved: Floats = points @ inverse_warp[:, :2].T + inverse_warp[:, 2]
    return moved


def map_to_original(values: Floats, inverse_warp: Floats, size: tuple[int, int]) -> Floats:
    """A map (H, W) of the input on the pixels of an image of `size` (height, width); 0 outside the input.

    Bilinear; where the input is shrunk, blurred first by half a target pixel, so that no input pixel falls between.

    Raises:
        ValueError: the warp cannot be inverted.
    """
    from scipy.ndimage import affine_transform, gaussian_filter

    linear = inverse_warp[:, :2]
    determinant = float(np.linalg.det(linear))
    if not np.isfinite(determinant) or abs(determinant) < 1e-12:
        raise ValueError(
            f"the inverse warp {linear.tolist()} cannot be inverted: it maps the input to a line or a point"
        )
    forward = np.linalg.inv(linear)  # original -> input, (x, y)
    shrink = float(np.sqrt(abs(np.linalg.det(forward))))  # input px per original px
    smooth = gaussian_filter(values.astype(np.float64), 0.5 * shrink, mode="constant") if shrink > 1 else values
    flip = forward[::-1, ::-1]  # the same in (row, column)
    offset = -flip @ inverse_warp[::-1, 2]
    warped: Floats = affine_transform(smooth.astype(np.float64), flip, offset, output_shape=size, order=1, cval=0.0)
    return warped


def to_input_size(values: Floats, size: tuple[int, int]) -> Floats:
    """A pooled map (h, w) on the (H, W) pixels of the input: every block's pixels have the block's value.

    >>> to_input_size(np.array([[1.0, 2.0]]), (2, 3)).tolist()
    [[1.0, 1.0, 2.0], [1.0, 1.0, 2.0]]
    """
    if values.shape == size:
        return values
    factor = max(-(-size[0] // values.shape[0]), -(-size[1] // values.shape[1]))
    rows = np.minimum(np.arange(size[0]) // factor, values.shape[0] - 1)
    columns = np.minimum(np.arange(size[1]) // factor, values.shape[1] - 1)
    enlarged: Floats = values[np.ix_(rows, columns)]
    return enlarged


def sum_of_maps(maps: Floats) -> Floats | None:
    """The mean of all joints' maps (K, H, W), each counted with mass 1; None where there is no finite one."""
    mass = maps.sum((1, 2))
    good = np.isfinite(mass) & (mass > 0)
    if not good.any():
        return None
    total: Floats = (maps[good] / mass[good, None, None]).mean(0)
    return total


def rank_normalised(values: Floats) -> Floats:
    """For each pixel of a map the share of the others that are smaller, in [0, 1]: its order alone, not its scale.

    Of equal pixels all have the share of the first; so pixels at the map's minimum are 0.

    >>> rank_normalised(np.array([[0.0, 0.0, 0.1], [9.0, 0.2, 0.1]])).tolist()
    [[0.0, 0.0, 0.4], [1.0, 0.8, 0.4]]
    """
    smaller = np.searchsorted(np.sort(values, axis=None), values)
    ranks: Floats = smaller / max(values.size - 1, 1)
    return ranks


def density(values: Floats) -> Floats | None:
    """Kernel density of a map's pixels, peak 1, or None where it cannot be computed (a single pixel has no spread)."""
    import torch

    from ..functional.kde import kde_heatmap

    blurred = kde_heatmap(torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))).numpy()
    peak = float(blurred.max()) if np.isfinite(blurred).all() else 0.0
    return blurred / peak if peak > 0 else None


def overlay(image: Pixels, values: Floats, *, smooth: bool = False) -> Pixels:
    """A map (H, W) glowing over the dimmed, grey image (H, W, 3).

    Args:
        image: RGB.
        values: >= 0, any scale; shown relative to its 99.9 % quantile, by its square root unless `smooth`.
        smooth: a density: shown relative to its maximum, linearly.
    """
    from matplotlib import colormaps

    grey = image.astype(np.float64) @ np.array([0.299, 0.587, 0.114]) / 255
    base = np.repeat((0.06 + 0.5 * grey)[..., None], 3, 2)
    top = float(values.max() if smooth else np.quantile(values[values > 0], 0.999) if (values > 0).any() else 0.0)
    level = np.clip(values / top, 0, 1) if top > 0 else np.zeros_like(values)
    shown = level if smooth else np.sqrt(level)
    color = colormaps[HEAT](0.18 + 0.82 * shown)[..., :3]
    alpha = np.clip(1.35 * (shown - 0.09), 0, 0.88)[..., None]
    mixed = (1 - alpha) * base + alpha * color
    drawn: Pixels = np.round(255 * np.clip(mixed, 0, 1)).astype(np.uint8)
    return drawn


def read_original(path: str | Path, most: int = 1600) -> tuple[Pixels, float]:
    """An image file as MMPose reads it (EXIF orientation applied), not larger than `most` px, and its scale.

    Args:
        path: of the file; of a frame of a video as `video.frame_name`.
        most: px.

    Raises:
        OSError: missing or unreadable; DataError: so is a frame.
    """
    video, frame = video_of(str(path))
    if frame is not None:
        upright = Image.fromarray(VideoReader(video).read(frame)[..., ::-1])
        width = max(upright.size)
    else:
        with Image.open(path) as file:
            width = max(file.size)
            file.draft("RGB", (most, most))  # JPEG: decode at a fraction of the size already
            upright = ImageOps.exif_transpose(file).convert("RGB")
    scale = min(1.0, most / width)
    size = tuple(max(1, round(side * scale * width / max(upright.size))) for side in upright.size)
    if size != upright.size:
        upright = upright.resize(size, Image.Resampling.LANCZOS)  # type: ignore[arg-type]
    return np.asarray(upright), scale


def view_box(corners: Floats, size: tuple[int, int], margin: float = 0.6) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) px of the part of an image (height, width) to show: the crop and a margin."""
    low, high = corners.min(0), corners.max(0)
    pad = margin * float((high - low).max()) / 2
    left, top = (int(max(0, np.floor(v - pad))) for v in low)
    right, bottom = (int(min(limit, np.ceil(v + pad))) for v, limit in zip(high, (size[1], size[0]), strict=True))
    if right - left < 2 or bottom - top < 2:  # the crop lies outside the image
        return 0, 0, size[1], size[0]
    return left, top, right, bottom


@dataclass
class Canvas:
    """An image to draw marks on, in the image's own pixel frame, whatever size it ends up in.

    Args:
        pixels: (H, W, 3) RGB.
        height: of the finished panel, px; the width follows.
    """

    pixels: Pixels
    height: int

    def __post_init__(self) -> None:
        rows, columns = self.pixels.shape[:2]
        self.width = max(1, round(self.height * columns / rows))
        self.scale = self.height / rows
        size = (self.width * FINER, self.height * FINER)
        shrinks = self.scale * FINER < 1
        self._image = Image.fromarray(self.pixels).resize(
            size, Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
        )
        self._draw = ImageDraw.Draw(self._image)

    def _at(self, point: Sequence[float] | Floats) -> tuple[float, float]:
        """A point on the enlarged canvas: pixel centres at integers -> Pillow's pixel indices."""
        factor = self.scale * FINER
        return (float(point[0]) + 0.5) * factor - 0.5, (float(point[1]) + 0.5) * factor - 0.5

    def line(self, points: Floats, color: tuple[int, int, int], width: float = 1.5, halo: bool = True) -> None:
        """A line through `points` (N, 2); `width` in px of the finished panel."""
        if len(points) < 2 or not np.isfinite(points).all():
            return
        path = [self._at(p) for p in points]
        if halo:
            self._draw.line(path, fill=HALO, width=round((width + 1.6) * FINER), joint="curve")
        self._draw.line(path, fill=color, width=max(1, round(width * FINER)), joint="curve")

    def circle(
        self, point: Floats, radius: float = 5.0, color: tuple[int, int, int] = TRUTH, width: float = 2.0
    ) -> None:
        """A ring: an annotated joint."""
        if not np.isfinite(point).all():
            return
        for ink, r, w in ((HALO, radius + 1.0, width + 2.0), (color, radius, width)):
            x, y = self._at(point)
            reach = r * FINER
            self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=ink, width=round(w * FINER))

    def cross(
        self, point: Floats, arm: float = 4.5, color: tuple[int, int, int] = PREDICTION, width: float = 2.0
    ) -> None:
        """An x: a predicted joint."""
        if not np.isfinite(point).all():
            return
        for ink, reach, w in ((HALO, arm + 0.9, width + 2.0), (color, arm, width)):
            x, y = self._at(point)
            d = reach * FINER / np.sqrt(2)
            for sign in (1, -1):
                self._draw.line((x - d, y - sign * d, x + d, y + sign * d), fill=ink, width=round(w * FINER))

    def contours(self, values: Floats, shares: Sequence[float] = (0.5, 0.8)) -> None:
        """Lines around the smallest areas that hold these shares of a density's mass."""
        from contourpy import contour_generator

        ordered = np.sort(values.ravel())[::-1]
        mass = np.cumsum(ordered)
        generator = contour_generator(z=values)
        for share in shares:
            level = float(ordered[min(int(np.searchsorted(mass, share * mass[-1])), ordered.size - 1)])
            for path in generator.lines(level):
                self.line(np.asarray(path), (255, 255, 255), 1.0 if share > 0.6 else 1.5, halo=False)

    def finish(self) -> Image.Image:
        """The panel, `width` x `height` px."""
        return self._image.reduce(FINER)


@lru_cache(maxsize=4)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The type that matplotlib ships, so that text looks the same everywhere."""
    from matplotlib import get_data_path

    try:
        return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
    except OSError:
        return ImageFont.load_default()


def row_of_panels(panels: Sequence[Image.Image], titles: Sequence[str] | None = None, gap: int = 6) -> Image.Image:
    """Panels of one height side by side on white, with a title above each where given."""
    head = 22 if titles else 0
    width = sum(p.width for p in panels) + gap * (len(panels) - 1)
    sheet = Image.new("RGB", (width, head + max(p.height for p in panels)), "white")
    draw, x = ImageDraw.Draw(sheet), 0
    for i, panel in enumerate(panels):
        sheet.paste(panel, (x, head))
        if titles:
            draw.text((x + 1, 3), titles[i], fill=(34, 39, 51), font=_font(13))
        x += panel.width + gap
    return sheet
