"""Which ordered pairs of joints are inverted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseig_mm.errors import ShapeError
from poseig_mm.studies.inversion.inverted import eligible_pairs, inverted_pairs

LINE = np.array([[0.0, 0.0], [100.0, 0.0], [200.0, 0.0]])
ALL = np.ones(3, bool)


@pytest.mark.parametrize(("x", "there"), [(90.0, True), (110.0, True), (89.999, False), (110.001, False)])
def test_epsilon_is_within(x: float, there: bool) -> None:
    """Exactly epsilon from the other joint is within it."""
    prediction = LINE.copy()
    prediction[0, 0] = x
    assert inverted_pairs(LINE, prediction, ALL, 10.0).tolist()[0] == [False, there, False]


def test_at_epsilon_from_its_own_is_no_inversion() -> None:
    """Exactly epsilon from its own joint is not farther than epsilon, however near another one is."""
    truth = np.array([[0.0, 0.0], [11.0, 0.0]])
    for x, inverted in ((10.0, False), (10.001, True)):
        prediction = np.array([[x, 0.0], [11.0, 0.0]])
        assert inverted_pairs(truth, prediction, ALL[:2], 10.0).tolist() == [[False, inverted], [False, False]]


def test_swap_is_both_ways() -> None:
    """Two joints at each other's place are two inversions, one each way."""
    assert inverted_pairs(LINE, LINE[[2, 1, 0]], ALL, 10.0).nonzero()[0].tolist() == [0, 2]


@pytest.mark.parametrize("hidden", [0, 1])
def test_both_joints_must_be_visible(hidden: int) -> None:
    """Neither the joint nor the one at whose place it is may be invisible."""
    visible = ALL.copy()
    visible[hidden] = False
    assert not inverted_pairs(LINE, LINE[[1, 1, 2]], visible, 10.0).any()
    assert eligible_pairs(LINE, LINE, visible).sum() == 2


def test_a_prediction_that_is_not_finite_is_not_eligible() -> None:
    """NaN is no place: neither inverted nor counted as not inverted."""
    prediction = LINE.copy()
    prediction[0] = np.nan
    assert not inverted_pairs(LINE, prediction, ALL, 10.0).any()
    assert eligible_pairs(LINE, prediction, ALL).sum(1).tolist() == [0, 2, 2]


@given(st.integers(0, 2**32 - 1), st.data())
def test_planted_inversions_are_found_and_none_else(seed: int, data: st.DataObject) -> None:
    """Joints on a jittered grid 40 px apart, each predicted within 9 px of a planted joint: exactly those are found."""
    rng = np.random.default_rng(seed)
    k = data.draw(st.integers(2, 12))
    grid = np.array([[40.0 * (i % 4), 40.0 * (i // 4)] for i in range(k)]) + rng.uniform(-4, 4, (k, 2))
    at = np.array(data.draw(st.lists(st.integers(0, k - 1), min_size=k, max_size=k)))
    angle, radius = rng.uniform(0, 2 * np.pi, k), rng.uniform(0, 9, k)
    prediction = grid[at] + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    visible = rng.uniform(size=k) < 0.8
    expected = {(a, int(b)) for a, b in enumerate(at) if a != b and visible[a] and visible[b]}
    found = inverted_pairs(np.where(visible[:, None], grid, np.nan), prediction, visible, 10.0)
    assert {(int(a), int(b)) for a, b in zip(*found.nonzero(), strict=True)} == expected


def test_shapes_must_fit() -> None:
    """Truth and prediction of different joints are an error."""
    with pytest.raises(ShapeError, match=r"expected \(K, D\) both"):
        inverted_pairs(LINE, LINE[:2], ALL, 10.0)
