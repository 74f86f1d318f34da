"""Ratios, correlations, differences and their p-values, against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from poseig_mm.errors import ShapeError
from poseig_mm.functional.inference import (
    FEWEST,
    compare_groups,
    compare_marked,
    corrected_p,
    correlation,
    holm,
    paired_difference,
)
from poseig_mm.functional.shares import share
from poseig_mm.functional.statistics import bootstrap_mean, bootstrap_of
from poseig_mm.types import Missing

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
NAN = math.nan


def ratio(s: Array) -> Array:
    return s[:, 0] / s[:, 1]


def test_a_ratio_is_that_of_the_sums() -> None:
    """Not the mean of ratios; a row with a value that is not finite does not count."""
    found = bootstrap_of(ratio, [[1.0, 2.0], [9.0, 2.0], [NAN, 1.0], [1.0, math.inf]])
    assert (found.n, found.mean) == (2, 2.5)


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    """For 4,000 values it is mean +- 1.96 standard errors."""
    x = np.random.default_rng(0).normal(5, 2, 4000)
    found, error = bootstrap_of(ratio, np.stack([x, np.ones(4000)], 1)), x.std(ddof=1) / math.sqrt(4000)
    assert found.low == pytest.approx(x.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(x.mean() + 1.96 * error, abs=0.15 * error)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """A 95 % interval of a correlation of 60 pairs holds the true one in 90 to 99 % of 200 data sets."""
    rng, rho, hits = np.random.default_rng(1), 0.6, 0
    for seed in range(200):
        x = rng.normal(size=60)
        y = rho * x + math.sqrt(1 - rho**2) * rng.normal(size=60)
        found = correlation(x, y, seed=seed)
        hits += found.low <= rho <= found.high
    assert 180 <= hits <= 198


def test_groups_are_resampled_and_not_rows() -> None:
    """Rows that only repeat their person's widen nothing and narrow nothing: the interval is the persons'."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 40))
    labels = np.repeat(np.arange(40), 9)
    persons = correlation(x, y)
    whole = correlation(np.repeat(x, 9), np.repeat(y, 9), labels)
    rows = correlation(np.repeat(x, 9), np.repeat(y, 9))
    assert whole.mean == pytest.approx(persons.mean)
    assert (whole.low, whole.high) == pytest.approx((persons.low, persons.high))
    assert rows.high - rows.low == pytest.approx((whole.high - whole.low) / 3, rel=0.15)


def test_one_group_has_no_interval() -> None:
    """One person's joints say nothing of other persons."""
    found = bootstrap_of(ratio, [[1.0, 1.0], [3.0, 1.0]], ["a", "a"])
    assert found.mean == 2
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_nothing_finite_is_nan() -> None:
    """n = 0, no 0."""
    found = bootstrap_of(ratio, [[NAN, 1.0]])
    assert found.n == 0
    assert math.isnan(found.mean)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_correlations_are_scipys(method: str) -> None:
    """Also with ties, an offset and another scale; pairs with a NaN are left out."""
    rng = np.random.default_rng(3)
    x = np.round(rng.normal(1e4, 1, 50), 1)
    y = np.exp(x - 1e4) * 1e-3 + 1e-3 * rng.normal(size=50)
    expected = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}[method](x, y).statistic
    x, y = np.append(x, [NAN, 1.0]), np.append(y, [1.0, math.inf])
    estimate = correlation(x, y, method=method)  # type: ignore[arg-type]
    assert estimate.n == 50
    assert estimate.mean == pytest.approx(expected, abs=1e-10)
    assert estimate.low < estimate.mean < estimate.high


def test_a_correlation_with_a_constant_does_not_exist() -> None:
    """Whatever rounding makes of the constant's spread."""
    constant = np.full(7, 0.1)
    assert np.ptp(constant) == 0
    assert constant.std() > 0  # what a naive check would look at
    found = correlation(constant, np.arange(7.0))
    assert found.n == 7
    assert math.isnan(found.mean)


def test_resamples_of_one_pair_do_not_count() -> None:
    """Drawn with replacement, one of five persons alone has no correlation; rounding makes none up."""
    found = correlation([0.1, 0.2, 0.7, 0.3, 0.4], [0.3, 0.1, 0.2, 0.3, 0.1])
    assert -1 <= found.low <= found.mean <= found.high <= 1
    straight = correlation([0.1, 0.2, 0.7, 0.3, 0.4], [0.2, 0.4, 1.4, 0.6, 0.8])
    assert (straight.low, straight.high) == pytest.approx((1.0, 1.0))


def test_paired_differences_are_wilcoxons() -> None:
    """p on the persons' mean differences, and the rank-biserial effect from the two rank sums."""
    rng = np.random.default_rng(4)
    a, labels = rng.normal(size=60), np.repeat(np.arange(20), 3)
    b = a + 0.4 + 0.8 * rng.normal(size=60)
    found = paired_difference(a, b, labels)
    means = (b - a).reshape(20, 3).mean(1)
    assert found.p == stats.wilcoxon(means).pvalue
    ranks = stats.rankdata(abs(means))
    assert found.effect == pytest.approx((ranks[means > 0].sum() - ranks[means < 0].sum()) / 210)
    assert found.difference.n == 60
    assert found.difference.mean == pytest.approx(means.mean())


def test_equal_pairs_differ_by_nothing() -> None:
    """The difference is 0 and not nearly so, p is 1, there is no effect."""
    x = np.random.default_rng(5).normal(size=30)
    found = paired_difference(x, x.copy())
    assert (found.difference.mean, found.difference.low, found.difference.high) == (0.0, 0.0, 0.0)
    assert (found.p, found.effect) == (1.0, 0.0)


def test_pairs_of_which_one_is_missing_are_left_out() -> None:
    """An infinite value in both is no difference either."""
    found = paired_difference([1.0, NAN, 1.0, math.inf], [2.0, 1.0, NAN, math.inf])
    assert (found.difference.n, found.difference.mean) == (1, 1.0)


def test_compared_groups_are_mann_whitneys() -> None:
    """p is scipy's; the effect is Cliff's delta, counted pair by pair."""
    rng = np.random.default_rng(6)
    a, b = np.round(rng.normal(0, 1, 25), 1), np.round(rng.normal(0.5, 1, 30), 1)
    found = compare_groups(np.append(a, NAN), b)
    assert found.p == stats.mannwhitneyu(b, a).pvalue
    assert found.effect == pytest.approx(np.sign(b[:, None] - a[None, :]).mean())
    assert found.difference.mean == pytest.approx(b.mean() - a.mean())
    error = math.sqrt(a.var() / 25 + b.var() / 30)
    assert found.difference.high - found.difference.low == pytest.approx(2 * 2.0 * error, rel=0.08)


def test_two_groups_of_one_value_do_not_differ() -> None:
    """p = 1 where nothing varies."""
    found = compare_groups([2.0] * 9, [2.0] * 9)
    assert (found.difference.mean, found.p, found.effect) == (0.0, 1.0, 0.0)


def test_fewer_than_eight_are_not_tested() -> None:
    """Values of a group, or persons and not pairs; eight are."""
    assert FEWEST == 8
    few, enough = np.arange(7.0), np.arange(8.0)
    assert math.isnan(compare_groups(few, enough).p)
    assert math.isnan(compare_groups(enough, few).p)
    assert math.isfinite(compare_groups(enough, enough).p)
    assert math.isnan(paired_difference(few, few + 1).p)
    assert math.isfinite(paired_difference(enough, enough + 1).p)
    pairs = np.arange(70.0)
    assert math.isnan(paired_difference(pairs, pairs + 1, np.repeat(few, 10)).p)
    assert math.isnan(paired_difference(few, few).p)


def test_an_empty_group_has_no_difference() -> None:
    """NaN, not the other group's mean."""
    found = compare_groups([NAN], [1.0, 2.0])
    assert math.isnan(found.difference.mean)
    assert math.isnan(found.p)


def test_holm_by_hand() -> None:
    """Smallest p times the number of tests, the next times one less, never falling, at most 1, in the order given."""
    assert holm([0.03, 0.01, 0.04, 0.6]).tolist() == pytest.approx([0.09, 0.04, 0.09, 0.6])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    found = holm([NAN, 0.02, NAN, 0.01])
    assert np.isnan(found[[0, 2]]).all()
    assert found[[1, 3]].tolist() == pytest.approx([0.02, 0.02])
    assert holm([]).tolist() == []


@pytest.mark.parametrize("function", [correlation, paired_difference])
def test_lengths_must_fit(function: object) -> None:
    """Pairs, and a label for each."""
    with pytest.raises(ShapeError, match="2 and 3 values"):
        function([1.0, 2.0], [1.0, 2.0, 3.0])  # type: ignore[operator]
    with pytest.raises(ShapeError, match="3 labels"):
        function([1.0, 2.0], [1.0, 2.0], [0, 1, 2])  # type: ignore[operator]


def test_columns_must_be_a_table() -> None:
    """(N, C), with a label a row."""
    with pytest.raises(ShapeError, match=r"expected \(N, C\)"):
        bootstrap_of(ratio, [1.0, 2.0])
    with pytest.raises(ShapeError, match="1 entries for 2 rows"):
        bootstrap_of(ratio, [[1.0, 1.0], [2.0, 1.0]], ["a"])


def test_std_is_the_spread_of_single_values() -> None:
    """The same of the same data wherever there are single values; NaN where there are none, never a standard error."""
    x = np.random.default_rng(8).normal(size=48)
    spread = x.std(ddof=1)
    assert bootstrap_mean(x).std == pytest.approx(spread)
    assert paired_difference(np.zeros(48), x).difference.std == pytest.approx(spread)
    without = (
        bootstrap_of(ratio, np.stack([x, np.ones(48)], 1)),
        correlation(x, x**2),
        compare_groups(x[:24], x[24:]).difference,
        share([1, 0, 2], [2, 2, 4]),
        share([0, 0], [4, 4]),
    )
    assert all(math.isfinite(value.mean) and math.isnan(value.std) for value in without)


def test_a_bootstrap_of_many_columns_is_a_plain_loop() -> None:
    """The standard error of each resample by the delta method, with the derivatives written out."""
    x = np.random.default_rng(9).random((30, 6))
    estimate = bootstrap_of(lambda s: s[:, 5] / s[:, 0], x, n_resamples=40, level=0.5, seed=3)

    def error(rows: Array) -> float:
        part = (rows[:, 5] - rows[:, 5].sum() / rows[:, 0].sum() * rows[:, 0]) / rows[:, 0].sum()
        return math.sqrt(30 / 29 * (part**2).sum())

    rng, value, own, t = np.random.default_rng(3), x[:, 5].sum() / x[:, 0].sum(), error(x), []
    for _ in range(40):
        rows = x[rng.integers(0, 30, 30)]
        t.append((rows[:, 5].sum() / rows[:, 0].sum() - value) / error(rows))
    (least, most), student = np.quantile(t, [0.25, 0.75]), stats.t.ppf(0.75, 29)
    ends = value - max(most, student) * own, value - min(least, -student) * own
    assert (estimate.low, estimate.high) == pytest.approx(ends, rel=1e-6)


def test_a_test_that_cannot_be_significant_says_so() -> None:
    """Eight pairs all of one sign have p = 2 / 2^8, the least there is: too much for 20 tests, not for six."""
    x = np.arange(8.0)
    comparison = paired_difference(x, x + 1 + x / 10)
    assert comparison.p == comparison.least_p == 2 / 2**8
    assert corrected_p([comparison] * 6) == pytest.approx([6 * 2 / 2**8] * 6)
    for p in corrected_p([comparison] * 20):
        assert isinstance(p, Missing)
        assert math.isnan(p)
        assert p.reason == "cannot be significant with n = 8"


def test_one_of_few_may_pass_the_way_free_for_others() -> None:
    """Holm's second test needs only half of the first one's: 8 pairs can be significant after 12 pairs were."""
    few, more = (paired_difference(np.zeros(n), np.arange(1.0, n + 1)) for n in (8, 12))
    values = corrected_p([few] * 6 + [more])  # 7 * 0.0078 is above 0.05, 6 * 0.0078 below
    assert values[0] == pytest.approx(6 * 2 / 2**8)


def test_why_there_is_no_p() -> None:
    """Too few, or nothing at all; what is not tested does not count for the others."""
    few, nothing, enough = (paired_difference(np.zeros(n), np.arange(1.0, n + 1)) for n in (7, 0, 8))
    values = corrected_p([few, nothing, enough])
    assert [getattr(p, "reason", p) for p in values] == ["fewer than 8 images", "no values", 2 / 2**8]


def test_persons_of_an_image_are_one_value_of_a_test() -> None:
    """Sixteen persons in eight images are eight; an image may be on both sides."""
    rng = np.random.default_rng(10)
    a, b, images = rng.normal(size=16), rng.normal(size=16), np.repeat(np.arange(8), 2)
    compared = compare_groups(a, b, images, images)
    means = a.reshape(8, 2).mean(1), b.reshape(8, 2).mean(1)
    assert compared.p == stats.mannwhitneyu(means[1], means[0]).pvalue
    assert compared.groups == 16
    assert math.isnan(compare_groups(a[:14], b, images[:14], images).p)
    assert compared.least_p == stats.mannwhitneyu(np.arange(8, 16), np.arange(8)).pvalue


def marked_values() -> tuple[Array, Array, Array, Array]:
    """Twelve persons with two strata each; the odd ones' first value is marked and 5 more than the even ones'."""
    values = np.random.default_rng(11).random((12, 2))
    marked = np.zeros((12, 2), dtype=bool)
    marked[::2, 0] = True
    values[::2, 0] += 5
    person, stratum = np.indices((12, 2))
    return values.ravel(), marked.ravel(), stratum.ravel(), person.ravel()


def test_marked_values_are_compared_inside_their_stratum() -> None:
    """A stratum without a mark says nothing; the effect of one stratum is Cliff's delta."""
    values, marked, strata, persons = marked_values()
    compared = compare_marked(values, marked, strata, persons)
    assert compared.effect == 1.0
    first = strata == 0
    assert compared.difference.mean == pytest.approx(values[first & marked].mean() - values[first & ~marked].mean())
    assert compared == compare_marked(np.where(strata == 1, 100 * values, values), marked, strata, persons)
    rng = np.random.default_rng(12)
    x, m = np.round(rng.normal(size=30), 1), rng.random(30) < 0.4
    delta = np.sign(x[m][:, None] - x[~m][None, :]).mean()
    assert compare_marked(x, m, np.zeros(30), np.arange(30)).effect == pytest.approx(delta)


def test_marked_groups_are_tested_from_eight_on() -> None:
    """Not values: six persons with marks have no p, twelve have."""
    values, marked, strata, persons = marked_values()
    assert math.isnan(compare_marked(values, marked, strata, persons).p)
    more = (np.concatenate([v, v + (12 if v is persons else 0)]) for v in (values, marked, strata, persons))
    assert compare_marked(*more).p < 0.001
