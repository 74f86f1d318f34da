"""Which predicted person is the annotated one."""

from __future__ import annotations

import math

import pytest
import torch

from poseig_mm.adapters.matching import keypoint_similarity, match_person, person_area

TRUTH = torch.tensor([[0.0, 0.0], [60.0, 0.0], [0.0, 80.0], [float("nan")] * 2], dtype=torch.float64)
SIGMAS = torch.tensor([0.05, 0.1, 0.05, 0.05], dtype=torch.float64)


def test_similarity_is_coco_s() -> None:
    """exp(-d^2 / (2 area (2 sigma)^2)), averaged over the annotated joints: here two exact ones and one 10 px away."""
    candidate = TRUTH.nan_to_num(1e4)
    candidate[1] += torch.tensor([6.0, 8.0])
    expected = (2 + math.exp(-100 / (2 * 60 * 80 * 0.2**2))) / 3
    assert keypoint_similarity(TRUTH, candidate[None], SIGMAS).item() == pytest.approx(expected, rel=1e-12)


def test_the_highest_similarity_wins_not_the_nearest_centre() -> None:
    """A pose turned upside down lies at the same centre; one moved by 10 px is alike."""
    turned, moved = TRUTH.nan_to_num(0), TRUTH.nan_to_num(0) + 10
    turned[:3] = TRUTH[:3].mean(0) * 2 - TRUTH[:3]
    assert match_person(TRUTH, torch.stack([turned, moved]), SIGMAS) == 1


def test_without_similarity_the_nearest_centre_within_the_person_s_scale_wins() -> None:
    """The scale is the root of the joints' box, here sqrt(60 * 80) = 69.3 px; farther away is nobody."""
    far, near = (TRUTH.nan_to_num(0) + torch.tensor([d, 0.0]) for d in (69.0, 65.0))
    assert float(keypoint_similarity(TRUTH, near[None], SIGMAS)) < 0.1
    assert match_person(TRUTH, torch.stack([far, near]), SIGMAS) == 1
    assert match_person(TRUTH, far[None], SIGMAS) == 0
    assert match_person(TRUTH, far[None] + torch.tensor([1.0, 0.0]), SIGMAS) is None


def test_nobody_matches_where_there_is_nobody() -> None:
    """No candidates, or no annotated joints."""
    assert match_person(TRUTH, torch.empty(0, 4, 2), SIGMAS) is None
    assert match_person(torch.full_like(TRUTH, torch.nan), TRUTH.nan_to_num(0)[None], SIGMAS) is None


def test_joints_in_one_place_still_have_an_area() -> None:
    """32 x 32 px, COCO's limit of small."""
    assert person_area(TRUTH[:1]) == person_area(TRUTH[3:]) == 1024.0
