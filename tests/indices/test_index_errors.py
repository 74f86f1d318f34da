"""The error of an index: its values on the two half-rules' maps, as far apart as they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from poseig_mm.functional.error_calibration import (
    GRADIENTS,
    INDEX,
    MAP,
    MAP_2PX,
    expected_index_error,
    expected_map_error,
)
from poseig_mm.indices import Index, IndexInputs, compute_index_errors
from poseig_mm.indices.builtin import BUILTIN_INDICES, ForegroundIndex

ONE = torch.tensor([[16]])  # gradients


class Mean(Index):
    """A plugin's index: the mean of the map."""

    name, title, has_error = "mean", "Mean", True

    def __call__(self, inputs: IndexInputs) -> Tensor:
        return inputs.maps.mean((2, 3))


class Failing(Mean):
    """One that raises on every batch."""

    name = "failing"

    def __call__(self, inputs: IndexInputs) -> Tensor:
        raise ValueError("no")


def half(maps: Tensor) -> IndexInputs:
    """A person with a mask on the left half, and a joint in its middle."""
    shape = maps.shape
    mask = torch.zeros(shape[0], 1, *shape[2:], dtype=torch.bool)
    mask[..., : shape[3] // 4] = True
    point = torch.ones(*shape[:2], 2)
    return IndexInputs(maps, torch.ones(shape[:2]).bool(), point, point, mask=mask, heatmaps=torch.ones_like(maps))


def test_half_the_difference_of_the_halves_times_what_was_measured() -> None:
    """Means 0.2 and 0.6: half the difference is 0.2; an index that fails, or has no error, spoils nothing."""
    even, odd = (half(torch.full((1, 1, 8, 8), value)) for value in (0.2, 0.6))
    indices = [Mean(), Failing(), *(make() for make in BUILTIN_INDICES)]
    errors = compute_index_errors(indices, even, odd, [[""]], ONE)
    assert errors.keys() == {"mean_error", "failing_error", "di_error", "fi_error", "li_error"}  # RI has none
    assert errors["mean_error"].item() == pytest.approx(0.2 * INDEX[GRADIENTS.index(16)], rel=1e-6)
    assert errors["failing_error"].isnan().all()
    assert errors["li_error"].item() == pytest.approx(0, abs=1e-6)  # both maps are even


def test_fi_of_halves_that_differ_by_a_known_share() -> None:
    """The dilated mask has 4 of 8 columns, so FI is twice the map's share on it: 2 * 3/4 and 2 * 1/4."""
    left, right = torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    left[..., :4], right[..., 4:] = 3, 3
    error = compute_index_errors([make() for make in BUILTIN_INDICES], half(left / 3), half(right / 3), [[""]], ONE)
    assert error["fi_error"].item() == pytest.approx(0.5 * ForegroundIndex.error_factors[GRADIENTS.index(16)], rel=1e-5)
    assert error["di_error"].item() == pytest.approx(0, abs=1e-5)  # mirrored: as widely spread


def test_no_map_or_half_no_error() -> None:
    """A joint without a map, or with one half only, has NaN."""
    even, odd = half(torch.rand(1, 2, 8, 8)), half(torch.rand(1, 2, 8, 8))
    even.maps[0, 0] = odd.maps[0] = torch.nan  # joint 0 has no map, joint 1 no odd half
    error = compute_index_errors([Mean()], even, odd, [["not_visible", ""]], torch.tensor([[0, 1]]))["mean_error"]
    assert error.isnan().all()


def test_factors_are_those_of_the_number_of_gradients() -> None:
    """At the measured numbers themselves, between them between theirs, beyond them the nearest."""
    one = [1.0] * len(GRADIENTS)
    for factors, scale in ((MAP, 0.0), (MAP_2PX, 2.0)):
        assert expected_map_error(one, GRADIENTS, scale).tolist() == pytest.approx(list(factors))
        low, between, high = expected_map_error([1, 1, 1], [16, 24, 33], scale).tolist()
        assert low > between > high
        assert expected_map_error([1, 1], [2, 500], scale).tolist() == pytest.approx([factors[0], factors[-1]])
    assert np.isnan(expected_map_error(math.nan, 16))
    assert np.isnan(expected_index_error(1.0, math.inf, 16))
