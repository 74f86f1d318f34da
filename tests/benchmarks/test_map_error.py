"""The factors that turn estimates into errors are those that were measured."""

from __future__ import annotations

import math

import polars as pl
import pytest

from benchmarks.map_error import INDICES, ROWS, RULES, factor, stopping_table
from poseig_mm.functional.error_calibration import GRADIENTS, INDEX, MAP, MAP_2PX
from poseig_mm.indices.builtin import BUILTIN_INDICES


def test_the_factor_is_the_mean_error_over_the_mean_estimate() -> None:
    """Of the rows that have both; the sign of a true error does not count."""
    rows = pl.DataFrame({"x": [1.0, 3.0, math.nan, 1.0], "x_true": [0.5, -1.5, 9.0, math.nan]})
    assert factor(rows, "x") == pytest.approx(0.5)


@pytest.mark.parametrize("number", range(len(GRADIENTS)))
def test_the_factors_in_use_are_the_measured_ones(number: int) -> None:
    """Both models together, to two digits."""
    rows = pl.read_csv(ROWS).filter(pl.col("gradients") == GRADIENTS[number])
    assert rows.select("model", "person", "joint").n_unique() == len(rows) >= 80
    assert factor(rows, "map_error") == pytest.approx(MAP[number], abs=0.0051)
    assert factor(rows, "map_error_2px") == pytest.approx(MAP_2PX[number], abs=0.0051)
    own = {index.name: index.error_factors[number] for index in BUILTIN_INDICES if index.name in INDICES}
    for name in INDICES:
        assert factor(rows, f"{name}_error") == pytest.approx(own[name], abs=0.0051)
    assert INDEX[number] == max(own.values())


def test_a_joint_stops_at_the_first_rule_that_is_good_enough() -> None:
    """16 gradients where 0.2 is reached, then 33, and 65 whatever comes."""
    names = ["map_error", "map_error_2px", *(f"{n}_error" for n in INDICES)]
    estimates = {16: (0.1, 0.3, 0.9), 33: (0.1, 0.2, 0.8), 65: (0.1, 0.1, 0.7)}
    rows = [
        {"model": "m", "person": 0, "joint": k, "gradients": n, **dict.fromkeys(names, estimates[n][k]),
         **{f"{name}_true": estimates[n][k] for name in names}}
        for n in (16, 33, 65) for k in range(3)
    ]  # fmt: skip
    (line,) = [line for line in stopping_table(pl.DataFrame(rows)) if "map_error_2px | 0.2 " in line]
    assert line == "| m | map_error_2px | 0.2 | 33 | 38.0 | 0.333 | 0.333 | 0.333 | 0.333 | 0.333 |"
    assert {most for _, most in RULES} == set(GRADIENTS)
