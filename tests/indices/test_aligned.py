"""PA-EPE: what a similarity explains is no error; what is missing is NaN."""

from __future__ import annotations

import torch
from torch import Tensor

from poseig_mm.indices.aligned import AlignedError
from poseig_mm.indices.base import IndexInputs


def _inputs(truth: Tensor, pose: Tensor, visible: Tensor) -> IndexInputs:
    return IndexInputs(torch.ones(*truth.shape[:2], 2, 2), visible, truth, truth[..., :2], prediction=pose)


def _poses() -> tuple[Tensor, Tensor]:
    """A truth (2, 5, 3) and the same turned about a skew axis, doubled and shifted."""
    truth = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    skew = torch.tensor([[0.0, -3, 2], [3, 0, -1], [-2, 1, 0]], dtype=torch.float64)
    return truth, 2 * truth @ torch.linalg.matrix_exp(skew) + 7


def test_a_similarity_is_no_error_and_a_mirror_image_is_one() -> None:
    truth, turned = _poses()
    seen = torch.ones(2, 5, dtype=torch.bool)
    assert AlignedError()(_inputs(truth, turned, seen)).max() < 1e-5
    assert AlignedError()(_inputs(truth, truth * truth.new_tensor([1, 1, -1]), seen)).min() > 1e-2


def test_a_moved_joint_is_found() -> None:
    """Of a line of four joints with one moved aside: the least-squares line is hand-computable by symmetry."""
    truth = torch.tensor([[[-1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, -1, 0]]])
    pose = truth.clone()
    pose[0, :2, 2] = torch.tensor([0.0, 0.0])
    pose[0, 2:, 1] *= 3  # stretched along y: the best similarity scales by (1 + 3) / (1 + 9) = 0.4
    found = AlignedError()(_inputs(truth, pose, torch.ones(1, 4, dtype=torch.bool)))
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.6, 0.2, 0.2]]))


def test_joints_that_are_not_visible_neither_count_nor_have_one() -> None:
    truth, turned = _poses()
    turned[0, 4] = 1000
    seen = torch.ones(2, 5, dtype=torch.bool)
    seen[0, 4] = False
    seen[1, 2:] = False
    found = AlignedError()(_inputs(truth, turned, seen))
    assert found[0, :4].max() < 1e-5
    assert found[0, 4].isnan()
    assert found[1].isnan().all()  # two joints: no similarity


def test_in_the_plane_there_is_none() -> None:
    """2-D coordinates: NaN, which `compute_indices` calls pa_epe_undefined."""
    points = torch.zeros(1, 4, 2)
    assert AlignedError()(_inputs(points, points, torch.ones(1, 4, dtype=torch.bool))).isnan().all()
