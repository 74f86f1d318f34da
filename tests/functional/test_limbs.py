"""Limbs, and the mass of maps in them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from poseig_mm.functional.limbs import limb_distance, limb_segments, limb_shares

ARM = np.array([[10.0, 20.0], [40.0, 20.0], [70.0, 20.0]])  # shoulder, elbow, wrist, (x, y)
PARENTS = (-1, 0, 1)


def test_a_root_has_the_bones_to_its_children() -> None:
    """A shoulder's limb is the upper arm; a wrist's the forearm; a bone to a joint that is not there is left out."""
    assert limb_segments(0, PARENTS, ARM).tolist() == [[ARM[0].tolist(), ARM[1].tolist()]]
    assert limb_segments(2, PARENTS, ARM).tolist() == [[ARM[2].tolist(), ARM[1].tolist()]]
    gone = ARM.copy()
    gone[1] = np.nan
    assert limb_segments(2, PARENTS, gone).tolist() == [[ARM[2].tolist()] * 2]


def test_distance_from_a_slanted_bone() -> None:
    """Beside the bone it is that from the line, beyond its ends that from the end: 3-4-5 triangles."""
    d = limb_distance(np.array([[[0.0, 0.0], [3.0, 4.0]]]), (9, 9))
    assert d[4, 3] == 0
    assert d[0, 5] == pytest.approx(4.0)  # the foot of (5, 0) is at (1.8, 2.4)
    assert d[8, 6] == pytest.approx(5.0)  # (6, 8) lies beyond the end (3, 4)


def test_mass_area_and_sign_by_hand() -> None:
    """Three pixels: one in each limb, one in none."""
    values = np.zeros((40, 100))
    values[20, 12], values[20, 68], values[35, 95] = 3.0, -1.0, 4.0
    wrong, right = limb_shares(values, here=2, there=0, points=ARM, parents=PARENTS, radius=5.0)
    assert (wrong.mass, wrong.positive) == (3 / 8, 1.0)
    assert (right.mass, right.positive) == (1 / 8, 0.0)
    inside = sum((x - min(max(x, 10), 40)) ** 2 + (y - 20) ** 2 <= 25 for x in range(41) for y in range(40))
    assert wrong.area == inside / 4000  # what lies beyond the elbow is in both, and nearer to the wrist


def test_shared_pixels_go_to_the_nearer_joint() -> None:
    """Wrist for elbow: the forearm's outer half is the wrist's, its inner half the elbow's, and none is counted
    twice.
    """
    values = np.zeros((40, 100))
    values[20, 44], values[20, 66] = 1.0, 1.0  # both on the forearm; the first is within 5 px of the upper arm too
    wrong, right = limb_shares(values, here=2, there=1, points=ARM, parents=PARENTS, radius=5.0)
    assert (wrong.mass, right.mass) == (0.5, 0.5)


def test_an_even_map_has_no_preference() -> None:
    """mass / area is 1 in both limbs, and the limbs are disjoint."""
    wrong, right = limb_shares(np.ones((40, 100)), here=1, there=0, points=ARM, parents=PARENTS, radius=6.0)
    assert wrong.mass == pytest.approx(wrong.area)
    assert right.mass == pytest.approx(right.area)
    upper_arm = limb_distance(limb_segments(1, PARENTS, ARM), (40, 100)) <= 6.0  # the same bone for both
    assert wrong.area + right.area == pytest.approx(upper_arm.mean())


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_no_map_has_no_shares(value: float) -> None:
    """A map of zeros, or with NaN, has NaN shares."""
    wrong, right = limb_shares(np.full((40, 100), value), here=2, there=0, points=ARM, parents=PARENTS, radius=5.0)
    assert all(math.isnan(v) for v in (wrong.mass, wrong.positive, right.mass, right.positive))
