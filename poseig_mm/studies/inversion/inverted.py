"""Inversions: one joint predicted where another joint of the same person is (method section 7).  numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ShapeError

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


def distances(truth: Floats, prediction: Floats) -> Floats:
    """(K, K): from the prediction of joint a (row) to the truth of joint b (column).

    Args:
        truth, prediction: (K, D) of one person, in one unit; NaN where there is none.

    Raises:
        ShapeError: they differ in shape.
    """
    if truth.ndim != 2 or truth.shape != prediction.shape:
        raise ShapeError(f"truth has shape {truth.shape}, prediction {prediction.shape}; expected (K, D) both")
    gap: Floats = np.linalg.norm(prediction[:, None].astype(np.float64) - truth[None], axis=-1)
    return gap


def eligible_pairs(truth: Floats, prediction: Floats, visible: Bools) -> Bools:
    """(K, K) bool: ordered pairs (a, b) of two visible joints, a != b, with a finite prediction of a.

    >>> points = np.array([[0.0, 0.0], [9.0, 0.0], [5.0, 5.0]])
    >>> int(eligible_pairs(points, points, np.array([True, True, False])).sum())
    2
    """
    known = np.isfinite(distances(truth, prediction)) & visible[:, None] & visible[None]
    pairs: Bools = known & np.isfinite(prediction).all(1)[:, None] & ~np.eye(len(truth), dtype=bool)
    return pairs


def inverted_pairs(truth: Floats, prediction: Floats, visible: Bools, epsilon: float) -> Bools:
    """(K, K) bool: the prediction of a (row) is at most epsilon from the truth of b (column), and farther from its own.

    Args:
        truth, prediction: (K, D) of one person, in one unit.
        visible: (K,) bool.
        epsilon: in that unit, input px as published.

    Returns:
        True only for eligible pairs.  Where [a, b] and [b, a] are True, the two are swapped.  One prediction may be
        within epsilon of several joints: then each counts.

    >>> truth = np.array([[0.0, 0.0], [50.0, 0.0]])
    >>> inverted_pairs(truth, truth[[1, 1]], np.ones(2, bool), 10.0).tolist()  # both are predicted at the second
    [[False, True], [False, False]]
    """
    d = distances(truth, prediction)
    with np.errstate(invalid="ignore"):
        there, here = d <= epsilon, np.diagonal(d) <= epsilon
    inverted: Bools = there & ~here[:, None] & eligible_pairs(truth, prediction, visible)
    return inverted
