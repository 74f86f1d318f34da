"""One person's pictures: the strip, a tile for each joint's map, and a sheet of all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..plotting import drawing
from ..plotting.drawing import Canvas
from ..plotting.sheets import stack
from ..summary.measures import Measure, place_columns, run_value
from ..summary.sentences import plural
from ..types import Failure
from .blocks import PersonGallery, SamplePictures
from .tables import NOTHING, show

if TYPE_CHECKING:
    import polars as pl

    from ..store import Store


STRIP_HEIGHT, TILE_HEIGHT, SHEET_HEIGHT, SHEET_WIDTH = 360, 300, 190, 1240  # px; of the sheet: a map's and all of it
LEAST_VIEW, CONTEXT = 0.5, 1.8  # of a single joint's picture: share of the input's width; times what is to be seen
MOST_TILES = 40  # joints of a person
NO_BREAK = "\u00a0"  # a space at which no line breaks
Floats = NDArray[np.float64]
Cells = dict[int, tuple[float, float, float, float]]  # joint -> left, top, width, height as shares of a picture


@dataclass
class Notes:
    """What could not be drawn, and of whom."""

    failures: list[Failure] = field(default_factory=list)
    remarks: dict[str, int] = field(default_factory=dict)  # remark -> how many persons

    def say(self, remark: str) -> None:
        """Count a remark once more."""
        self.remarks[remark] = self.remarks.get(remark, 0) + 1


class PersonPictures:
    """One sample's pictures."""

    def __init__(
        self, store: Store, row: Mapping[str, Any], joints: pl.DataFrame, measures: Sequence[Measure], notes: Notes
    ) -> None:
        self.row, self.notes, self.measures = row, notes, measures
        self.by_rank = run_value(store, "settings", "report", "maps_shown") == "rank"
        self.joints = joints.sort("joint").to_dicts()
        self.size = int(row["height"]), int(row["width"])
        groups = store.groups
        self.bones = groups.skeleton if groups is not None else ()
        display, maps = store.display(row["sample_id"]), store.map(row["sample_id"])
        if display is None:
            notes.say("The input was not kept; it is shown grey")
            display = np.full((*self.size, 3), 128, np.uint8)
        if maps is None:
            notes.say("No maps were kept; only the joints are drawn")
        self.display = display
        self.maps = None if maps is None else np.stack([drawing.to_input_size(m, self.size) for m in maps])
        in_pixels = all(j["unit"] == "px" for j in self.joints)
        self.truth, self.prediction = self._points(*place_columns(joints)), self._points("pred_x", "pred_y")
        if not in_pixels:
            notes.say("Predictions in other units than pixels are not drawn")
            self.prediction[:] = np.nan
        self.visible = np.array([bool(j["visible"]) for j in self.joints])
        self.warp = np.array([[row[f"warp_{i}{j}"] for j in range(3)] for i in range(2)], np.float64)

    def _points(self, x: str, y: str) -> Floats:
        return np.array([[j[x], j[y]] for j in self.joints], np.float64)

    def _glow(self, image: drawing.Pixels, values: Floats) -> drawing.Pixels:
        """A map over an image of its size, by value or by rank."""
        if self.by_rank:
            return drawing.overlay(image, drawing.rank_normalised(values), smooth=True)
        return drawing.overlay(image, values)

    def gallery(self, folder: Path, stem: str, kind: str) -> tuple[PersonGallery, SamplePictures]:
        """The strip and the tiles, written to `folder`: as a block of a section, and for other sections to link to."""
        unit = self.joints[0]["unit"]
        error = (
            f"MEPE {show(mepe, 1).text} {unit}" if math.isfinite(mepe := float(self.row["mepe"])) else "no error known"
        )
        name = f"{kind}: {self.row['sample_id']}" if kind else str(self.row["sample_id"])
        title = f"{name}, {error}, {plural(int(self.row['n_visible']), 'visible joint')}"
        strip = folder / f"{stem}-strip.jpg"
        save(self._strip(), strip)
        tiles = {k: folder / f"{stem}-joint-{k:03d}.jpg" for k in self.drawn()}
        for k, path in tiles.items():
            save(self._tile(k), path)
        images = (
            (strip, f"{self.row['sample_id']}: {error}"),
            *((path, self._caption(k)) for k, path in tiles.items()),
        )
        return PersonGallery(title, images, stem), SamplePictures(strip, tiles)

    def sheet(self) -> tuple[Image.Image, Cells]:
        """The joints and every joint's map, each under its name; and where each joint stands in it."""
        everything = np.flatnonzero(self.visible).tolist()
        first = Canvas(self.display, SHEET_HEIGHT)
        self._skeleton(first, self.truth, self.prediction)
        self._mark(first, everything, self.truth, self.prediction, size=0.6)
        panels, titles, drawn = [first.finish()], ["all joints"], self.drawn()
        for k in drawn:
            assert self.maps is not None
            panel = Canvas(self._glow(self.display, self.maps[k].astype(np.float64)), SHEET_HEIGHT)
            self._mark(panel, [k], self.truth, self.prediction, size=0.8)
            panels.append(panel.finish())
            titles.append(str(self.joints[k]["joint_name"]))
        return self._grid(panels, titles, drawn)

    def _grid(
        self, panels: Sequence[Image.Image], titles: Sequence[str], drawn: Sequence[int]
    ) -> tuple[Image.Image, Cells]:
        """Panels in rows, each under its title; of all but the first, which are of the joints `drawn`, the places."""
        gap, width = 6, panels[0].width
        columns = min(len(panels), max(1, (SHEET_WIDTH + gap) // (width + gap)))
        starts = range(0, len(panels), columns)
        rows = [drawing.row_of_panels(panels[i : i + columns], titles[i : i + columns], gap) for i in starts]
        whole, height, cells = stack(rows, gap), rows[0].height, {}
        for i, k in enumerate(drawn, start=1):
            left, top = i % columns * (width + gap), i // columns * (height + gap)
            cells[k] = (left / whole.width, top / whole.height, width / whole.width, height / whole.height)
        return whole, cells

    def drawn(self) -> list[int]:
        """Joints that have a map; those of largest error where there are too many."""
        if self.maps is None:
            return []
        drawn = [k for k, m in enumerate(self.maps) if np.isfinite(m).all() and m.max() > 0]
        if len(drawn) <= MOST_TILES:
            return drawn
        self.notes.say(f"The {MOST_TILES} joints of largest error are shown")
        return sorted(sorted(drawn, key=lambda k: -np.nan_to_num(self.joints[k]["epe"], nan=-1.0))[:MOST_TILES])

    def _caption(self, k: int) -> str:
        joint = self.joints[k]
        numbers = []
        for m in self.measures:
            value, error = float(joint[m.name]), float(joint[m.error]) if m.error else math.nan
            digits = 1 if m.name == "epe" or abs(value) >= 10 else 2
            text = show(value, digits).text
            if text != NOTHING and math.isfinite(error):
                text = f"{text} \u00b1 {show(error, digits).text}"
            unit = m.unit if text != NOTHING else ""
            numbers.append(" ".join(filter(None, (m.title, text, unit))).replace(" ", NO_BREAK))
        return f"{joint['joint_name']} · {' · '.join(numbers)}"

    def _tile(self, k: int) -> Image.Image:
        """Joint k: its map on the input, and the map's density."""
        assert self.maps is not None
        values = self.maps[k].astype(np.float64)
        panels = [Canvas(self._glow(self.display, values), TILE_HEIGHT)]
        blurred = drawing.density(values)
        if blurred is not None:
            panels.append(Canvas(drawing.overlay(self.display, blurred, smooth=True), TILE_HEIGHT))
            panels[-1].contours(blurred)
        for panel in panels:
            self._mark(panel, [k], self.truth, self.prediction)
        return drawing.row_of_panels([p.finish() for p in panels], gap=4)

    def cover(self) -> Image.Image:
        """The person at a glance: its joints, and beside them all maps together; without the padding around both."""
        top, bottom, left, right = _image_in(self.display)
        scale = TILE_HEIGHT / (bottom - top)
        box = tuple(round(scale * edge) for edge in (left, top, right, bottom))
        panels = self._together(round(scale * len(self.display)))
        return drawing.row_of_panels([panel.crop(box) for panel in panels], gap=4)  # type: ignore[arg-type]

    def single(self, k: int | None) -> Image.Image:
        """Joint k's map around its annotation, prediction and density, or all maps together (None)."""
        if k is None or self.maps is None or not np.isfinite(self.maps[k]).all():
            return self._together(TILE_HEIGHT)[-1]
        values = self.maps[k].astype(np.float64)
        points = np.stack([self.truth[k], self.prediction[k], *_densest(values)])
        points = points[np.isfinite(points).all(1)]
        height, width = self.size
        middle, extent = (points.min(0) + points.max(0)) / 2, float(np.ptp(points, axis=0).max())
        side = min(max(LEAST_VIEW * width, CONTEXT * extent), height, width)
        left, top = (
            float(np.clip(m - side / 2, 0, most - side)) for m, most in zip(middle, (width, height), strict=True)
        )
        scale = TILE_HEIGHT / side
        canvas = Canvas(self._glow(self.display, values), round(scale * height))
        self._mark(canvas, [k], self.truth, self.prediction)
        box = tuple(round(scale * edge) for edge in (left, top, left + side, top + side))
        return canvas.finish().crop(box)  # type: ignore[arg-type]

    def _total(self) -> Floats | None:
        return None if self.maps is None else drawing.sum_of_maps(self.maps.astype(np.float64))

    def _together(self, height: int) -> list[Image.Image]:
        """The input with its joints; all maps together, where there are maps."""
        first = Canvas(self.display, height)
        self._skeleton(first, self.truth, self.prediction)
        self._mark(first, np.flatnonzero(self.visible).tolist(), self.truth, self.prediction)
        total = self._total()
        return [
            first.finish(),
            *([Canvas(self._glow(self.display, total), height).finish()] if total is not None else []),
        ]

    def _strip(self) -> Image.Image:
        """The input with its joints; all maps together; their density; the same on the original image."""
        everything, total = np.flatnonzero(self.visible).tolist(), self._total()
        panels, titles = self._together(STRIP_HEIGHT), ["input"]
        if total is not None:
            titles.append("maps of all joints, summed")
            blurred = drawing.density(total)
            if blurred is not None:
                smooth = Canvas(drawing.overlay(self.display, blurred, smooth=True), STRIP_HEIGHT)
                smooth.contours(blurred)
                panels.append(smooth.finish())
                titles.append("their density")
        original = self._original(total, everything)
        if original is not None:
            panels.append(original)
            titles.append("original image")
        return drawing.row_of_panels(panels, titles)

    def _original(self, total: Floats | None, everything: list[int]) -> Image.Image | None:
        """Maps and joints on the part of the original image around the person; None (and a remark) without the file."""
        try:
            image, scale = drawing.read_original(str(self.row["image_path"]))
        except (OSError, ValueError, Image.DecompressionBombError):
            self.notes.say("The original image is gone or cannot be read")
            return None
        # original px -> px of the smaller copy, whose pixel centres are at integers too
        warp = self.warp * scale + np.array([[0, 0, 0.5 * scale - 0.5]] * 2)
        height, width = self.size
        corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
        outline = drawing.to_original(corners, warp)
        left, top, right, bottom = drawing.view_box(outline, (image.shape[0], image.shape[1]))
        shift = np.array([left, top], np.float64)
        warp[:, 2] -= shift
        part = image[top:bottom, left:right]
        if total is not None:
            part = self._glow(part, drawing.map_to_original(total, warp, (part.shape[0], part.shape[1])))
        canvas = Canvas(part, STRIP_HEIGHT)
        canvas.line(np.vstack([outline, outline[:1]]) - shift, (255, 255, 255), 1.0, halo=False)
        truth, prediction = (drawing.to_original(p, warp) for p in (self.truth, self.prediction))
        self._mark(canvas, everything, truth, prediction, size=0.8)
        return canvas.finish()

    def _skeleton(self, canvas: Canvas, truth: Floats, prediction: Floats) -> None:
        """Bones between visible joints: annotated in blue, predicted in white."""
        for a, b in self.bones:
            if self.visible[a] and self.visible[b]:
                canvas.line(prediction[[a, b]], drawing.PREDICTION, 1.0, halo=False)
                canvas.line(truth[[a, b]], drawing.TRUTH, 1.4, halo=False)

    def _mark(
        self, canvas: Canvas, joints: Sequence[int], truth: Floats, prediction: Floats, size: float = 1.0
    ) -> None:
        for k in joints:
            canvas.line(np.stack([truth[k], prediction[k]]), drawing.PREDICTION, 1.2)
        for k in joints:
            canvas.circle(truth[k], 6.0 * size)
            canvas.cross(prediction[k], 5.5 * size)


def _image_in(display: drawing.Pixels) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of what is not black at the edges, px; all of it where all is black.

    >>> _image_in(np.pad(np.ones((2, 3, 3), np.uint8), ((1, 0), (2, 2), (0, 0))))
    (1, 3, 2, 5)
    """
    ys, xs = (np.flatnonzero(display.any(axis=axes)) for axes in ((1, 2), (0, 2)))
    if not len(ys):
        return 0, display.shape[0], 0, display.shape[1]
    return int(ys[0]), int(ys[-1]) + 1, int(xs[0]), int(xs[-1]) + 1


def _densest(values: Floats) -> list[Floats]:
    """Where the map's density is largest, (x, y), if anywhere."""
    blurred = drawing.density(values)
    if blurred is None:
        return []
    y, x = np.unravel_index(int(blurred.argmax()), blurred.shape)
    return [np.array([x, y], np.float64)]


def save(image: Image.Image, path: Path) -> None:
    """Write a picture as JPEG."""
    image.save(path, quality=84, optimize=True, subsampling=0)
