"""Who is easy and who is hard, and their difference, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_up import joints_frame
from scipy import stats

from poseig_mm.errors import ConfigError
from poseig_mm.studies.easy_hard.rows import easy_and_hard, easy_hard_table
from poseig_mm.studies.easy_hard.study import EasyHard

# person i has the error i at its trunk and i + 1 at its branch, and DI 10 i there and 10 i + 3
PLAIN = joints_frame([(f"p{i}", k, float(i + k), 10.0 * i + 3 * k) for i in range(7) for k in range(2)])


def test_thirds_of_whole_persons() -> None:
    """Seven persons: two and two, the lowest and the highest mean errors."""
    assert easy_and_hard(PLAIN) == (["p0", "p1"], ["p5", "p6"])


def test_equal_errors_are_ranked_by_id() -> None:
    """So that the order of the rows changes nothing."""
    frame = joints_frame([(p, 0, 1.0, 0.0) for p in ("c", "a", "b")])
    assert easy_and_hard(frame) == easy_and_hard(frame.reverse()) == (["a"], ["c"])


def test_a_person_counts_by_the_mean_over_visible_joints() -> None:
    """A hidden joint's error does not make a person hard."""
    frame = joints_frame(
        [("a", 0, 1.0, 0.0), ("a", 1, 50.0, 0.0), ("b", 0, 2.0, 0.0), ("c", 0, 3.0, 0.0)], hidden=[("a", 1)]
    )
    assert easy_and_hard(frame) == (["a"], ["c"])


def test_absolute_limits() -> None:
    """Mean errors up to 1.5 px, and from 6.5 px on, whatever the shares."""
    settings = EasyHard(easy_below=1.5, hard_above=6.5)
    assert easy_and_hard(PLAIN, settings) == (["p0", "p1"], ["p6"])


def test_the_difference_by_hand() -> None:
    """Hard (5 and 6) minus easy (0 and 1): 50 in DI in every group, 5 px in the error."""
    rows = {(r["measure"], r["group"]): r for r in easy_hard_table(PLAIN, ["epe", "di"])}
    every, trunk = rows["di", "all"], rows["di", "trunk"]
    assert (every["easy"], every["hard"], every["difference"]) == (6.5, 56.5, 50.0)
    assert (trunk["easy"], trunk["hard"], trunk["difference"]) == (5.0, 55.0, 50.0)
    assert (rows["epe", "all"]["easy"], rows["epe", "all"]["hard"]) == (1.0, 6.0)
    assert (every["persons_easy"], every["persons_hard"], every["difference_n"]) == (2, 2, 8)
    assert math.isnan(every["p"])
    assert every["reason"] == "fewer than 8 images"


def test_std_is_the_spread_of_single_values_and_nothing_else() -> None:
    """Of the joints' values (n - 1) for a mean; a difference of two means has no single values, so it has none."""
    (row,) = [r for r in easy_hard_table(PLAIN, ["di"]) if r["group"] == "all"]
    assert row["easy_std"] == pytest.approx(np.std([0, 3, 10, 13], ddof=1))
    assert row["hard_std"] == pytest.approx(np.std([50, 53, 60, 63], ddof=1))
    assert math.isnan(row["difference_std"])


def test_means_are_over_joints_and_tests_over_persons() -> None:
    """A person with more joints weighs more in the mean; p is Mann-Whitney's of the persons' means."""
    rows = [(f"p{i:02}", 0, float(i), float(i % 5)) for i in range(24)] + [("p23", 1, 23.0, 100.0)]
    (found,) = [r for r in easy_hard_table(joints_frame(rows), ["di"]) if r["group"] == "all"]
    easy, hard = [i % 5 for i in range(8)], [i % 5 for i in range(16, 23)]
    assert found["hard"] == pytest.approx((sum(hard) + 23 % 5 + 100) / 9)
    assert found["difference"] == pytest.approx(found["hard"] - sum(easy) / 8)
    assert found["p"] == pytest.approx(stats.mannwhitneyu([*hard, (23 % 5 + 100) / 2], easy).pvalue)
    assert found["difference_low"] < found["difference"] < found["difference_high"]


def test_the_error_that_makes_the_groups_is_not_tested() -> None:
    """It differs by construction, and does not count in the correction of the others."""
    frame = joints_frame([(f"p{i:02}", 0, float(i), float(i * i % 7)) for i in range(24)])
    both, alone = easy_hard_table(frame, ["epe", "di"]), easy_hard_table(frame, ["di"])
    for row in both[:2]:
        assert (row["measure"], row["reason"], row["difference"]) == ("epe", "makes the groups", 16.0)
        assert math.isnan(row["p"])
        assert math.isnan(row["p_holm"])
        assert math.isnan(row["effect"])
    assert [row["p_holm"] for row in both[2:]] == [row["p_holm"] for row in alone]
    assert all(math.isfinite(row["p_holm"]) for row in alone)


def test_persons_are_resampled_and_not_joints() -> None:
    """Joints that only repeat their person's number do not narrow the interval."""
    once = [(f"p{i:02}", 0, float(i), float(i * i % 7)) for i in range(24)]
    one, five = (easy_hard_table(joints_frame(rows), ["di"])[0] for rows in (once, once * 5))
    for end in ("difference_low", "difference_high"):
        assert five[end] == pytest.approx(one[end])


def test_one_person_a_side_has_no_interval() -> None:
    """Three persons: one is easy and one hard; their difference is there, its interval is not."""
    row = easy_hard_table(joints_frame([(f"p{i}", k, i + 1.0, 1.0 * i) for i in range(3) for k in range(3)]), ["di"])[0]
    assert row["difference"] == 2.0
    assert math.isnan(row["difference_low"])
    assert math.isnan(row["difference_high"])


def test_too_few_for_thirds() -> None:
    """Two persons: nobody is easy, and every row says that there are no values."""
    rows = easy_hard_table(joints_frame([("a", 0, 1.0, 1.0), ("b", 0, 2.0, 2.0)]), ["di"])
    assert [r["reason"] for r in rows] == ["no values"] * 2
    assert all(math.isnan(r["difference"]) for r in rows)


@pytest.mark.parametrize(
    "wrong",
    [{"easy_share": 0.6, "hard_share": 0.6}, {"easy_share": 0}, {"hard_share": "a"}, {"easy_below": 3},
     {"easy_below": 8, "hard_above": 3}, {"easy_below": math.nan, "hard_above": 3}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    """With what was got and what is expected."""
    with pytest.raises(ConfigError, match="expected"):
        EasyHard(**wrong)  # type: ignore[arg-type]
