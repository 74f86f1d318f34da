"""Bootstrap means: coverage, groups, missing values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from poseig_mm.errors import ConfigError, ShapeError
from poseig_mm.functional import statistics
from poseig_mm.functional.statistics import bootstrap_mean, bootstrap_of, bootstrap_ratio


def test_mean_and_spread_by_hand() -> None:
    """NaN and infinite values are left out of n, mean and standard deviation."""
    e = bootstrap_mean([1.0, 2.0, 6.0, math.nan, math.inf])
    assert (e.n, e.mean) == (3, 3.0)
    assert e.std == pytest.approx(math.sqrt(7))
    assert math.isnan(e.low)  # three values


def test_the_interval_is_the_normal_one_for_many_values() -> None:
    """For 4,000 values the interval is mean +- 1.96 standard errors, to 5 % of its width."""
    x = np.random.default_rng(0).normal(5, 2, 4000)
    e = bootstrap_mean(x)
    error = 1.96 * x.std() / math.sqrt(4000)
    assert e.low == pytest.approx(x.mean() - error, abs=0.1 * error)
    assert e.high == pytest.approx(x.mean() + error, abs=0.1 * error)


def test_groups_are_resampled_whole() -> None:
    """Values that only repeat their person's value widen the interval to that of the persons; the mean stays."""
    persons = np.random.default_rng(1).normal(0, 1, 200)
    x, groups = np.repeat(persons, 17), np.repeat(np.arange(200), 17)
    single, whole, of_persons = bootstrap_mean(x), bootstrap_mean(x, groups=groups), bootstrap_mean(persons)
    assert single.mean == pytest.approx(whole.mean)
    assert whole.high - whole.low == pytest.approx(of_persons.high - of_persons.low, rel=1e-9)
    assert whole.high - whole.low == pytest.approx(math.sqrt(17) * (single.high - single.low), rel=0.1)


def test_seed() -> None:
    """The same seed gives the same interval, another one another."""
    x = np.random.default_rng(2).random(50)
    assert bootstrap_mean(x) == bootstrap_mean(x)
    assert bootstrap_mean(x) != bootstrap_mean(x, seed=1)


@pytest.mark.parametrize("values", [[], [math.nan]])
def test_nothing_is_nan_not_zero(values: list[float]) -> None:
    """No value: n = 0 and NaN everywhere."""
    e = bootstrap_mean(values)
    assert e.n == 0
    assert all(math.isnan(v) for v in (e.mean, e.std, e.low, e.high))


def test_one_value_has_no_interval() -> None:
    """One value, or one person, has a mean but no interval."""
    assert math.isnan(bootstrap_mean([2.0]).low)
    e = bootstrap_mean([2.0, 4.0], groups=["a", "a"])
    assert e.mean == 3
    assert math.isnan(e.high)


def test_labels_must_fit() -> None:
    """Groups of another length are refused."""
    with pytest.raises(ShapeError, match="2 entries for 3 rows"):
        bootstrap_mean([1, 2, 3], groups=[0, 1])


@pytest.mark.parametrize("kept", [0, 10**9])
def test_chunks_draw_the_same(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """How many counts are held at once, and whether they are kept, changes nothing but how sums are rounded."""
    x, groups = np.random.default_rng(3).random(60), np.repeat(np.arange(20), 3)
    whole = bootstrap_mean(x, groups=groups)
    monkeypatch.setattr(statistics, "_CHUNK", 37)
    monkeypatch.setattr(statistics, "_KEPT", kept)
    parts = bootstrap_mean(x, groups=groups)
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), rel=1e-12)


def test_three_groups_have_no_interval_and_four_have() -> None:
    """However many values they have."""
    x, groups = np.random.default_rng(6).random(32), np.repeat(np.arange(4), 8)
    assert math.isnan(bootstrap_mean(x[:24], groups=groups[:24]).low)
    assert math.isfinite(bootstrap_mean(x, groups=groups).low)


def test_an_interval_is_never_narrower_than_students() -> None:
    """Nor does its skewed end lie inside: of lognormal values it reaches farther up than down."""
    x = np.random.default_rng(7).lognormal(size=12)
    e, half = bootstrap_mean(x), stats.t.ppf(0.975, 11) * stats.sem(x)
    assert e.low <= x.mean() - half * (1 - 1e-6)
    assert e.high > x.mean() + 1.5 * half


def test_bounds_hold() -> None:
    """A variance is not negative, however wide its interval."""
    x = np.random.default_rng(8).random((6, 1))
    plain, bounded = (bootstrap_of(lambda s: s[:, 0] - 3, x, bounds=b) for b in ((-math.inf, math.inf), (0, math.inf)))
    assert plain.low < 0 < plain.high
    assert (bounded.low, bounded.high) == (0, plain.high)


def test_a_ratio_is_that_of_sums_and_the_same_upside_down() -> None:
    """Its interval turns over with it; where nothing is below, it is infinite."""
    a, b = np.random.default_rng(9).lognormal(size=(2, 20))
    ratio, turned = bootstrap_ratio(a, b), bootstrap_ratio(b, a)
    assert ratio.mean == pytest.approx(a.sum() / b.sum())
    assert (ratio.low, ratio.high) == pytest.approx((1 / turned.high, 1 / turned.low))
    assert 0 < ratio.low < ratio.mean < ratio.high
    assert bootstrap_ratio(a, np.zeros(20)).mean == math.inf
    assert math.isnan(bootstrap_ratio(np.zeros(20), np.zeros(20)).mean)
    assert bootstrap_ratio([1.0, math.nan, 3.0], [1.0, 1.0, math.inf]).n == 1


def test_unequal_groups_are_a_ratio_of_sums() -> None:
    """A person with many joints weighs more; the interval is that of a plain loop over the same draws."""
    sizes = np.array([1, 9, 4, 2, 3, 5])
    groups = np.repeat(["d", "a", "c", "b", "f", "e"], sizes)  # labels need not be sorted
    x = np.random.default_rng(4).random(24)
    estimate = bootstrap_mean(x, groups=groups, n_resamples=50, level=0.9, seed=9)
    assert estimate.mean == pytest.approx(x.mean())
    members = [x[groups == label] for label in "abcdef"]

    def error(those: list[np.ndarray[Any, Any]]) -> float:
        """Of a ratio of sums, by the delta method."""
        mean = np.concatenate(those).mean()
        return float(np.sqrt(6 / 5 * sum((m - mean).sum() ** 2 for m in those)) / sum(map(len, those)))

    rng, own, t = np.random.default_rng(9), error(members), []
    for _ in range(50):
        drawn = [members[i] for i in rng.integers(0, 6, 6)]
        t.append((np.concatenate(drawn).mean() - x.mean()) / max(error(drawn), 0.2 * own))
    least, most = np.quantile(t, [0.05, 0.95])
    student = stats.t.ppf(0.95, 5)
    ends = x.mean() - max(most, student) * own, x.mean() - min(least, -student) * own
    assert (estimate.low, estimate.high) == pytest.approx(ends)


@pytest.mark.parametrize("wrong", [{"level": 95.0}, {"level": 0.0}, {"n_resamples": 0}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    """A level is a share, and there is at least one resample."""
    with pytest.raises(ConfigError, match="expected at least 1, and between 0 and 1"):
        bootstrap_mean([1.0, 2.0], **wrong)  # type: ignore[arg-type]
