"""Shares of counts."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from poseig_mm.errors import ShapeError
from poseig_mm.functional.shares import share


def test_share_is_of_the_sums() -> None:
    """Groups count by their size: 1 of 1 and 0 of 9 is a tenth."""
    assert share([1, 0], [1, 9]).mean == 0.1


def test_all_and_nothing_have_wilsons_interval() -> None:
    """t^2 / (n + t^2) away from the edge, n the number of persons: nothing says that their joints are not alike."""
    every, none = share([4] * 10, [4] * 10), share([0] * 10, [4] * 10)
    assert (every.high, none.low) == (1.0, 0.0)
    t = stats.t.ppf(0.975, 9)
    assert every.low == pytest.approx(10 / (10 + t**2))
    assert none.high == pytest.approx(1 - every.low)


def test_joints_all_alike_are_one() -> None:
    """Twenty groups of 100, half all hits and half none: no more is known than of twenty single joints."""
    many, single = share([100, 0] * 10, [100] * 20), share([1, 0] * 10, [1] * 20)
    assert (many.low, many.high) == pytest.approx((single.low, single.high))
    assert share([50] * 20, [100] * 20).low > many.low + 0.1


def test_persons_of_an_image_are_one_group() -> None:
    """Entries with one label are one entry; those without a joint do not count."""
    together = share([1, 0, 2, 1, 0, 1], [2] * 6, ["a", "b", "c", "d", "e", "a"])
    alone = share([2, 0, 2, 1, 0, 0], [4, 2, 2, 2, 2, 0])
    assert together == alone


def test_three_groups_have_no_interval() -> None:
    """Four have one."""
    assert math.isnan(share([1] * 3, [2] * 3).low)
    assert math.isfinite(share([1] * 4, [2] * 4).low)


def test_nothing_counted_is_nan() -> None:
    """Of no pairs there is no share."""
    assert math.isnan(share([0], [0]).mean)
    with pytest.raises(ShapeError, match="expected one of each"):
        share([1], [1, 2])
