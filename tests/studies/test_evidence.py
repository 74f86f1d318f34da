"""Places of evidence: hand-made maps have exact shares; the densest spot; offsets that agree."""

from __future__ import annotations

import math

import numpy as np
import pytest

from poseig_mm.errors import ShapeError
from poseig_mm.studies.shortcuts.evidence import (
    PLACES,
    densest_spots,
    fixed_offset,
    person_size,
    place_areas,
    place_maps,
    place_shares,
)

SIZE = (60, 80)  # (H, W)
POINTS = np.array([[20.0, 15.0], [20.0, 40.0], [60.0, 15.0], [60.0, 40.0]])  # left elbow, wrist; right elbow, wrist
PARENTS, PARTNERS = (-1, 0, -1, 2), (2, 3, 0, 1)
RADIUS = 5.0
YS, XS = np.mgrid[: SIZE[0], : SIZE[1]]


def disc(x: float, y: float, radius: float = RADIUS) -> np.ndarray:
    """1 within the radius of a point."""
    return (np.hypot(XS - x, YS - y) <= radius).astype(float)


def person() -> np.ndarray:
    """The left half of the picture."""
    return XS < 40


def codes(mask: np.ndarray | None = None, points: np.ndarray = POINTS) -> np.ndarray:
    """Of all four joints."""
    return place_maps(points, PARENTS, PARTNERS, SIZE, RADIUS, mask)


def shares(values: np.ndarray, mask: np.ndarray | None = None, joint: int = 1) -> dict[str, float]:
    """Of the left wrist's map, those above 0."""
    found = place_shares(values, codes(mask)[joint])
    return {p: float(v) for p, v in zip(PLACES, found, strict=True) if v > 0}


@pytest.mark.parametrize(
    ("place", "values"),
    [
        ("own", disc(20, 40)),
        ("parent", disc(20, 15)),
        ("partner", disc(60, 40)),
        ("other", disc(60, 15)),
        ("limb", ((XS == 20) & (YS > 20) & (YS < 35)).astype(float)),  # between the discs of wrist and elbow
        ("partner", ((XS == 60) & (YS > 20) & (YS < 35)).astype(float)),  # the partner's own bone is the partner's
        ("person", disc(8, 55)),
        ("background", disc(45, 55, 3)),
    ],
)
def test_a_disc_is_one_place(place: str, values: np.ndarray) -> None:
    """What lies in one place has share 1 there and 0 everywhere else."""
    assert shares(values, person()) == {place: pytest.approx(1.0)}


def test_a_mixture_has_its_parts() -> None:
    """Mass 3 : 1 : 4 on the joint, its partner and the background."""
    parts = [m * disc(x, y) / disc(x, y).sum() for m, x, y in ((3, 20, 40), (1, 60, 40), (4, 75, 55))]
    assert shares(sum(parts), person()) == pytest.approx({"own": 3 / 8, "partner": 1 / 8, "background": 4 / 8})


def test_a_uniform_map_has_the_areas() -> None:
    """Shares of a uniform map are the areas, counted by hand for the discs; both sum to 1."""
    places = codes(person())[1]
    areas = dict(zip(PLACES, place_areas(places), strict=True))
    assert np.allclose(place_shares(np.full(SIZE, 0.3), places), list(areas.values()))
    assert sum(areas.values()) == pytest.approx(1.0)
    assert areas["own"] == pytest.approx(81 / 4800)  # lattice points within 5 of one
    assert areas["other"] == pytest.approx(81 / 4800)
    assert areas["unknown"] == 0


def test_without_a_mask_the_rest_is_unknown() -> None:
    """Joints stay; person and background are not made up."""
    assert shares(disc(8, 55)) == {"unknown": 1.0}
    assert shares(disc(20, 15)) == {"parent": pytest.approx(1.0)}


def test_the_joint_itself_comes_first() -> None:
    """Where discs overlap the pixels are the joint's own: nothing is laid at a neighbour's door that may be its own."""
    points = POINTS.copy()
    points[0] = (20.0, 36.0)  # the elbow, foreshortened
    places = codes(person(), points)[1]
    assert (places[disc(20, 40) > 0] == PLACES.index("own")).all()
    assert PLACES[places[33, 20]] == "parent"


def test_a_joint_without_a_point_has_no_place() -> None:
    """An unknown parent takes nothing; an unknown joint has no map of places."""
    points = POINTS.copy()
    points[0] = math.nan
    found = codes(person(), points)
    assert (found[0] == PLACES.index("unknown")).all()
    assert "parent" not in {PLACES[i] for i in np.unique(found[1])}


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_no_map_no_shares(value: float) -> None:
    """NaN, never 0."""
    assert np.isnan(place_shares(np.full(SIZE, value), codes()[1])).all()


def test_shapes_are_checked() -> None:
    """What, got, expected."""
    with pytest.raises(ShapeError, match=r"expected \(H, W\) = \(60, 80\)"):
        codes(np.ones((3, 3), bool))
    with pytest.raises(ShapeError, match="expected the same"):
        place_shares(np.ones((3, 3)), codes()[1])


def test_the_densest_spot_is_the_middle_of_a_mark() -> None:
    """A 7 x 7 mark at (+9, -9) px of the wrist wins over a faint disc at the wrist, and that over a single bright
    pixel.
    """
    values = 0.3 * disc(20, 40)
    values[28:35, 26:33] = 1.0
    values[5, 70] = 4.0
    total, lattice = 49 + 4 + 0.3 * 81, 81 / 4800
    found = densest_spots(values, RADIUS, 9)
    assert [(s.x, s.y) for s in found[:3]] == [(29, 31), (20, 40), (70, 5)]
    assert [s.share for s in found[:3]] == pytest.approx([49 / total, 0.3 * 81 / total, 4 / total])
    assert (found[0].area, found[2].area) == pytest.approx((lattice, lattice))
    assert len(found) == 3  # nothing is left


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_no_map_no_spots(value: float) -> None:
    """None, and no endless search."""
    assert densest_spots(np.full(SIZE, value), RADIUS, 3) == []


def test_offsets_agree_with_others_not_with_themselves() -> None:
    """Seven have their first or second spot at one offset; three far from everything and an unknown one agree with
    none.
    """
    offsets = np.full((11, 2, 2), math.nan)
    offsets[:7, 0] = (9.0, -9.0)
    offsets[5] = [(30.0, 30.0), (9.0, -8.5)]
    offsets[7:10, 0] = [(0.0, 0.0), (40.0, 0.0), (-40.0, 5.0)]
    assert fixed_offset(offsets, 1.0).tolist() == [0] * 5 + [1, 0] + [-1] * 4
    assert (fixed_offset(offsets[7:], 1.0) == -1).all()
    assert (fixed_offset(offsets[:1], 1.0) == -1).all()


def test_two_spots_of_one_person_do_not_agree() -> None:
    """One person's spots side by side are no fixed offset."""
    assert fixed_offset(np.array([[[1.0, 1.0], [1.0, 1.2]], [[50.0, 0.0], [50.0, 0.1]]]), 1.0).tolist() == [-1, -1]


def test_two_pairs_are_no_fixed_offset() -> None:
    """Without itself each is one of a pair against another pair; nor is one in the middle of a ring that alone joins
    it.
    """
    assert (fixed_offset(np.array([[[0.0, 0.0]], [[0.5, 0.0]], [[50.0, 0.0]], [[50.5, 0.0]]]), 1.0) == -1).all()
    ring = [(0.9 * np.cos(t), 0.9 * np.sin(t)) for t in np.arange(6) * np.pi / 3]
    offsets = np.array([(0.0, 0.0), *ring, *[(50.0, 0.0)] * 4])[:, None]
    assert fixed_offset(offsets, 1.0)[0] == -1


def test_offsets_drawn_by_chance_rarely_agree() -> None:
    """Over a square of 10 x 10 a disc of radius 0.5 holds 0.8 %, of three spots 2.4 %: less than a tenth agree."""
    offsets = np.random.default_rng(0).uniform(-5, 5, (200, 3, 2))
    assert (fixed_offset(offsets, 0.5) >= 0).mean() < 0.1


def test_many_offsets_are_tried_in_part() -> None:
    """With more than `most`, evenly chosen ones: the answer for a clear majority stays."""
    offsets = np.concatenate([100.0 * np.arange(1, 11)[:, None] * np.ones((10, 2)), np.zeros((30, 2))])[:, None]
    assert fixed_offset(offsets, 1.0, most=8).tolist() == fixed_offset(offsets, 1.0).tolist() == [-1] * 10 + [0] * 30


def test_the_size_of_a_person() -> None:
    """Root of the box's area in input px; without a box, of what the points span; NaN where there is nothing to
    span.
    """
    warp = np.array([[0.5, 0.0, 3.0], [0.0, 0.5, 7.0]])  # an original px is 2 input px
    assert person_size(POINTS, (0, 0, 10, 40), warp) == pytest.approx(40.0)
    assert person_size(POINTS, None, warp) == pytest.approx(math.sqrt(40 * 25))
    assert person_size(np.array([[0.0, 0.0], [0.0, 8.0]]), None, warp) == pytest.approx(math.sqrt(4 * 8))
    assert math.isnan(person_size(POINTS[:1], None, warp))
    assert math.isnan(person_size(POINTS, (5, 5, 5, 9), warp))
