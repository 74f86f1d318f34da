"""Named indices: missing things get a reason, a failing index spoils nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from poseig_mm.functional.heatmaps import gaussian_heatmaps
from poseig_mm.functional.indices import diffusion_index, relation_index
from poseig_mm.indices import Index, IndexInputs, compute_indices
from poseig_mm.indices.builtin import BUILTIN_INDICES


@pytest.fixture
def inputs() -> IndexInputs:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 3, 16, 12, generator=generator)
    maps[0, 1] = torch.nan
    points = torch.rand(2, 3, 2, generator=generator) * 10
    mask = torch.zeros(2, 1, 16, 12, dtype=torch.bool)
    mask[1, 0, 2:9, 2:9] = True
    visible = torch.tensor([[True, False, True], [True, True, True]])
    return IndexInputs(
        maps, visible, mask, torch.tensor([False, True]), gaussian_heatmaps(points, (16, 12)), points, points
    )


REASONS = (("", "not_visible", ""), ("", "", ""))


def no_error(name: str, error: Exception) -> None:
    raise error


def test_built_in_indices_are_the_functions(inputs: IndexInputs) -> None:
    """Names, order and values are those of `functional.indices`; RI towards an invisible joint is NaN."""
    values, _ = compute_indices([i() for i in BUILTIN_INDICES], inputs, REASONS, on_error=no_error)
    assert list(values) == ["di", "fi", "li", "ri"]
    assert torch.equal(values["di"].nan_to_num(), diffusion_index(inputs.maps).nan_to_num())
    expected = relation_index(inputs.maps, inputs.heatmaps)
    assert torch.equal(values["ri"][1], expected[1])
    assert values["ri"][0, :, 1].isnan().all()
    assert torch.equal(values["ri"][0, 0, [0, 2]], expected[0, 0, [0, 2]])


def test_a_missing_mask_is_a_nan_with_a_reason(inputs: IndexInputs) -> None:
    """No mask: FI NaN and 'no_mask' for each joint with a map; an empty one: 'empty_mask'; the other image is fine."""
    indices = [i() for i in BUILTIN_INDICES]
    values, reasons = compute_indices(indices, inputs, REASONS, on_error=no_error)
    assert reasons == [["no_mask", "not_visible", "no_mask"], ["", "", ""]]
    assert values["fi"][0].isnan().all()
    assert values["fi"][1].isfinite().all()
    empty = replace(inputs, has_mask=torch.tensor([True, True]))
    assert compute_indices(indices, empty, REASONS, on_error=no_error)[1][0][0] == "empty_mask"
    without = [i for i in indices if i.name != "fi"]
    assert compute_indices(without, inputs, REASONS, on_error=no_error)[1][0][0] == ""


class Broken(Index):
    """Raises, or returns the wrong shape."""

    name, title = "broken", "Broken"

    def __init__(self, shape: tuple[int, ...] | None) -> None:
        self.shape = shape

    def __call__(self, inputs: IndexInputs) -> Tensor:
        if self.shape is None:
            raise RuntimeError("no")
        return torch.zeros(self.shape)


@pytest.mark.parametrize(("shape", "message"), [(None, "no"), ((2, 2), r"expected \(2, 3\)")])
def test_a_failing_index_spoils_nothing(inputs: IndexInputs, shape: tuple[int, ...] | None, message: str) -> None:
    """It is reported, is NaN with its reason, and the others keep their values."""
    errors: list[tuple[str, Exception]] = []
    values, reasons = compute_indices(
        [Broken(shape), BUILTIN_INDICES[0]()], inputs, REASONS, on_error=lambda n, e: errors.append((n, e))
    )
    assert [n for n, _ in errors] == ["broken"]
    with pytest.raises(Exception, match=message):
        raise errors[0][1]
    assert values["broken"].isnan().all()
    assert values["di"][1].isfinite().all()
    assert reasons == [["broken_failed", "not_visible", "broken_failed"], ["broken_failed"] * 3]
