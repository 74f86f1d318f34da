"""Images along insertion and deletion curves, and areas, by hand."""

from __future__ import annotations

import pytest
import torch

from poseig_mm.errors import ShapeError
from poseig_mm.functional.insertion_deletion import (
    area_under,
    deletion_images,
    insertion_images,
    random_order,
    ranked_order,
)
from poseig_mm.seeding import generator_of

MAP = torch.tensor([[0.1, 0.9], [0.4, 0.4]])
FRACTIONS = (0, 0.25, 0.5, 0.75, 1)
ORDER = ranked_order(MAP, torch.tensor([3, 2, 1, 0]))  # ties from the end


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """An image (2, 2, 2) and a baseline that differs everywhere."""
    image = torch.arange(1.0, 9.0).view(2, 2, 2)
    return image, -image


def test_deletion_takes_the_largest_values_first_and_ties_as_shuffled(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Signs of the pixels: 0.9 goes first, then the right one of the two 0.4."""
    found = deletion_images(*pair, FRACTIONS, ORDER)
    signs = [[1, 1, 1, 1], [1, -1, 1, 1], [1, -1, 1, -1], [1, -1, -1, -1], [-1, -1, -1, -1]]
    assert found.sign().flatten(2)[:, 0].tolist() == signs
    assert found.sign().flatten(2)[:, 1].tolist() == signs, "channels of a pixel go together"
    assert torch.equal(found.abs(), pair[0].expand_as(found)), "nothing else is in them"


def test_insertion_is_deletion_from_the_other_end(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    """It begins with the baseline, ends with the image, and shows just the pixels that deletion hides."""
    found = insertion_images(*pair, FRACTIONS, ORDER)
    assert torch.equal(found[0], pair[1])
    assert torch.equal(found[-1], pair[0])
    assert torch.equal(found, -deletion_images(*pair, FRACTIONS, ORDER))


def test_shapes_that_do_not_fit_are_refused(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    """An order of another length, a baseline of another size."""
    with pytest.raises(ShapeError, match="one index a pixel"):
        deletion_images(*pair, FRACTIONS, torch.tensor([0, 1]))
    with pytest.raises(ShapeError, match="of both"):
        deletion_images(pair[0], pair[1][:1], FRACTIONS, ORDER)


def test_a_random_order_has_every_pixel_once() -> None:
    """And it is another one with another seed."""
    found = random_order(50, generator_of(1))
    assert found.sort().values.tolist() == list(range(50))
    assert not torch.equal(found, random_order(50, generator_of(2)))


def test_areas_are_trapezoids_over_the_fractions() -> None:
    """From 1 to 0 within a quarter, then 0: 1/8; a constant is its own area."""
    curves = torch.tensor([[1.0, 0.0, 0.0], [3.0, 3.0, 3.0]])
    assert area_under(curves, (0.0, 0.25, 1.0)).tolist() == [0.125, 3.0]
