"""Segmentations become masks of the right pixels, and follow the image through the crop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn_coordinates import square
from hypothesis import given, settings
from hypothesis import strategies as st

from poseig_mm.data.masks import fault, flat_rings, is_box, rasterise, union, warp_mask
from poseig_mm.errors import DataError


def test_a_square_polygon_is_exactly_its_pixels() -> None:
    """COCO's pixel i is the interval from i to i + 1."""
    mask = rasterise([square((10, 7), 2)], 20, 30)
    expected = np.zeros((20, 30))
    expected[5:10, 8:13] = 1
    assert np.array_equal(mask, expected)


def test_a_round_polygon_has_its_area_and_centre() -> None:
    """Slanted edges: a circle of radius 30 to 1 % of its area and 0.1 px of its centre."""
    angles = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    points = np.stack([50 + 30 * np.cos(angles), 60 + 30 * np.sin(angles)], axis=1)
    mask = rasterise([points.ravel().tolist()], 120, 100)
    assert mask is not None
    ys, xs = np.nonzero(mask)
    assert mask.sum() == pytest.approx(np.pi * 900, rel=0.01)
    assert (xs.mean() + 0.5, ys.mean() + 0.5) == pytest.approx((50, 60), abs=0.1)


def test_several_polygons_are_joined() -> None:
    """An instance cut in two by an occluder is both parts; what both cover counts once."""
    mask = rasterise([square((5, 5), 2), square((6, 5), 2), square((20, 20), 1)], 30, 30)
    assert mask is not None
    assert mask.max() == 1
    assert mask.sum() == 25 + 5 + 9


@settings(max_examples=60)
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([0.0, 0.02, 0.5, 1.0]), st.integers(0, 99))
def test_run_lengths_give_back_the_mask_they_were_made_of(height: int, width: int, share: float, seed: int) -> None:
    """Compressed (bytes and text) as pycocotools writes them, and uncompressed."""
    from pycocotools import mask as coco

    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    encoded = coco.encode(np.asfortranarray(mask))
    column = mask.T.ravel()
    changes = np.flatnonzero(np.diff(column)) + 1
    runs = np.diff([0, *changes, column.size]).tolist()
    runs = runs if column[0] == 0 else [0, *runs]
    for counts in (encoded["counts"], encoded["counts"].decode(), runs):
        assert np.array_equal(rasterise({"size": [height, width], "counts": counts}, height, width), mask)


@pytest.mark.parametrize("nothing", [None, []])
def test_no_segmentation_is_no_mask(nothing: Any) -> None:
    """Not an empty mask: that would be a person without pixels."""
    assert rasterise(nothing, 4, 4) is None


@pytest.mark.parametrize(
    ("segmentation", "why"),
    [
        ({"size": [10, 9], "counts": [100]}, "size"),
        ({"size": [10, 10], "counts": [5, 10]}, "15 pixels"),
        ({"size": [10, 10], "counts": [50, 60]}, "110 pixels"),
        ({"size": [10, 10], "counts": [120, -20]}, "runs"),
        ({"size": [10, 10], "counts": ""}, "0 pixels"),
        ({"size": [10, 10], "counts": "zz"}, "no part"),
        ({"size": [10, 10], "counts": b"\xff\xfe"}, "no part"),
        ({"size": [10, 10], "counts": "Ph"}, "break off"),
        ({"size": [10, 10]}, "counts"),
        ([[1, 2, 3, 4]], "3 points"),
        ([[1, 2, 3, 4, 5, 6, 7]], "3 points"),
        ([[1, 2, 3, 4, float("nan"), 6]], "not a number"),
        ([[1, 2, 3, 1e9, 5, 6]], "beyond"),
        ([[[1, 2], [3, 4], [5, 6]]], "float"),
        (7, "int"),
    ],
)
def test_a_malformed_segmentation_is_refused(segmentation: Any, why: str) -> None:
    """The message says what is wrong and what is expected; pycocotools alone reads past the end of short runs."""
    with pytest.raises(DataError, match="expected COCO polygons") as caught:
        rasterise(segmentation, 10, 10)
    assert why in str(caught.value)


@pytest.mark.parametrize("flat", [[], [3, 3], [3, 3, 9, 9], (3, 3, 9, 9)])
def test_a_ring_of_fewer_than_three_points_has_no_area(flat: Any) -> None:
    """Leaving it out is exact: the mask is that of the other rings; such rings alone are no segmentation."""
    rings = [square((5, 5), 2), square((20, 20), 1)]
    expected = rasterise(rings, 30, 30)
    assert np.array_equal(rasterise([rings[0], flat, rings[1]], 30, 30), expected)
    assert (fault([*rings, flat], (30, 30)), flat_rings([*rings, flat, flat])) == ("", 2)
    assert "at least 3 points" in fault([flat], None)
    assert is_box([square((5, 5)), flat])


@pytest.mark.parametrize(
    "ring",
    [[1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6, 7], [1, 2, float("nan"), 4], [1, 2, None, 4, 5, 6], None, "x"],
)
def test_a_ring_that_cannot_be_read_is_no_mask(ring: Any) -> None:
    """Nobody knows what it enclosed: the rings beside it alone would be another mask than the person's."""
    assert fault([square((5, 5), 2), ring], (30, 30))
    assert flat_rings([square((5, 5), 2), ring]) == 0
    with pytest.raises(DataError):
        rasterise([square((5, 5), 2), ring], 30, 30)


def test_an_empty_union_is_none() -> None:
    """Nobody has a mask."""
    assert union([None, None]) is None


@pytest.mark.parametrize("angle", [0, 30, 90, 200])
def test_a_warped_square_keeps_its_centre_and_area(angle: float) -> None:
    """By the map itself: centre to 0.1 px, area to the square of the scale."""
    turn, scale = np.deg2rad(angle), 1.7
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    warp = np.hstack([linear, (np.array([60.0, 50]) - linear @ [40.0, 30])[:, None]])
    mask = rasterise([square((40, 30), 8)], 70, 80)
    assert mask is not None
    warped = warp_mask(mask, warp, (100, 120))
    ys, xs = np.nonzero(warped)
    assert warped.shape == (100, 120)
    assert (xs.mean(), ys.mean()) == pytest.approx((60, 50), abs=0.1)
    assert warped.sum() == pytest.approx(17 * 17 * scale**2, rel=0.03)


def test_beyond_the_image_there_is_no_mask() -> None:
    """The crop of a person at the border looks at nothing there, not at a repeated edge."""
    shifted = np.array([[1.0, 0, 5], [0, 1, 0]])
    warped = warp_mask(np.ones((10, 10), dtype=np.uint8), shifted, (10, 15))
    assert not warped[:, :5].any()
    assert warped[:, 5:].all()


@pytest.mark.parametrize(
    ("segmentation", "box"),
    [
        ([square((5, 5))], True),
        ([[62, 82, 62, 113, 62, 144, 113.5, 144, 165, 144, 165, 113, 165, 82, 113.5, 82]], True),  # FreiHAND's form
        ([[0, 0, 10, 0, 10, 10, 5, 10]], False),
        ([[0, 0, 10, 0, 0, 10, 10, 10]], False),
        ([square((5, 5)), square((9, 9))], False),
        ({"size": [2, 2], "counts": [0, 4]}, False),
        (None, False),
    ],
)
def test_boxes_are_told_from_masks(segmentation: Any, box: bool) -> None:
    """Some data sets write an instance's box where its outline belongs."""
    assert is_box(segmentation) is box


def test_numbers_written_as_text_are_numbers() -> None:
    """As `fault` and `rasterise` take them."""
    assert is_box([[0, "0", 5.0, 0, "5", 3, 0, "3"]])
    assert not is_box([[0, "0", "5", 1, "5", 3, 0, "3"]])
