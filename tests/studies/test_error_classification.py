"""Kinds of errors of hand-placed points: s = 100 px and sigma 0.05, so that ks = exp(-d^2 / 200)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from poseig_mm.errors import ShapeError
from poseig_mm.studies.error_kinds.classify import (
    KINDS,
    average_precision,
    classify,
    keypoint_similarity,
    object_similarity,
)

GOOD_UP_TO = math.sqrt(-200 * math.log(0.85))  # 5.70 px
NEAR_UP_TO = math.sqrt(200 * math.log(2))  # 11.77 px
TRUTH = np.array([[[0.0, 0.0], [100.0, 0.0]], [[0.0, 500.0], [100.0, 500.0]]])  # two persons, joints 0 and 1
AREAS, SIGMAS = np.array([1e4, 1e4]), np.array([0.05, 0.05])


def kind(x: float, y: float, **changes: object) -> str:
    """Of joint 0 of person 0, predicted at (x, y)."""
    prediction = TRUTH.copy()
    prediction[0, 0] = x, y
    given: dict[str, Any] = {"visible": np.ones((2, 2), bool), "areas": AREAS, "partners": None, **changes}
    kinds, _ = classify(TRUTH, prediction, given["visible"], given["areas"], SIGMAS, given["partners"])
    return KINDS[kinds[0, 0]] if kinds[0, 0] >= 0 else ""


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (0.0, "good"), (GOOD_UP_TO - 1e-6, "good"), (GOOD_UP_TO + 1e-6, "jitter"), (NEAR_UP_TO - 1e-6, "jitter"),
        (NEAR_UP_TO + 1e-6, "miss"), (100 - NEAR_UP_TO - 1e-6, "miss"), (100 - NEAR_UP_TO + 1e-6, "inversion"),
    ],
)  # fmt: skip
def test_thresholds_along_a_line(x: float, expected: str) -> None:
    """Good to ks 0.85, jitter to 0.5, then miss until the other joint is near."""
    assert kind(x, 0.0) == expected


def test_swap_is_another_persons_joint() -> None:
    """The same joint of another person, or any other of hers."""
    assert kind(0.0, 495.0) == "swap"
    assert kind(100.0, 495.0) == "swap"


def test_the_larger_similarity_decides_between_inversion_and_swap() -> None:
    """Half-way between own and other person's joints the nearer one wins."""
    truth = TRUTH.copy()
    truth[1, 1] = 100.0, 10.0  # 10 px beside joint 1 of person 0
    for y, expected in ((4.0, "inversion"), (6.0, "swap"), (5.0, "inversion")):
        prediction = truth.copy()
        prediction[0, 0] = 100.0, y
        kinds, _ = classify(truth, prediction, np.ones((2, 2), bool), AREAS, SIGMAS)
        assert KINDS[kinds[0, 0]] == expected


def test_jitter_near_another_joint_stays_jitter() -> None:
    """At least 0.5 to its own joint is good or jitter, whatever else is nearer."""
    truth = np.array([[[0.0, 0.0], [12.0, 0.0]]])
    kinds, _ = classify(truth, truth[:, [1, 1]] - [[1.0, 0.0]], np.ones((1, 2), bool), AREAS[:1], SIGMAS)
    assert KINDS[kinds[0, 0]] == "jitter"


def test_partners_alone_are_confusable() -> None:
    """With partners, other joints are misses, of the same person and of another."""
    assert kind(100.0, 0.0, partners={0: 1, 1: 0}) == "inversion"
    assert kind(100.0, 500.0, partners={0: 1, 1: 0}) == "swap"
    assert kind(100.0, 0.0, partners={}) == "miss"
    assert kind(100.0, 500.0, partners={}) == "miss"
    assert kind(0.0, 500.0, partners={}) == "swap"


def test_invisible_joints_are_neither_classified_nor_confused_with() -> None:
    """Own: no kind; the other's: a miss."""
    visible = np.ones((2, 2), bool)
    visible[0, 1] = False
    assert kind(100.0, 0.0, visible=visible) == "miss"
    visible[0] = [False, True]
    assert kind(0.0, 0.0, visible=visible) == ""


def test_a_persons_own_size_is_the_unit() -> None:
    """A swap is measured by the size of the person it lands on; without an area nobody lands there."""
    assert kind(0.0, 480.0, areas=np.array([1e4, 1e4])) == "miss"
    assert kind(0.0, 480.0, areas=np.array([1e4, 4e4])) == "swap"
    assert kind(0.0, 500.0, areas=np.array([1e4, math.nan])) == "miss"
    assert kind(0.0, 0.0, areas=np.array([math.nan, 1e4])) == ""


def test_similarity_is_cocos() -> None:
    """d = s k: exp(-1/2), with k twice sigma."""
    found = keypoint_similarity(np.array(100.0), np.array(1e4), np.array(0.5))
    assert float(found) == pytest.approx(math.exp(-0.5))


def test_average_precision_by_hand() -> None:
    """An OKS of 0.75 reaches 0.50, 0.55 ... 0.75: six of ten."""
    oks = object_similarity(np.array([[0.5, 1.0], [math.nan, math.nan], [0.4, math.nan]]))
    assert average_precision(oks).tolist() == pytest.approx([0.6, math.nan, 0.0], nan_ok=True)


def test_shapes_are_checked() -> None:
    """Areas of another number of persons are an error."""
    with pytest.raises(ShapeError, match="expected"):
        classify(TRUTH, TRUTH, np.ones((2, 2), bool), AREAS[:1], SIGMAS)
