"""Rows of panels put together: words above and below each panel, rows one under the other."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from .drawing import row_of_panels


def titled_row(panels: Sequence[Image.Image], titles: Sequence[str], notes: Sequence[str] | None = None) -> Image.Image:
    """Panels of one height side by side, each with a title above and a note below; one line each, as wide as the panel.

    >>> titled_row([Image.new('RGB', (90, 50))] * 2, ['a', 'b'], ['1', '2']).size
    (186, 95)
    """
    row = row_of_panels(panels, titles)
    if notes is None:
        return row
    return stack([row, row_of_panels([Image.new("RGB", (p.width, 1), "white") for p in panels], notes)], gap=0)


def stack(rows: Sequence[Image.Image], gap: int = 10) -> Image.Image:
    """Images one under the other on white, at the left edge.

    >>> stack([Image.new('RGB', (30, 20)), Image.new('RGB', (40, 20))]).size
    (40, 50)
    """
    height = sum(r.height for r in rows) + gap * (len(rows) - 1)
    sheet, y = Image.new("RGB", (max(r.width for r in rows), height), "white"), 0
    for row in rows:
        sheet.paste(row, (0, y))
        y += row.height + gap
    return sheet
