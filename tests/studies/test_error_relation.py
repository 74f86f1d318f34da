"""Correlations of indices with the error, against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_up import joints_frame
from scipy import stats

from poseig_mm.studies.error_relation.rows import correlation_table

RANDOM = np.random.default_rng(0)
ERRORS, INDEX = RANDOM.gamma(2, 3, (12, 3)), RANDOM.normal(20, 5, (12, 3))
FRAME = joints_frame([(f"p{i:02}", k, ERRORS[i, k], INDEX[i, k]) for i in range(12) for k in range(3)])


def test_every_level_is_scipys() -> None:
    """All joints, persons' means, groups and joints: each with its own pairs."""
    rows = {(r["level"], r["of"]): r for r in correlation_table(FRAME, ["di"])}
    pairs = {
        ("all", "all joints"): (INDEX.ravel(), ERRORS.ravel()),
        ("person", "persons' means"): (INDEX.mean(1), ERRORS.mean(1)),
        ("group", "leaf"): (INDEX[:, 2], ERRORS[:, 2]),
        ("joint", "left_elbow"): (INDEX[:, 1], ERRORS[:, 1]),
    }
    for key, (x, y) in pairs.items():
        assert rows[key]["n"] == len(x)
        assert rows[key]["persons"] == 12
        assert rows[key]["pearson"] == pytest.approx(stats.pearsonr(x, y).statistic)
        assert rows[key]["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic)
    assert len(rows) == 1 + 1 + 3 + 3


def test_pairs_of_which_one_is_missing_are_left_out() -> None:
    """n counts whole pairs."""
    frame = joints_frame(
        [("a", 0, 1.0, 1.0), ("b", 0, 2.0, 4.0), ("c", 0, 3.0, 9.0), ("d", 0, math.nan, 1.0), ("e", 0, 1.0, math.nan)]
    )
    row = correlation_table(frame, ["di"])[0]
    assert (row["n"], row["spearman"]) == (3, pytest.approx(1.0))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [([("a", 0, 1.0, 2.0), ("b", 0, 2.0, 3.0)], "fewer than three pairs"),
     ([("a", 0, 1.0, 2.0), ("b", 0, 2.0, 2.0), ("c", 0, 3.0, 2.0)], "does not vary")],
)  # fmt: skip
def test_no_correlation_is_nan_with_a_reason(rows: list[tuple[str, int, float, float]], reason: str) -> None:
    """Not 0, and not left out."""
    found = correlation_table(joints_frame(rows), ["di"])
    assert {r["reason"] for r in found} == {reason}
    assert all(math.isnan(r["pearson"]) for r in found)
