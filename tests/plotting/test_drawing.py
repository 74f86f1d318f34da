"""Maps and joints land on the right pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poseig_mm.plotting import drawing
from poseig_mm.plotting.drawing import Canvas

SCALED = np.array([[2.5, 0.0, 30.0], [0.0, 2.5, 12.0]])
angle = np.deg2rad(30)
TURNED = np.array([[1.5 * np.cos(angle), -1.5 * np.sin(angle), 60.0], [1.5 * np.sin(angle), 1.5 * np.cos(angle), 8.0]])
SHRUNK = np.array([[0.2, 0.0, 10.0], [0.0, 0.2, 5.0]])


def centre(values: np.ndarray) -> np.ndarray:
    """(x, y) of the centre of mass."""
    ys, xs = np.mgrid[: values.shape[0], : values.shape[1]]
    return np.array([(values * xs).sum(), (values * ys).sum()]) / values.sum()


@pytest.mark.parametrize("warp", [SCALED, TURNED, SHRUNK])
@pytest.mark.parametrize("pixel", [(11, 20), (17, 9)])
def test_a_one_pixel_map_lands_where_the_warp_sends_the_pixel(warp: np.ndarray, pixel: tuple[int, int]) -> None:
    """Analytic: the centre of the warped map is the inverse warp of the pixel, enlarged, turned or shrunk."""
    values = np.zeros((32, 24))
    values[pixel[1], pixel[0]] = 1.0
    warped = drawing.map_to_original(values, warp, (110, 120))
    expected = warp[:, :2] @ pixel + warp[:, 2]
    assert np.abs(centre(warped) - expected).max() < 0.3
    y, x = np.unravel_index(warped.argmax(), warped.shape)
    assert np.hypot(*(np.array([x, y]) - expected)) < 1.0


def test_outside_the_input_the_warped_map_is_zero() -> None:
    """An even map fills the input's parallelogram and nothing else."""
    warped = drawing.map_to_original(np.ones((32, 24)), SCALED, (110, 120))
    assert warped[60, 60] == pytest.approx(1.0)
    assert warped[:9].max() == 0
    assert warped[:, :27].max() == 0


def test_a_warp_to_a_line_is_refused() -> None:
    """The message says what is wrong with it."""
    with pytest.raises(ValueError, match="cannot be inverted"):
        drawing.map_to_original(np.ones((4, 4)), np.array([[1.0, 1, 0], [1, 1, 0]]), (4, 4))


@pytest.mark.parametrize("height", [40, 80, 320])
def test_marks_are_centred_on_their_point(height: int) -> None:
    """At every enlargement: the ring's and the cross' ink is centred where the point's pixel is."""
    for mark in ("circle", "cross"):
        canvas = Canvas(np.zeros((80, 60, 3), np.uint8), height)
        getattr(canvas, mark)(np.array([33.0, 41.0]))
        ink = np.asarray(canvas.finish()).astype(float).sum(2)
        expected = (np.array([33.0, 41.0]) + 0.5) * height / 80 - 0.5
        assert np.abs(centre(ink) - expected).max() < 0.5


def test_a_point_that_does_not_exist_draws_nothing() -> None:
    """NaN joints leave the picture as it is."""
    canvas = Canvas(np.zeros((8, 6, 3), np.uint8), 32)
    nowhere = np.array([np.nan, 3.0])
    canvas.circle(nowhere)
    canvas.cross(nowhere)
    canvas.line(np.stack([nowhere, nowhere]), (255, 255, 255))
    assert np.asarray(canvas.finish()).max() == 0


def test_overlay_glows_where_the_map_is() -> None:
    """The peak's pixel is bright and coloured, a pixel without attribution is the dimmed grey image."""
    values = np.zeros((10, 10))
    values[3, 4] = 1.0
    drawn = drawing.overlay(np.full((10, 10, 3), 200, np.uint8), values).astype(int)
    assert np.ptp(drawn[7, 7]) == 0
    assert drawn[7, 7, 0] < 130
    assert drawn[3, 4].sum() > drawn[7, 7].sum()
    assert np.ptp(drawn[3, 4]) > 50


def test_ranks_are_those_of_the_order_alone() -> None:
    """Any rising function of the map has the same ranks; their order is that of the values; zeros stay 0."""
    values = np.random.default_rng(0).random((20, 30)) ** 4
    values[:5] = 0
    ranks = drawing.rank_normalised(values)
    np.testing.assert_array_equal(ranks, drawing.rank_normalised(np.expm1(values)))
    assert (ranks[:5] == 0).all()
    assert ranks.max() == 1
    above = np.sort(ranks[5:], axis=None)
    np.testing.assert_allclose(above, np.arange(150, 600) / 599)
    np.testing.assert_array_equal(values.ravel().argmax(), ranks.ravel().argmax())
    assert (drawing.rank_normalised(np.full((3, 3), 0.7)) == 0).all()


def test_an_all_zero_map_is_drawn_without_a_glow() -> None:
    """No division by zero: the same grey everywhere."""
    assert np.ptp(drawing.overlay(np.full((4, 4, 3), 90, np.uint8), np.zeros((4, 4)))) == 0


def test_pooled_maps_cover_their_blocks() -> None:
    """A map pooled by 4, with smaller blocks at the edge, has every pixel at its block's value."""
    from poseig_mm.store import pool

    full = np.arange(10 * 7, dtype=np.float32).reshape(1, 10, 7)
    enlarged = drawing.to_input_size(pool(full)[0], (10, 7))
    assert enlarged.shape == (10, 7)
    assert enlarged[9, 6] == pytest.approx(full[0, 8:, 4:].mean())
    assert enlarged[7, 0] == pytest.approx(full[0, 4:8, :4].mean())
    assert enlarged[0, 3] == pytest.approx(full[0, :4, :4].mean())


def test_sum_of_maps_counts_each_joint_once() -> None:
    """A joint without a map (NaN) or with a larger one changes nothing in the others' weight."""
    maps = np.zeros((3, 2, 2))
    maps[0, 0, 0], maps[1, 1, 1], maps[2] = 5.0, 1.0, np.nan
    total = drawing.sum_of_maps(maps)
    assert total is not None
    np.testing.assert_allclose(total, [[0.5, 0], [0, 0.5]])
    assert drawing.sum_of_maps(np.full((2, 2, 2), np.nan)) is None


def test_originals_are_read_upright(tmp_path: Path) -> None:
    """A photograph taken with a turned camera is turned as MMPose turns it."""
    pixels = np.zeros((6, 10, 3), np.uint8)
    pixels[:, :5] = 255
    exif = Image.Exif()
    exif[274] = 6  # stored rotated by 90 degrees
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    image, scale = drawing.read_original(tmp_path / "a.png")
    assert image.shape == (10, 6, 3)
    assert image[0].min() == 255
    assert image[-1].max() == 0
    assert scale == 1


def test_large_originals_are_made_smaller(tmp_path: Path) -> None:
    """The scale that comes with them is that of their pixels."""
    Image.new("RGB", (4000, 2000)).save(tmp_path / "a.jpg")
    image, scale = drawing.read_original(tmp_path / "a.jpg", most=500)
    assert image.shape == (250, 500, 3)
    assert scale == pytest.approx(0.125)


def test_the_view_holds_the_crop_and_stays_in_the_image() -> None:
    """A crop at the border is shown with what there is around it; one outside: the whole image."""
    corners = np.array([[-20.0, 10.0], [60.0, 10.0], [60.0, 90.0], [-20.0, 90.0]])
    assert drawing.view_box(corners, (100, 200), margin=0.5) == (0, 0, 80, 100)
    assert drawing.view_box(corners + 1000, (100, 200)) == (0, 0, 200, 100)


def test_density_peaks_where_the_mass_is() -> None:
    """KDE of a blob: peak 1, at the blob; a map of one pixel has no spread and no density."""
    ys, xs = np.mgrid[:48, :36]
    blob = np.exp(-((xs - 20) ** 2 + (ys - 15) ** 2) / 18.0)
    found = drawing.density(blob)
    assert found is not None
    assert found.max() == pytest.approx(1.0)
    assert np.abs(np.array(np.unravel_index(found.argmax(), found.shape)) - (15, 20)).max() <= 1
