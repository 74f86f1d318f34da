"""Errors of hands in space, where they are known beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from poseig_hand_models.hand_metrics import HandPose3DMetric, align, f_score, pck_auc

from poseig_mm.errors import DataError


def hands(count: int = 3) -> np.ndarray:
    """(N, 21, 3) mm from the wrist, joints tens of mm apart."""
    joints = np.random.default_rng(0).uniform(-80, 80, (count, 21, 3))
    return joints - joints[:, :1]


def rotation(degrees: float) -> np.ndarray:
    """About (1, 2, 2) / 3."""
    n, angle = np.array([1.0, 2.0, 2.0]) / 3, np.deg2rad(degrees)
    cross = np.array([[0, -n[2], n[1]], [n[2], 0, -n[0]], [-n[1], n[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def evaluated(found: np.ndarray, truth: np.ndarray, **more: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """All numbers of the metric; `more`: name -> (N, ...) predicted and true."""
    metric = HandPose3DMetric()
    for i in range(len(truth)):
        extra = [{name: values[which][i][None] for name, values in more.items()} for which in (0, 1)]
        sample = {
            "img_id": i,
            "pred_instances": {"keypoints_3d": found[i][None], **extra[0]},
            "gt_instances": {"keypoints_3d": truth[i][None], **extra[1]},
        }
        metric.process(None, [sample])
    values = metric.evaluate(len(truth))
    return {name.removeprefix("hand/"): value for name, value in values.items()}


def test_the_truth_has_no_error() -> None:
    """0 mm, and 1 of everything else."""
    found = evaluated(hands(), hands())
    assert found == pytest.approx(
        {
            **{"RR-MPJPE": 0, "PA-MPJPE": 0, "AUC": 1, "PA-AUC": 1},
            **{"F@5_joints": 1, "F@15_joints": 1, "PA-F@5_joints": 1, "PA-F@15_joints": 1},
        },
        abs=1e-6,
    )


def test_turn_scale_and_shift_are_forgiven_by_procrustes_alone() -> None:
    """A hand turned by 40 degrees, 1.2 times as large, 30 mm away."""
    found = evaluated(1.2 * hands() @ rotation(40).T + [30.0, 0, 0], hands())
    assert found["PA-MPJPE"] == pytest.approx(0, abs=1e-6)
    assert found["PA-AUC"] == pytest.approx(1)
    assert found["PA-F@5_joints"] == pytest.approx(1)
    assert found["RR-MPJPE"] > 10
    assert found["AUC"] < 0.8


def test_a_mirrored_hand_is_not_forgiven() -> None:
    """`align` has no reflection."""
    assert evaluated(hands() * [-1, 1, 1], hands())["PA-MPJPE"] > 20


def test_a_shift_is_forgiven_by_the_wrist() -> None:
    """RR-MPJPE looks from each hand's own wrist; in the camera's frame the shift counts: (3, 4, 0) mm is 5 mm."""
    roots = np.array([[0.0, 0.0, 600.0]] * 3)
    found = evaluated(hands(), hands(), root_3d=(roots + np.array([3, 4, 0]), roots))
    assert found["MPJPE"] == pytest.approx(5)
    assert found["RR-MPJPE"] == pytest.approx(0)


def test_a_prediction_that_puts_the_wrist_elsewhere_is_moved_back() -> None:
    """The same shift inside keypoints_3d."""
    assert evaluated(hands() + np.array([3.0, 4, 0]), hands())["RR-MPJPE"] == pytest.approx(0, abs=1e-9)


def test_without_a_predicted_root_there_is_no_error_in_the_camera_s_frame() -> None:
    """Left out, not 0."""
    assert "MPJPE" not in evaluated(hands(), hands())


def test_a_mean_by_hand() -> None:
    """One fingertip of 21 joints 42 mm off: 2 mm; AUC (20 + that joint's) / 21."""
    found = hands(1)
    found[0, 4, 2] += 42
    values = evaluated(found, hands(1))
    assert values["RR-MPJPE"] == pytest.approx(2)
    # thresholds 50 i / 99: 42 mm is reached from i = 84 on: half a step, then 84 to 99
    assert values["AUC"] == pytest.approx((20 + (0.5 + 15) / 99) / 21)


def test_the_area_of_a_constant_error() -> None:
    """10 mm: reached from i = 20 on (10.1 mm; 9.6 mm before): 0.5 + 79 of 99 steps.  Two errors: their mean."""
    assert pck_auc(np.array([10.0])) == pytest.approx(79.5 / 99)
    assert pck_auc(np.array([10.0, 0.0])) == pytest.approx((79.5 / 99 + 1) / 2)
    assert pck_auc(np.array([50.0])) == pytest.approx(0.5 / 99)
    assert np.isnan(pck_auc(np.zeros(0)))


def test_f_scores_by_hand() -> None:
    """Of 4 found points 2 lie near one of 3 true ones, and 1 true one is met: 2 (1/2) (1/3) / (1/2 + 1/3) = 0.4."""
    truth = np.array([[0.0, 0, 0], [100, 0, 0], [200, 0, 0]])
    found = np.array([[1.0, 0, 0], [-1.0, 0, 0], [50, 0, 0], [150, 0, 0]])
    assert f_score(found, truth, 5.0) == pytest.approx(0.4)
    assert f_score(found, truth, 60.0) == 1
    assert f_score(found + 1000, truth, 5.0) == 0
    assert f_score(np.array([[5.0, 0, 0]]), np.zeros((1, 3)), 5.0) == 0  # nearer than, not at


def test_vertices_take_the_place_of_joints_in_f_scores() -> None:
    """All vertices 10 mm off, wrist and joints not: next to none within 5 mm, all within 15 mm."""
    vertices = np.random.default_rng(1).uniform(-500, 500, (3, 40, 3))
    shifted = vertices + np.array([0.0, 0, 10.0])
    found = evaluated(hands(), hands(), vertices_3d=(shifted, vertices))
    assert found["RR-MPVPE"] == pytest.approx(10)
    assert found["PA-MPVPE"] == pytest.approx(0, abs=1e-6)
    assert found["F@15_vertices"] == 1
    assert found["F@5_vertices"] < 0.05
    assert found["PA-F@5_vertices"] == pytest.approx(1)
    assert not [name for name in found if name.endswith("_joints")]


def test_means_are_mmpose_s_own() -> None:
    """The same figures as MMPose's MPJPE metric on the same joints."""
    from mmpose.evaluation.metrics import MPJPE

    found, truth = hands() + np.random.default_rng(2).normal(0, 8, (3, 21, 3)), hands()
    found -= found[:, :1]
    for mode, name in (("mpjpe", "RR-MPJPE"), ("p-mpjpe", "PA-MPJPE")):
        theirs = MPJPE(mode=mode)
        for f, t in zip(found, truth, strict=True):
            gt = {"lifting_target": t[None], "lifting_target_visible": np.ones((1, 21))}
            sample = {"pred_instances": {"keypoints": f[None]}, "gt_instances": gt, "target_img_path": ["a_hand.jpg"]}
            theirs.process(None, [sample])
        assert evaluated(found, truth)[name] == pytest.approx(theirs.evaluate(3)[mode.upper()])


def test_alignment_gives_back_the_truth() -> None:
    """From a turned, scaled and shifted copy."""
    assert align(0.5 * hands() @ rotation(100).T + 7, hands()) == pytest.approx(hands(), abs=1e-6)


def test_keypoints_in_space_and_tensors_will_do() -> None:
    """`keypoints` of three coordinates, as tensors."""
    metric = HandPose3DMetric()
    truth = torch.from_numpy(hands(1))
    metric.process(None, [{"pred_instances": {"keypoints": truth}, "gt_instances": {"keypoints_3d": hands(1)}}])
    assert metric.evaluate(1)["hand/RR-MPJPE"] == 0


@pytest.mark.parametrize(
    ("found", "truth", "words"),
    [
        ({"keypoints_3d": hands(1)}, {"keypoints": hands(1)}, "image 7 has no keypoints_3d"),
        ({"scores": 1}, {"keypoints_3d": hands(1)}, "image 7 has no keypoints in space"),
        ({"keypoints": hands(1)[..., :2]}, {"keypoints_3d": hands(1)}, r"\(1, 21, 2\); expected \(1, K, 3\)"),
        ({"keypoints": hands(1)[:, :20]}, {"keypoints_3d": hands(1)}, r"\(1, 20, 3\).*\(1, 21, 3\)"),
        ({"keypoints": hands(1) * np.nan}, {"keypoints_3d": hands(1)}, "image 7.*not a finite number"),
    ],
)
def test_what_cannot_be_measured_is_an_error(found: dict[str, Any], truth: dict[str, Any], words: str) -> None:
    """The image, what is there and what was expected."""
    with pytest.raises(DataError, match=words):
        HandPose3DMetric().process(None, [{"img_id": 7, "pred_instances": found, "gt_instances": truth}])


def test_mmpose_builds_it_by_name() -> None:
    """In METRICS."""
    from mmpose.registry import METRICS

    assert isinstance(METRICS.build(dict(type="HandPose3DMetric")), HandPose3DMetric)
