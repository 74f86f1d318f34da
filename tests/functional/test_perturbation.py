"""Masks, blending and the random control, worked out by hand."""

from __future__ import annotations

import pytest
import torch

from poseig_mm.errors import ConfigError, ShapeError
from poseig_mm.functional.perturbation import MASKS, blend, error_change, mask_image, permuted_maps
from poseig_mm.seeding import generator_of
from poseig_mm.studies.perturbation.rows import MASKS as NAMED

LOW, HIGH = (-2.0, -1.0, 0.0), (2.0, 1.0, 4.0)


@pytest.fixture
def image() -> torch.Tensor:
    """(3, 20, 30) float64: channels of different mean and spread, bound to each other pixel by pixel."""
    base = torch.linspace(-1, 1, 600, dtype=torch.float64).view(20, 30)
    return torch.stack([base, 2 * base + 1, 5 - base])


def mask(kind: str, image: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return mask_image(kind, image, LOW, HIGH, generator_of(seed))


def test_the_mean_mask_is_one_colour_the_images_mean(image: torch.Tensor) -> None:
    """Channel means 0, 1 and 5, everywhere."""
    expected = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)[:, None, None].expand(3, 20, 30)
    torch.testing.assert_close(mask("mean", image), expected)


def test_shuffled_pixels_are_the_images_own_with_their_channels_together(image: torch.Tensor) -> None:
    """The same multiset of pixels in another order, and the relation between channels holds at each pixel."""
    found = mask("shuffle", image)
    assert torch.equal(found[0].flatten().sort().values, image[0].flatten().sort().values)
    assert not torch.equal(found, image)
    torch.testing.assert_close(found[1], 2 * found[0] + 1)
    torch.testing.assert_close(found[2], 5 - found[0])


def test_uniform_noise_fills_the_range_of_each_channel(image: torch.Tensor) -> None:
    """600 draws a channel reach within 2 % of both ends of its own range, and no farther; the mean is the middle's."""
    found = mask("uniform", image)
    for channel, low, high in zip(found, LOW, HIGH, strict=True):
        assert low <= channel.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < channel.max() <= high
        assert abs(channel.mean() - (low + high) / 2) < 5 * (high - low) / (12 * 600) ** 0.5


def test_gaussian_noise_has_the_images_mean_and_spread(image: torch.Tensor) -> None:
    """Per channel, within five standard errors."""
    found = mask("normal", image)
    for drawn, own in zip(found, image, strict=True):
        spread = own.std(correction=0)
        assert abs(drawn.mean() - own.mean()) < 5 * spread / 600**0.5
        assert abs(drawn.std() / spread - 1) < 5 / (2 * 600) ** 0.5
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("kind", ["shuffle", "uniform", "normal"])
def test_a_random_mask_is_its_seeds(kind: str, image: torch.Tensor) -> None:
    """The same seed gives the same mask, another one another."""
    assert torch.equal(mask(kind, image, 1), mask(kind, image, 1))
    assert not torch.equal(mask(kind, image, 1), mask(kind, image, 2))


def test_an_unknown_mask_is_refused_with_a_near_match(image: torch.Tensor) -> None:
    """The study and the maths know the same names."""
    assert tuple(NAMED) == MASKS
    with pytest.raises(ConfigError, match="'normal'"):
        mask("norml", image)
    with pytest.raises(ShapeError, match="one value a channel"):
        mask_image("mean", image, LOW[:2], HIGH, generator_of(0))


def test_blending_takes_from_the_mask_what_the_map_says() -> None:
    """I (1 - G) + M G, pixel by pixel, map by map, mask by mask: I = 2, M = 10 or 0, G = 0, 1/4, 1."""
    image, masks = torch.full((1, 1, 3), 2.0), torch.stack([torch.full((1, 1, 3), v) for v in (10.0, 0.0)])
    found = blend(image, masks, torch.tensor([[[0.0, 0.25, 1.0]], [[1.0, 0.0, 0.0]]]))
    assert found.shape == (2, 2, 1, 1, 3)
    assert found[0, :, 0, 0].tolist() == [[2.0, 4.0, 10.0], [2.0, 1.5, 0.0]]
    assert found[1, :, 0, 0].tolist() == [[10.0, 2.0, 2.0], [0.0, 2.0, 2.0]]


def test_permuted_maps_keep_their_values_and_nothing_of_their_places() -> None:
    """Each is another order of the same multiset, and each pixel's mean over many draws is the map's mean."""
    grade = torch.arange(12, dtype=torch.float64).view(3, 4)
    found = permuted_maps(grade, 2000, generator_of("here"))
    assert torch.equal(found.flatten(1).sort(1).values, grade.flatten().expand(2000, -1))
    assert not torch.equal(found[0], found[1])
    standard_error = grade.std(correction=0) / 2000**0.5
    assert (found.mean(0) - 5.5).abs().max() < 4.5 * standard_error


def test_changes_are_absolute_before_they_are_averaged() -> None:
    """Draws that move the error by +1 and -1 change it by 1, not by 0."""
    found = error_change(torch.tensor(3.0), torch.tensor([[4.0, 3.0], [2.0, 5.0]]))
    assert found.tolist() == [1.0, 1.0]
