"""Which pixels of the network's input show the image, by the crop's own map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_coordinates import BLUE, PIPELINES, PLAIN, dataset, person, preprocessor, source, write

from poseig_mm.data.crops import Crop, pixels_in_image

CORNER = [0.0, 0.0, 90.0, 100.0]  # a box whose crop leaves the image to the left and above


def crop_of(warp: list[list[float]], size: tuple[int, int]) -> Crop:
    """With this map from an image of `size` (H, W)."""
    return Crop({}, {}, np.array(warp, dtype=np.float64), size)


def test_an_image_in_a_larger_input() -> None:
    """4 x 5 px, twice as large from (9.5, 4.5) on: 8 x 10 px whose area is the image's, and padding around them."""
    found = pixels_in_image(crop_of([[2, 0, 10.5], [0, 2, 5.5]], (4, 5)), (20, 30), (20, 30))
    expected = torch.zeros(20, 30, dtype=torch.bool)
    expected[5:13, 10:20] = True
    assert torch.equal(found, expected)


def test_a_pixel_on_the_very_edge_is_of_the_image() -> None:
    """Half of it is; all four edges alike, and whatever rounding does to a third of a pixel."""
    found = pixels_in_image(crop_of([[3, 0, 4.5], [0, 3, 1.5]], (2, 2)), (12, 14), (12, 14))
    assert sorted(map(tuple, found.nonzero().tolist())) == [(y, x) for y in range(0, 7) for x in range(3, 10)]


def test_a_turned_image() -> None:
    """By a quarter: 4 x 5 px are 5 columns of 4; the map is x = 7 - v, y = 3 + u."""
    found = pixels_in_image(crop_of([[0, -1, 7], [1, 0, 3]], (4, 5)), (12, 12), (12, 12))
    assert sorted(map(tuple, found.nonzero().tolist())) == [(y, x) for y in range(3, 8) for x in range(4, 8)]


def test_what_a_preprocessor_adds_is_padding() -> None:
    """To the right and below, whatever the map says of it."""
    found = pixels_in_image(crop_of([[1, 0, 0], [0, 1, 0]], (50, 50)), (6, 4), (8, 7))
    assert found[:6, :4].all()
    assert int(found.sum()) == 24


@pytest.mark.usefixtures("mmpose_ready")
@pytest.mark.parametrize("name", list(PIPELINES))
def test_it_is_where_the_images_pixels_are(tmp_path: Path, name: str) -> None:
    """All pixels of the drawn image are as blue, padding is black; interpolation blurs the edge between them."""
    write(tmp_path, [person(7, bbox=CORNER)])
    mode = "bottomup" if name.startswith("whole") else "topdown"
    sample = source(dataset(tmp_path, PIPELINES[name], data_mode=mode)).load(0)
    assert sample.in_image.shape == sample.image.shape[-2:]
    drawn = sample.display[..., 2] > BLUE / 2
    differing = (sample.in_image.numpy() != drawn).sum()
    assert differing <= 8  # px on the edge
    assert (sample.in_image.double().mean() < 0.97) == (name != "whole_scaled")


@pytest.mark.usefixtures("mmpose_ready")
def test_a_preprocessors_padding_is_left_out_of_a_loaded_sample(tmp_path: Path) -> None:
    """Inputs of 64 x 48 px are made 64 x 64 (a multiple of 64) to the right."""
    write(tmp_path, [person(7)])
    sample = source(dataset(tmp_path, PLAIN), preprocessor(pad_size_divisor=64)).load(0)
    assert sample.in_image.shape == (64, 64)
    assert not sample.in_image[:, 48:].any()
    assert sample.in_image[:, :48].double().mean() > 0.9
