"""Means, variances and differences of joint groups, worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from made_up import joints_frame
from scipy import stats

from poseig_mm.studies.groups.rows import group_table
from poseig_mm.studies.groups.skeleton_figure import skeleton_figure
from poseig_mm.types import JointGroups

# two persons: trunk 1 and 3, branch 2 and 6, leaf 10 and NaN
TWO = joints_frame(
    [("a", 0, 1.0, 1.0), ("a", 1, 1.0, 2.0), ("a", 2, 1.0, 10.0),
     ("b", 0, 1.0, 3.0), ("b", 1, 1.0, 6.0), ("b", 2, 1.0, math.nan)]
)  # fmt: skip


def found(rows: list[dict[str, Any]], kind: str, group: str, other: str = "") -> dict[str, Any]:
    (row,) = [r for r in rows if (r["kind"], r["group"], r["other"]) == (kind, group, other)]
    return row


def test_means_and_variances_by_hand() -> None:
    """Over joints with a finite value; the variance has n - 1 in its denominator."""
    rows = group_table(TWO, ["di"])
    trunk, leaf, every = (found(rows, "mean", g) for g in ("trunk", "leaf", "all"))
    assert (trunk["value"], trunk["value_n"], trunk["persons"]) == (2.0, 2, 2)
    assert trunk["value_std"] ** 2 == pytest.approx(2.0)
    assert (leaf["value"], leaf["value_n"], leaf["persons"]) == (10.0, 1, 1)
    assert every["value"] == pytest.approx(22 / 5)


def test_groups_come_from_the_root_outwards() -> None:
    """Whatever the order of the rows."""
    rows = group_table(TWO.reverse(), ["di"])
    assert [r["group"] for r in rows if r["kind"] == "mean"] == ["trunk", "branch", "leaf", "all"]


def test_the_variance_over_groups_by_hand() -> None:
    """Of the means 2, 4 and 10: 104 / 9, the groups being all there are."""
    row = found(group_table(TWO, ["di"]), "variance_over_groups", "all")
    assert row["value"] == pytest.approx(104 / 9)
    assert row["persons"] == 2


def test_the_variance_over_groups_has_an_interval_over_persons() -> None:
    """Persons that differ only by a constant change no variance: the interval has no width, though the means have."""
    frame = joints_frame([(f"p{i:02}", k, 1.0, 10.0 * i + k) for i in range(12) for k in range(3)])
    rows = group_table(frame, ["di"])
    spread, mean = found(rows, "variance_over_groups", "all"), found(rows, "mean", "trunk")
    assert (spread["value"], spread["value_low"], spread["value_high"]) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert mean["value_high"] - mean["value_low"] > 10


def test_differences_are_paired_within_persons() -> None:
    """Leaf minus trunk exists in person a alone; branch minus trunk is the mean of 1 and 3."""
    rows = group_table(TWO, ["di"])
    both, one = found(rows, "difference", "trunk", "branch"), found(rows, "difference", "trunk", "leaf")
    assert (both["value"], both["persons"]) == (2.0, 2)
    assert (one["value"], one["persons"]) == (9.0, 1)
    assert math.isnan(both["p"])
    assert both["reason"] == "fewer than 8 images"


def test_persons_and_not_joints_are_tested() -> None:
    """A person's joints of a group are averaged first; p is Wilcoxon's over persons, corrected for three pairs."""
    steps = [0.3, -0.1, 0.5, 0.2, 0.9, 0.7, -0.4, 0.8, 0.6]
    plain = [(f"p{i}", k, 1.0, i + k * step) for i, step in enumerate(steps) for k in range(3)]
    rows = group_table(joints_frame(plain * 3), ["di"])  # every joint three times
    row = found(rows, "difference", "trunk", "branch")
    p = stats.wilcoxon(steps).pvalue
    assert row["persons"] == 9
    assert row["p"] == pytest.approx(p)
    assert row["p_holm"] == pytest.approx(min(1, 3 * p))


def test_what_has_no_value_says_so() -> None:
    """FI without masks: NaN and a reason in every row, none left out."""
    rows = group_table(TWO, ["fi"])
    assert len(rows) == 4 + 1 + 3
    assert all(math.isnan(r["value"]) for r in rows)
    assert {r["reason"] for r in rows} == {"no values", "fewer than two groups with values"}


def test_hidden_joints_do_not_count() -> None:
    """Whatever number stands there."""
    frame = joints_frame([("a", 0, 1.0, 1.0), ("b", 0, 1.0, 99.0)], hidden=[("b", 0)])
    assert found(group_table(frame, ["di"]), "mean", "trunk")["value"] == 1.0


def test_the_skeleton_shows_groups_and_chain() -> None:
    """Fig. D: an arrow from each parent to its child, a colour a group; what has no place is left out."""
    from matplotlib.patches import FancyArrowPatch

    names = ("hip", "knee", "ankle", "wrist")
    groups = JointGroups(names, ("trunk", "branch", "leaf", "leaf"), (-1, 0, 1, 0), (), ((0, 1), (1, 2)))
    places = np.array([[0.0, 0.0], [1.0, 3.0], [1.0, 6.0], [np.nan, np.nan]])
    (axis,) = skeleton_figure(groups, places).axes
    arrows = [patch.get_path().vertices for patch in axis.patches if isinstance(patch, FancyArrowPatch)]
    assert len(arrows) == 2
    assert {text.get_text() for text in axis.texts} == {"hip", "knee", "ankle"}
    legend = axis.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["trunk", "branch", "leaf"]
    assert len({tuple(dots.get_facecolor()[0]) for dots in axis.collections}) == 3
