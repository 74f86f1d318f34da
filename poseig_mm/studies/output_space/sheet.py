"""Fig. B: one person's joints, a row each, under every target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL.Image import Image

from ...plotting.drawing import Canvas, overlay
from ...plotting.sheets import stack, titled_row
from ...types import Attribution, Sample
from .rows import Target

HEIGHT = 190  # of a panel, px


def draw_sheet(
    sample: Sample,
    names: Sequence[str],
    maps: Mapping[Target, Attribution | str],
    rows: Sequence[Mapping[str, Any]],
    indices: Sequence[str],
) -> Image:
    """A row a joint: the input, then the map of every target with its indices below it.

    Args:
        sample: whose maps they are.
        names: of the joints.
        maps: target -> maps, or the reason why there are none.
        rows: of the study's table, target by target and in each joint by joint.
        indices: columns of `rows` to show.
    """
    sheets = []
    joints = list(dict.fromkeys(int(row["joint"]) for row in rows))
    for i, joint in enumerate(joints):
        canvases, titles, notes = [Canvas(sample.display, HEIGHT)], [names[joint]], [f"{', '.join(indices)}:"]
        for t, (target, attribution) in enumerate(maps.items()):
            row = rows[t * len(joints) + i]
            titles.append(target.title)
            if isinstance(attribution, str) or attribution.reasons[joint]:
                canvases.append(Canvas((sample.display // 3).astype(sample.display.dtype), HEIGHT))
                notes.append(str(row["reason"]).replace("_", " "))
            else:
                values = attribution.maps[joint].double().cpu().numpy()
                canvases.append(Canvas(overlay(sample.display, values), HEIGHT))
                notes.append(_note([float(row[name]) for name in indices]))
        for canvas in canvases:
            if sample.pixels is not None:
                canvas.circle(sample.pixels[joint].cpu().numpy(), 4.5, width=1.6)
        sheets.append(titled_row([canvas.finish() for canvas in canvases], titles, notes))
    return stack(sheets)


def _note(values: Sequence[float]) -> str:
    """Numbers in one line.

    >>> _note([21.34, float('nan'), 6.6])
    '21.3, ?, 6.60'
    """
    return ", ".join("?" if math.isnan(v) else f"{v:.{1 if abs(v) >= 10 else 2}f}" for v in values)
