"""Areas and mean curves of a run, from the rows of the study `insertion_deletion`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...functional.inference import FEWEST, Comparison, paired_difference
from ...plotting.figures import MUTED, PALETTE, figure_style, new_figure
from ...store.reader import Store
from ...summary.measures import estimate, group_order, images_of
from ...summary.reasons import missing_table
from ...summary.sentences import plural
from ...types import Gallery, Picture, Section, Table
from ..section_parts import parts_of, study_rows, with_holm

ORDER = 312
TITLE = "Insertion and deletion"
KINDS = ("deletion", "insertion")
_MEASURES = {"": "likelihood", "_error": "distance"}


def insertion_deletion_section(store: Store, name: str) -> Section | None:
    """None where the study has no rows."""
    if not len(rows := study_rows(store, name)):
        return None
    known = rows.filter(pl.col("area").is_finite() & pl.col("area_random").is_finite())
    missing = missing_table(rows, "joints times kinds")
    if not len(known):
        lead = "No joint has a map and a point to measure from, so there are no curves."
        return Section(name, TITLE, lead, missing, ORDER)
    groups = [*group_order(known), "all"]
    blocks: tuple[Table | Picture | Gallery, ...] = (
        Picture(
            "insertion_deletion",
            "Mean over joints, band: 95 % interval (images resampled). Blue: pixels in the order of the map; grey, "
            "dashed: in random order. Above: likelihood of the reference point; below: distance from it.",
            _figure(known),
        ),
        _areas(known, groups, ""),
        _areas(known, groups, "_error"),
        *missing,
    )
    return Section(name, TITLE, _lead(known), blocks, ORDER)


def _difference(rows: pl.DataFrame, suffix: str = "") -> Comparison:
    """Map's area minus the random one, over joints, tested over images."""
    columns = (rows[f"area{suffix}_random"].to_numpy(), rows[f"area{suffix}"].to_numpy())
    return paired_difference(*columns, images_of(rows))


def _lead(known: pl.DataFrame) -> str:
    """Both differences with their intervals, and whether they speak for the maps."""
    persons = known["sample_id"].n_unique()
    parts = []
    for kind, rows in parts_of(known, "kind", KINDS):
        d, sign = _difference(rows).difference, -1 if kind == "deletion" else 1
        if not np.isfinite(d.low):
            parts.append(f"{kind} {d.mean:+.3f}, without an interval")
            continue
        ends = sorted((sign * d.low, sign * d.high))
        word = "as it should be" if ends[0] > 0 else "the wrong way round" if ends[1] < 0 else "which may be chance"
        parts.append(f"{kind} {d.mean:+.3f} [{d.low:+.3f}, {d.high:+.3f}], {word}")
    text = (
        f"In the order of the map instead of a random one, the area below the likelihood changes: {'; '.join(parts)} "
        f"({plural(persons, 'person')}, {plural(len(known) // len(KINDS), 'joint')}). A good map lowers it in deletion "
        "and raises it in insertion."
    ).replace("-", "\u2212")
    if persons < FEWEST:
        text += f" With only {plural(persons, 'person')} nothing is tested."
    return text


def _areas(known: pl.DataFrame, groups: Sequence[str], suffix: str) -> Table:
    """Areas and their paired differences by group and kind; p-values corrected for the lines of this table."""
    parts = {(g, k): part for g, rows in parts_of(known, "group", groups) for k, part in parts_of(rows, "kind", KINDS)}
    tests = with_holm({key: _difference(part, suffix) for key, part in parts.items()})
    means = {key: (part[f"area{suffix}"].mean(), part[f"area{suffix}_random"].mean()) for key, part in parts.items()}
    lines = tuple(
        (*key, len(parts[key]), *means[key], comparison.difference, comparison.effect, p)
        for key, (comparison, p) in tests.items()
    )
    unit = f", {known['unit'][0]}" if suffix else ""
    wanted = "a good map has less of it in deletion" if not suffix else "a good map has more of it in deletion"
    return Table(
        f"Mean area below the {_MEASURES[suffix]}{unit}, and its difference [95 % interval, images resampled]; "
        f"{wanted}, and the reverse in insertion. Effect: matched rank-biserial; p: Wilcoxon on the images' means, "
        "Holm-corrected.",
        ("group", "kind", "joints", "map", "random", "difference", "effect", "p"),
        lines,
        2 if suffix else 3,
    )


def _figure(known: pl.DataFrame) -> Figure:
    """Mean curves: likelihood above, distance below; deletion left, insertion right."""
    fractions = 100 * np.array([float(f) for f in known["fractions"][0].split()])
    with figure_style():
        figure, axes = new_figure(8.4, 5.6, 2, 2)
        for axis, (suffix, kind) in zip(axes, ((s, k) for s in _MEASURES for k in KINDS), strict=True):
            rows = known.filter(kind=kind)
            first = "error" if suffix else "value"
            dashed = {"ls": (0, (4, 2)), "marker": "s", "label": "random"}
            _curve(axis, fractions, rows, f"random{suffix}", MUTED, dashed)
            _curve(axis, fractions, rows, first, PALETTE[0], {"marker": "o", "label": "map"})
            axis.set_ylim(bottom=0)
            axis.set_xlim(-2, 102)
            if suffix:
                axis.set_xlabel(f"pixels {'replaced' if kind == 'deletion' else 'revealed'} (%)")
            else:
                axis.set_title(kind)
        for left, right in (axes[:2], axes[2:]):
            top = max(left.get_ylim()[1], right.get_ylim()[1])
            left.set_ylim(0, top)
            right.set_ylim(0, top)
        axes[0].set_ylabel("likelihood")
        axes[2].set_ylabel(f"distance ({known['unit'][0]})")
        axes[0].legend(loc="best")
    return figure


def _curve(axis: Axes, x: Any, rows: pl.DataFrame, column: str, color: str, style: dict[str, Any]) -> None:
    """Mean and 95 % band of the columns `column`_0, `column`_1, ..."""
    means = [estimate(rows, f"{column}_{i}") for i in range(len(x))]
    axis.fill_between(x, [e.low for e in means], [e.high for e in means], color=color, alpha=0.18, lw=0)
    axis.plot(x, [e.mean for e in means], color=color, lw=1.8, ms=4, mec="white", mew=0.5, **style)
