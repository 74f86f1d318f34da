"""How often 95 % intervals hold the truth, and how often tests of nothing are significant, in simulated runs.

    python -m benchmarks.coverage_of_intervals [--simulations 2000] [--only mean ...]

Each simulation is a run of made-up persons whose truth is known; the interval or test is the package's own.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poseig_mm.functional.inference import compare_groups, compare_marked, correlation
from poseig_mm.functional.shares import share
from poseig_mm.functional.statistics import Estimate, bootstrap_mean, bootstrap_ratio

Array = NDArray[np.float64]
JOINTS = 17


@dataclass(frozen=True)
class Cell:
    """One line of the table.

    `simulate` makes a run and says whether the interval holds the truth (or the test is significant); None where there
    is no interval or test.
    """

    quantity: str
    data: str
    n: int
    simulate: Callable[[np.random.Generator], bool | None]

    def rate(self, simulations: int, seed: int = 0) -> float:
        """Share of the simulated runs of which it is true."""
        rng = np.random.default_rng([seed, self.n])
        outcomes = [self.simulate(rng) for _ in range(simulations)]
        known = [outcome for outcome in outcomes if outcome is not None]
        return sum(known) / len(known) if known else math.nan


def holds(estimate: Estimate, truth: float) -> bool | None:
    """Whether the truth lies in the interval; None where there is none."""
    return None if math.isnan(estimate.low) else bool(estimate.low <= truth <= estimate.high)


def means() -> Iterable[Cell]:
    """Means of one value a person, normal and lognormal(1)."""
    for n in (4, 8, 12, 30, 60):
        yield Cell("mean", "normal", n, lambda rng, n=n: holds(bootstrap_mean(rng.normal(size=n)), 0.0))
        yield Cell("mean", "lognormal", n, lambda rng, n=n: holds(bootstrap_mean(rng.lognormal(size=n)), math.exp(0.5)))


def images() -> Iterable[Cell]:
    """Three persons an image, intra-class correlation 0.2, images resampled."""

    def one(rng: np.random.Generator, n: int) -> bool | None:
        labels = np.repeat(np.arange(n // 3), 3)
        values = math.sqrt(0.2) * rng.normal(size=n // 3)[labels] + math.sqrt(0.8) * rng.normal(size=n)
        return holds(bootstrap_mean(values, groups=labels), 0.0)

    for n in (12, 30, 60):
        yield Cell("mean", "normal, 3 persons an image", n, lambda rng, n=n: one(rng, n))


def ratios() -> Iterable[Cell]:
    """Sum over sum of two correlated lognormal(0.7) numbers a person; true ratio 2."""

    def one(rng: np.random.Generator, n: int) -> bool | None:
        common, a, b = 0.5 * rng.normal(size=n), 0.5 * rng.normal(size=n), 0.5 * rng.normal(size=n)
        return holds(bootstrap_ratio(2 * np.exp(common + a), np.exp(common + b)), 2.0)

    for n in (8, 12, 30, 60):
        yield Cell("ratio", "lognormal", n, lambda rng, n=n: one(rng, n))


def correlations() -> Iterable[Cell]:
    """Pearson's: of one pair a person (0.6), and of 17 joints a person that are alike by 0.3 (0.4)."""

    def one(rng: np.random.Generator, n: int, joints: int, alike: float, rho: float) -> bool | None:
        def pairs(size: tuple[int, ...]) -> Array:
            first, second = rng.normal(size=(2, *size))
            return np.stack([first, rho * first + math.sqrt(1 - rho**2) * second])

        x, y = (math.sqrt(alike) * pairs((n, 1)) + math.sqrt(1 - alike) * pairs((n, joints))).reshape(2, -1)
        return holds(correlation(x, y, np.repeat(np.arange(n), joints)), rho)

    for n in (8, 12, 30, 60):
        yield Cell("correlation", "normal", n, lambda rng, n=n: one(rng, n, 1, 0.0, 0.6))
        yield Cell("correlation", "normal, 17 joints a person", n, lambda rng, n=n: one(rng, n, JOINTS, 0.3, 0.4))


def shares() -> Iterable[Cell]:
    """5 % of 11 to 17 joints a person, each person with a rate of its own (beta)."""

    def one(rng: np.random.Generator, n: int, alike: float) -> bool | None:
        rate = rng.beta(0.05 * (1 - alike) / alike, 0.95 * (1 - alike) / alike, size=n)
        totals = rng.integers(11, JOINTS + 1, size=n)
        return holds(share(rng.binomial(totals, rate), totals), 0.05)

    for alike in (0.001, 0.1, 0.3):
        for n in (8, 12, 30, 60):
            yield Cell("share", f"5 %, joints alike by {alike:.1f}", n, lambda rng, n=n, a=alike: one(rng, n, a))


def differences() -> Iterable[Cell]:
    """Of two sets of n persons each, spread 1 and 2."""
    for n in (8, 12, 30, 60):
        yield Cell(
            "difference",
            "normal, spread 1 and 2",
            n,
            lambda rng, n=n: holds(compare_groups(rng.normal(size=n), 2 * rng.normal(size=n)).difference, 0.0),
        )


def tests_of_ri() -> Iterable[Cell]:
    """Significant at 0.05 of nothing: 12 ordered pairs a person that are alike by 0.5, each inverted by chance."""

    def one(rng: np.random.Generator, n: int, rate: float) -> bool | None:
        ri = np.exp(rng.normal(size=(n, 1)) + rng.normal(size=(n, 12)) + rng.normal(size=12))
        odds = math.log(rate / (1 - rate)) + rng.normal(size=(n, 1))
        person, pair = np.nonzero(rng.random((n, 12)) < 0.85)  # both joints visible
        inverted = (rng.random((n, 12)) < 1 / (1 + np.exp(-odds)))[person, pair]
        p = compare_marked(ri[person, pair], inverted, pair, person).p
        return None if math.isnan(p) else p <= 0.05

    for n, rate in ((12, 0.2), (30, 0.1), (50, 0.05)):
        yield Cell("type I of RI's test", f"{rate:.0%} inverted", n, lambda rng, n=n, r=rate: one(rng, n, r))


CELLS = {
    "mean": means, "images": images, "ratio": ratios, "correlation": correlations, "share": shares,
    "difference": differences, "ri": tests_of_ri,
}  # fmt: skip


def main() -> None:
    """Print the table of docs/statistics.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--only", nargs="+", choices=list(CELLS), default=list(CELLS))
    args = parser.parse_args()
    print("| of | data | n | share |\n| --- | --- | --- | --- |")
    for name in args.only:
        for cell in CELLS[name]():
            print(f"| {cell.quantity} | {cell.data} | {cell.n} | {cell.rate(args.simulations):.3f} |", flush=True)


if __name__ == "__main__":
    main()
