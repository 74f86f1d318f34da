"""What the half-rules' differences are worth: the true error to expect, as measured on trained models.

The factors are those of `python -m benchmarks.map_error` (docs/trust.md): true error over estimate, by the number of
gradients, between which it is interpolated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

GRADIENTS = (8, 16, 33, 48, 65)
MAP = (0.63, 0.49, 0.41, 0.33, 0.37)  # of `map_error`
MAP_2PX = (0.52, 0.40, 0.36, 0.30, 0.34)  # of `map_error_2px`
INDEX = (1.30, 0.82, 0.77, 0.55, 0.61)  # of half the difference of an index on the half-maps: the largest measured


def expected_map_error(estimate: ArrayLike, gradients: ArrayLike, scale: float = 0.0) -> NDArray[np.float64]:
    """How far a map is from the exact one, to expect of its `map_error`.

    Args:
        estimate: (...) `map_error`, or at `scale` 2 `map_error_2px`, in [0, 1].
        gradients: (...) `evaluations` of the joint.
        scale: px, 0 or 2.

    Returns:
        (...) half the L1 distance of the normalised maps, in [0, 1]; NaN where the estimate is.

    >>> expected_map_error([0.0, 0.2], [16, 33]).round(3).tolist()
    [0.0, 0.082]
    """
    return np.asarray(estimate, np.float64) * _factor(MAP_2PX if scale else MAP, gradients)


def expected_index_error(
    even: ArrayLike, odd: ArrayLike, gradients: ArrayLike, factors: tuple[float, ...] = INDEX
) -> NDArray[np.float64]:
    """How far an index is from that of the exact map, to expect of its values on the two half-maps.

    Args:
        even, odd: (...) the index's values on the maps of the even and of the odd half-rule.
        gradients: (...) `evaluations` of the joint.
        factors: the index's own, at `GRADIENTS`.

    Returns:
        (...) the mean absolute error to expect, in the index's unit; NaN where a value is not finite.

    >>> expected_index_error([1.5, 2.0], [1.5, 1.0], [16, 16]).round(3).tolist()
    [0.0, 0.41]
    """
    with np.errstate(invalid="ignore"):
        half = np.abs(np.asarray(even, np.float64) - np.asarray(odd, np.float64)) / 2
    return np.where(np.isfinite(half), half, np.nan) * _factor(factors, gradients)


def _factor(measured: tuple[float, ...], gradients: ArrayLike) -> NDArray[np.float64]:
    """Interpolated over the logarithm of the number of gradients; beyond the measured ones the nearest."""
    counts = np.log(np.maximum(np.asarray(gradients, np.float64), 1))
    return np.asarray(np.interp(counts, np.log(GRADIENTS), measured), np.float64)
