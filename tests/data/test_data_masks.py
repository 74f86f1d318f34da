"""Segmentations as masks: what COCO's own library makes of them, and clear errors for what it reads past the end of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from drawn_people import rectangle
from pycocotools import mask as coco

from poseig_mm.data.masks import is_box, rasterise, union, warp_mask
from poseig_mm.errors import DataError


def blobs(seed: int, height: int, width: int) -> np.ndarray:
    """A random mask with long and short runs."""
    random = np.random.default_rng(seed)
    coarse = np.kron(random.integers(0, 2, (3, 4)), np.ones((-(-height // 3), -(-width // 4))))[:height, :width]
    return ((coarse > 0) ^ (random.random((height, width)) < 0.05)).astype(np.uint8)


def test_a_rectangle_has_its_own_pixels() -> None:
    """A polygon from 2 to 5 and 1 to 4 is the pixels 2..4 and 1..3, x to the right."""
    expected = np.zeros((6, 8), dtype=np.uint8)
    expected[1:4, 2:5] = 1
    assert np.array_equal(rasterise([rectangle(2, 1, 5, 4)], 6, 8), expected)


def test_several_polygons_are_one_mask_and_overlaps_count_once() -> None:
    """Polygons are joined; values stay 0 and 1."""
    found = rasterise([rectangle(0, 0, 3, 3), rectangle(2, 2, 4, 4), rectangle(6, 0, 8, 1)], 6, 8)
    assert found is not None and found.max() == 1
    assert found.sum() == 9 + 4 - 1 + 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (93, 131)])
def test_run_lengths_of_both_kinds_give_back_the_mask(seed: int, size: tuple[int, int]) -> None:
    """Compressed (bytes and str) and uncompressed run lengths of a mask decode to that mask."""
    mask = blobs(seed, *size)
    packed = coco.encode(np.asfortranarray(mask))
    flat = mask.flatten(order="F")
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1), flat.size]
    runs = ([0] if flat[0] else []) + [int(n) for n in np.diff(edges)]
    for counts in (packed["counts"], packed["counts"].decode(), runs):
        assert np.array_equal(rasterise({"size": list(size), "counts": counts}, *size), mask)


@pytest.mark.parametrize("nothing", [None, []])
def test_no_segmentation_is_no_mask(nothing: Any) -> None:
    """None, not an empty mask: FI then has the reason no_mask."""
    assert rasterise(nothing, 4, 4) is None


def test_an_empty_run_length_is_an_empty_mask() -> None:
    """All background is a mask, with nothing in it."""
    found = rasterise({"size": [4, 5], "counts": [20]}, 4, 5)
    assert found is not None and found.shape == (4, 5) and not found.any()


@pytest.mark.parametrize(
    "broken",
    [
        {"size": [4, 4], "counts": [1, 2]},  # covers 3 of 16 pixels: pycocotools returns memory it never wrote
        {"size": [4, 4], "counts": []},
        {"size": [4, 4], "counts": [20, -4]},
        {"size": [4, 4], "counts": [0, 100]},
        {"size": [5, 5], "counts": [25]},  # of another image
        {"size": [4, 4], "counts": "garbage!"},
        {"size": [4, 4], "counts": b"\x00"},
        {"counts": [16]},
        [[0, 0, 1, 1]],  # two points
        [[0, 0, 1, 1, 2]],  # odd
        [[0, 0, 3, 0, 3, float("nan")]],
        [0, 0, 3, 0, 3, 3],  # a polygon, not a list of them
        "polygon",
        3,
    ],
)
def test_what_is_no_segmentation_is_refused(broken: Any) -> None:
    """The error says what was got and what was expected."""
    with pytest.raises(DataError, match="expected COCO polygons.*got "):
        rasterise(broken, 4, 4)


def test_union_is_where_any_mask_is() -> None:
    """Persons without a mask add nothing; nobody with one is no mask."""
    a, b = np.zeros((3, 3), np.uint8), np.zeros((3, 3), np.uint8)
    a[0, 0] = b[0, 0] = b[2, 1] = 1
    found = union([None, a, b])
    assert found is not None and found.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert union([None, None]) is None


def test_a_warped_mask_moves_by_whole_pixels_exactly() -> None:
    """Shifted by (3, 1) to the right and down; what leaves is lost, what enters is background."""
    mask = blobs(0, 9, 12)
    found = warp_mask(mask, np.array([[1.0, 0, 3], [0, 1, 1]]), (9, 12))
    expected = np.zeros((9, 12), dtype=bool)
    expected[1:, 3:] = mask[:-1, :-3]
    assert found.dtype == bool and np.array_equal(found, expected)


def test_a_magnified_mask_has_square_pixels() -> None:
    """Under x -> 4 x + 1.5 each pixel becomes a square of 4 x 4 about its centre: nearest pixel, no interpolation."""
    mask = blobs(1, 5, 6)
    found = warp_mask(mask, np.array([[4.0, 0, 1.5], [0, 4, 1.5]]), (20, 24))
    assert np.array_equal(found, np.kron(mask, np.ones((4, 4), dtype=np.uint8)) > 0)


@pytest.mark.parametrize(
    ("segmentation", "expected"),
    [
        ([rectangle(3, 4, 9, 8)], True),
        ([[62, 82, 62, 113.0, 62, 144, 113.5, 144, 165, 144, 165, 113.0, 165, 82, 113.5, 82]], True),  # as FreiHAND has
        ([[0, 0, 5, 1, 6, 6, 1, 5]], False),
        ([[0, 0, 9, 0, 9, 9, 5, 9, 5, 5, 0, 5]], False),  # an L
        ([rectangle(0, 0, 1, 1), rectangle(2, 2, 3, 3)], False),
        ({"size": [4, 4], "counts": [16]}, False),
        ([], False),
        (None, False),
    ],
)
def test_upright_boxes_are_told_from_masks(segmentation: Any, expected: bool) -> None:
    """A box written as a polygon is no person's outline."""
    assert is_box(segmentation) is expected
