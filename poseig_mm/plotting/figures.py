"""One look for every figure: palette, type, and how a figure becomes files.  No pyplot: nothing is kept globally."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..functional.statistics import Estimate


# Okabe & Ito: told apart with any kind of colour vision; each goes with a marker of its own, for print.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MUTED = "#8a8f98"
SEQUENTIAL = "cividis"  # perceptually uniform, the same with red-green blindness
COLUMNS = 4  # panels in a row
SVG_LIMIT = 1_500_000  # bytes; a larger drawing is shown as PNG

_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": "#555b66",
    "axes.labelcolor": "#222733",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e7ec",
    "grid.linewidth": 0.7,
    "text.color": "#222733",
    "xtick.color": "#555b66",
    "ytick.color": "#555b66",
    "xtick.labelcolor": "#222733",
    "ytick.labelcolor": "#222733",
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.fonttype": "path",  # looks the same wherever it is opened
    "svg.hashsalt": "poseig_mm",
    "pdf.fonttype": 42,  # text stays text
}


def figure_style() -> AbstractContextManager[None]:
    """The report's matplotlib settings, for the `with` block alone."""
    from matplotlib import rc_context

    return rc_context(_STYLE)


def new_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, *, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """An empty figure of `width` x `height` inches and its axes, row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, sharey=sharey, squeeze=False)
    return figure, list(axes.flat)


def rows_of_panels(count: int) -> tuple[int, int]:
    """(rows, columns) for so many panels, at most four side by side.

    >>> rows_of_panels(3), rows_of_panels(9)
    ((1, 3), (3, 4))
    """
    columns = min(COLUMNS, count)
    return -(-count // columns), columns


def say_no_values(axis: Axes) -> None:
    """What stands in a panel that has nothing to show."""
    axis.text(0.5, 0.5, "no values", transform=axis.transAxes, ha="center", color="#666")
    axis.set_xticks([])


def draw_estimate(axis: Axes, value: Estimate, y: float, color: str, marker: str, width: float = 1.6) -> bool:
    """A mark at the mean, on the line of its interval, as far as there are such; whether there is a mean."""
    if isfinite(value.low) and isfinite(value.high):
        axis.plot([value.low, value.high], [y, y], color=color, lw=width, solid_capstyle="round")
    if isfinite(value.mean):
        axis.plot([value.mean], [y], marker=marker, color=color, ms=5.5, mec="white", mew=0.6, ls="none", zorder=3)
    return isfinite(value.mean)


def draw_reference(axis: Axes, value: float | None, *, across: bool = False) -> None:
    """A dashed line at the value that says 'no preference', upright or `across`; nothing where there is no such
    value.
    """
    if value is not None:
        draw = axis.axhline if across else axis.axvline
        draw(value, color="#444", lw=0.8, ls=(0, (4, 3)), zorder=1)


def group_styles(groups: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each group, in order; joints of no group ('') are grey dots.

    >>> group_styles(['trunk', 'leaf', ''])
    {'trunk': ('#0072B2', 'o'), 'leaf': ('#E69F00', 's'), '': ('#8a8f98', 'o')}
    """
    named = [g for g in dict.fromkeys(groups) if g]
    styles = {g: (PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)]) for i, g in enumerate(named)}
    return styles | {"": (MUTED, "o")}


@dataclass(frozen=True)
class SavedFigure:
    """Where a figure went: `page` (SVG, or PNG where that is smaller) and the two for papers and slides."""

    page: Path
    png: Path
    pdf: Path
    width: int  # CSS px
    height: int


def save_figure(figure: Figure, stem: str, page_dir: Path, figures_dir: Path) -> SavedFigure:
    """Write `figure` as SVG to `page_dir` and as PNG and PDF to `figures_dir`.

    Raises:
        TypeError: not a matplotlib Figure; and whatever drawing it raises.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    if not isinstance(figure, MatplotlibFigure):
        raise TypeError(
            f"a Picture holds a {type(figure).__name__}; expected a matplotlib Figure or the path of an image"
        )
    page_dir.mkdir(parents=True, exist_ok=True)
    figures_dir.mkdir(parents=True, exist_ok=True)
    svg, png, pdf = page_dir / f"{stem}.svg", figures_dir / f"{stem}.png", figures_dir / f"{stem}.pdf"
    with figure_style():
        figure.savefig(png, facecolor="white")
        figure.set_layout_engine(None)  # once is enough: a third of the time of every report
        figure.savefig(pdf, facecolor="white", metadata={"CreationDate": None})
        figure.savefig(svg, facecolor="white", metadata={"Date": None})
    page = svg
    if svg.stat().st_size > SVG_LIMIT:
        svg.unlink()
        page = page_dir / f"{stem}.png"
        page.write_bytes(png.read_bytes())
    width, height = figure.get_size_inches() * 96
    return SavedFigure(page, png, pdf, round(float(width)), round(float(height)))
