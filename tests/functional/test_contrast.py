"""A contrast between two places of a joint, where other joints have no place."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from poseig_mm.functional import path_attribution

HERE, THERE = [0.0, 0.0], [4.0, 0.0]
NOWHERE = [math.nan, math.nan]


def two_joints(x: Tensor) -> Tensor:
    """(B, 1, 1, 2) -> (B, 2, 2): each joint's x is one pixel."""
    return torch.stack([x[:, 0, 0], 0 * x[:, 0, 0]], -1)


def attributed(keypoints: list[list[float]], contrast: list[list[float]]) -> tuple[Tensor, tuple[str, ...]]:
    image = torch.tensor([[[[3.0, 3.0]]]], dtype=torch.float64)
    found = path_attribution(
        two_joints,
        image,
        torch.tensor([keypoints], dtype=torch.float64),
        contrast=torch.tensor([contrast], dtype=torch.float64),
        path="linear",
        quadrature="midpoint",
        nodes=200,
        signed=True,
    )
    assert found.signed is not None
    return found.signed[0, :, 0], found.reasons[0]


def test_a_joint_without_a_place_leaves_the_others_alone() -> None:
    """Joint 1 is not annotated; joint 0 moves from 0 to 3: T(4) - T(0) rises by e^-0.075 - e^-0.3 + 1 - e^-0.225."""
    signed, reasons = attributed([THERE, NOWHERE], [HERE, NOWHERE])
    gained = math.exp(-0.075) - math.exp(-0.3) + 1 - math.exp(-0.225)
    assert reasons == ("", "not_visible")
    assert torch.allclose(signed[0], torch.tensor([gained, 0.0], dtype=torch.float64), atol=1e-4)


def test_a_joint_without_a_second_place_is_not_computed() -> None:
    """It is not compared with some other point: there is a reason, and no map."""
    signed, reasons = attributed([THERE, THERE], [HERE, NOWHERE])
    assert reasons == ("", "not_visible")
    assert bool(signed[1].isnan().all())
