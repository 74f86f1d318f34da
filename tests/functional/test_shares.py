"""Shares of counts."""

from __future__ import annotations

import math

import pytest

from poseig_mm.errors import ShapeError
from poseig_mm.functional.shares import share


def test_share_is_of_the_sums() -> None:
    """Groups count by their size: 1 of 1 and 0 of 9 is a tenth."""
    assert share([1, 0], [1, 9]).mean == 0.1


def test_all_and_nothing_have_wilsons_interval() -> None:
    """z^2 / (n + z^2) away from the edge; 10 of 10: 0.722 as in any table of Wilson's intervals."""
    every, none = share([4, 6], [4, 6]), share([0, 0], [4, 6])
    assert (every.high, none.low) == (1.0, 0.0)
    assert every.low == pytest.approx(0.7225, abs=1e-4)
    assert none.high == pytest.approx(1 - every.low)


def test_groups_are_resampled() -> None:
    """Two groups of 100, one all hits and one none: three equally spaced outcomes, so that the interval is [0, 1]."""
    found = share([100, 0], [100, 100])
    assert (found.low, found.high) == (0.0, 1.0)


def test_nothing_counted_is_nan() -> None:
    """Of no pairs there is no share."""
    assert math.isnan(share([0], [0]).mean)
    with pytest.raises(ShapeError, match="expected one of each"):
        share([1], [1, 2])
