"""Intervals hold the truth as often as they say; tests of nothing are significant as rarely as they say."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from benchmarks.coverage_of_intervals import CELLS, Cell, means

# (least, most) of what docs/statistics.md promises; a share's interval may be wider than it need be
LIMITS = {"difference": (0.93, 0.975), "ratio": (0.93, 0.97), "correlation": (0.92, 0.97), "share": (0.92, 1.0)}
RI = "type I of RI's test"


def limits(cell: Cell) -> tuple[float, float]:
    if cell.quantity == RI:
        return 0.03, 0.07
    if cell.data == "lognormal" and cell.quantity == "mean":
        return (0.90 if cell.n >= 8 else 0.87), 0.97
    if cell.quantity == "mean":
        return 0.93, (0.97 if cell.data == "normal" and cell.n >= 8 else 0.98)  # fewer than eight, or few images
    return LIMITS[cell.quantity]


def cells(names: Iterable[str]) -> list[Cell]:
    return [cell for name in names for cell in CELLS[name]()]


def label(cell: Cell) -> str:
    return f"{cell.quantity}-{cell.data}-{cell.n}"


@pytest.mark.largest
@pytest.mark.parametrize("cell", cells(CELLS), ids=label)
def test_coverage(cell: Cell) -> None:
    """2,000 runs a cell, seed 0: the table of docs/statistics.md."""
    least, most = limits(cell)
    assert least <= cell.rate(2000) <= most


@pytest.mark.parametrize("cell", [c for c in means() if c.n == 12], ids=label)
def test_coverage_in_short(cell: Cell) -> None:
    """300 runs of twelve persons; the percentile bootstrap covers 0.89 of normal and 0.83 of lognormal ones."""
    assert cell.rate(300) >= (0.93 if cell.data == "normal" else 0.88)


def test_the_percentile_bootstrap_would_fail() -> None:
    """What `test_coverage_in_short` asks is more than it gives, on the same data."""
    hits = {"normal": 0, "lognormal": 0}
    for name in hits:
        rng = np.random.default_rng([0, 12])
        drawn = np.random.default_rng(0).integers(0, 12, (2000, 12))
        for _ in range(300):
            x = rng.normal(size=12) if name == "normal" else rng.lognormal(size=12) - np.exp(0.5)
            low, high = np.quantile(x[drawn].mean(1), [0.025, 0.975])
            hits[name] += bool(low <= 0 <= high)
    assert hits["normal"] / 300 < 0.93
    assert hits["lognormal"] / 300 < 0.88


@pytest.mark.parametrize("cell", [c for c in cells(["ri"]) if c.n == 30], ids=label)
def test_ri_of_chance_is_seldom_significant(cell: Cell) -> None:
    """Mann-Whitney over joints as if independent: a quarter."""
    assert cell.rate(200) < 0.09
