"""Bootstrap means: coverage, groups, missing values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from poseig_mm.errors import ConfigError, ShapeError
from poseig_mm.functional import statistics
from poseig_mm.functional.statistics import bootstrap_mean


def test_mean_and_spread_by_hand() -> None:
    """NaN and infinite values are left out of n, mean and standard deviation."""
    e = bootstrap_mean([1.0, 2.0, 6.0, math.nan, math.inf])
    assert (e.n, e.mean) == (3, 3.0)
    assert e.std == pytest.approx(math.sqrt(7))
    assert 1 <= e.low < 3 < e.high <= 6


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


def test_chunks_draw_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many labels are held at once changes nothing."""
    x, groups = np.random.default_rng(3).random(60), np.repeat(np.arange(20), 3)
    whole = bootstrap_mean(x, groups=groups)
    monkeypatch.setattr(statistics, "_CHUNK", 37)
    assert bootstrap_mean(x, groups=groups) == whole


def test_unequal_groups_are_a_ratio_of_sums() -> None:
    """A person with many joints weighs more; the interval is that of a plain loop over the same draws."""
    sizes = np.array([1, 9, 4, 2])
    groups = np.repeat(["d", "a", "c", "b"], sizes)  # labels need not be sorted
    x = np.random.default_rng(4).random(16)
    found = bootstrap_mean(x, groups=groups, n_resamples=50, level=0.5, seed=9)
    assert found.mean == pytest.approx(x.mean())
    rng, means = np.random.default_rng(9), []
    members = [x[groups == label] for label in ("a", "b", "c", "d")]
    for _ in range(50):
        means.append(np.concatenate([members[i] for i in rng.integers(0, 4, 4)]).mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.25, 0.75])))


@pytest.mark.parametrize("wrong", [{"level": 95.0}, {"level": 0.0}, {"n_resamples": 0}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    """A level is a share, and there is at least one resample."""
    with pytest.raises(ConfigError, match="expected at least 1, and between 0 and 1"):
        bootstrap_mean([1.0, 2.0], **wrong)  # type: ignore[arg-type]
