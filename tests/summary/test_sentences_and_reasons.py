"""Numbers in words, and why they are missing."""

from __future__ import annotations

import math

import polars as pl
import pytest

from poseig_mm.functional.statistics import Estimate
from poseig_mm.summary.reasons import missing_table, reason_text, reasons_table
from poseig_mm.summary.sentences import format_estimate


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        (Estimate(9, -1.0, 1.0, -2.0, 0.0), {}, "\u22121.00 [\u22122.00, 0.00]"),
        (Estimate(9, 0.0004, 1.0, 0.0003, 0.0005), {"small": True}, "0.0004 [0.0003, 0.0005]"),
        (Estimate(9, 12.34, 1.0, 0.0, 20.0), {"digits": 1, "sign": True}, "+12.3 [+0.0, +20.0]"),
        (Estimate(9, 0.5, 1.0, 0.1, math.inf), {}, "0.50"),
        (Estimate(0, math.nan, math.nan, math.nan, math.nan), {"sign": True}, "unknown"),
    ],
)
def test_an_estimate_in_a_sentence(value: Estimate, options: dict[str, int], text: str) -> None:
    """Real minus signs, an interval where both its ends are known, and no 'nan' on a page."""
    assert format_estimate(value, **options) == text


def test_reasons_are_counted_one_by_one() -> None:
    """A row may have several codes; shares are of all rows; what has all its numbers makes no table."""
    rows = pl.DataFrame({"reason": ["", "no_mask;no_place", "no_mask", None]})
    (table,) = missing_table(rows, "joints")
    assert table.caption == "Why a number is missing, of 4 rows (joints)."
    assert [line[:3] for line in table.rows] == [("no_mask", 2, 50.0), ("no_place", 1, 25.0)]
    assert reasons_table(rows, "", "joints")[0].columns[1] == "joints"
    assert missing_table(pl.DataFrame({"reason": ["", ""]}), "joints") == ()


def test_codes_of_indices_name_the_index() -> None:
    """A plugin's index need not be known here; a code that nobody knows is a plugin's own."""
    assert "my_index raised" in reason_text("my_index_failed")
    assert "my_index has no value" in reason_text("my_index_undefined")
    assert reason_text("whatever") == "said by a plugin"


@pytest.mark.parametrize(
    ("code", "needed"),
    [("no_mask", "need a mask"), ("empty_mask", "need a mask"), ("predicted_mask", "need a mask"),
     ("joints_mask", "need a mask"), ("no_place", "need the joint's place"), ("no_heatmaps", "need the joint's place")],
)  # fmt: skip
def test_a_reason_says_what_was_needed(code: str, needed: str) -> None:
    """A plugin's index of the mask is NaN for the same reason as FI, which is an example and not the only one."""
    assert f"indices that {needed} (" in reason_text(code)
