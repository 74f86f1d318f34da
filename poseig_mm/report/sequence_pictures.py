"""Pictures of a sample whose input is a sequence of 2D poses: the pose with coloured joints, and the frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..plotting import drawing
from ..plotting.drawing import Canvas
from ..summary.measures import Measure
from .person_pictures import SHEET_HEIGHT, STRIP_HEIGHT, TILE_HEIGHT, Cells, Floats, Notes, PersonPictures

if TYPE_CHECKING:
    import polars as pl

    from ..store import Store


PAPER, MARGIN, SIDE = 244, 24, 256  # grey; px around the pose; px of its wider extent, and the steps that `display` has
BONE = (150, 154, 163)


class SequencePictures(PersonPictures):
    """One sample's pictures.  The pose is the middle frame's; a joint's colour is its share in all frames.

    What a tile shows of joint k of the output, ringed: how much of its map lies on each joint of the input.
    """

    def __init__(
        self, store: Store, row: Mapping[str, Any], joints: pl.DataFrame, measures: Sequence[Measure], notes: Notes
    ) -> None:
        own = Notes()
        super().__init__(store, row, joints, measures, own)
        notes.failures += own.failures
        notes.say("The input is a sequence of 2D poses, whose middle frame is drawn")
        self.notes = notes
        known = store.display(row["sample_id"]) is not None
        if not known:
            notes.say("The input was not kept; joints are drawn in a row")
        self.points = _points(self.display) if known else _in_a_row(len(self.joints))

    def sheet(self) -> tuple[Image.Image, Cells]:
        """The pose for every joint that has a map, under its name; and where each joint stands in it."""
        drawn = self.drawn()
        panels = [self._pose(None, SHEET_HEIGHT)] + [self._pose(k, SHEET_HEIGHT) for k in drawn]
        return self._grid(panels, ["input", *(str(self.joints[k]["joint_name"]) for k in drawn)], drawn)

    def single(self, k: int | None) -> Image.Image:
        """The pose, its joints coloured by joint k's map, or by all maps together (None)."""
        return self._together(TILE_HEIGHT)[-1] if k is None else self._pose(k, TILE_HEIGHT)

    def _together(self, height: int) -> list[Image.Image]:
        total = self._total()
        return [self._pose(None, height), *([] if total is None else [self._pose(None, height, total.sum(0))])]

    def _tile(self, k: int) -> Image.Image:
        panels = [self._pose(k, TILE_HEIGHT), *self._frames(k, TILE_HEIGHT)]
        return drawing.row_of_panels(panels, gap=4)

    def _strip(self) -> Image.Image:
        """The pose; the pose with all maps together; and these by frame and joint."""
        panels, titles, total = self._together(STRIP_HEIGHT), ["input"], self._total()
        if total is not None:
            panels += self._frames(None, STRIP_HEIGHT, total)
            titles += ["maps of all joints, summed", "by frame (down) and joint"]
        return drawing.row_of_panels(panels, titles[: len(panels)])

    def _pose(self, k: int | None, height: int, values: Floats | None = None) -> Image.Image:
        """The bones, and each joint as a disc of its value (K,); of joint k's map by default."""
        if values is None and k is not None:
            assert self.maps is not None
            values = self.maps[k].astype(np.float64).sum(0)
        side = SIDE + 2 * MARGIN
        canvas = Canvas(np.full((side, side, 3), PAPER, np.uint8), height)
        for a, b in self.bones:
            canvas.line(self.points[[a, b]], BONE, 1.4, halo=False)
        for m, color in enumerate(_colours(values, len(self.points))):
            canvas.circle(self.points[m], 3.0, color, width=3.0)
        if k is not None:
            canvas.circle(self.points[k], 9.0, drawing.TRUTH, width=1.6)
        return canvas.finish()

    def _frames(self, k: int | None, height: int, values: Floats | None = None) -> list[Image.Image]:
        """The map itself, row = frame, column = joint; nothing of a single frame."""
        if values is None and k is not None:
            assert self.maps is not None
            values = self.maps[k].astype(np.float64)
        if values is None or len(values) < 2:
            return []
        shown = drawing.overlay(np.zeros((*values.shape, 3), np.uint8), values)
        width = round(height * 0.6)
        return [Image.fromarray(shown).resize((width, height), Image.Resampling.NEAREST)]


def _colours(values: Floats | None, count: int) -> list[tuple[int, int, int]]:
    """Of discs: the heat of a value over the largest; grey without values."""
    from matplotlib import colormaps

    if values is None or not np.isfinite(values).all() or values.max() <= 0:
        return [BONE] * count
    colours = np.rint(255 * colormaps[drawing.HEAT](values / values.max())[:, :3]).astype(int)
    return [(int(r), int(g), int(b)) for r, g, b in colours]


def _points(display: NDArray[np.uint8]) -> Floats:
    """(K, 2) panel px of the middle frame of (T, K, 3), whose red is x and green is y."""
    points: Floats = display[len(display) // 2, :, :2].astype(np.float64) * (SIDE / 255)
    middle = (points.min(0) + points.max(0)) / 2
    centred: Floats = points - middle + SIDE / 2 + MARGIN
    return centred


def _in_a_row(count: int) -> Floats:
    points: Floats = np.stack([np.linspace(MARGIN, MARGIN + SIDE, count), np.full(count, MARGIN + SIDE / 2)], 1)
    return points
