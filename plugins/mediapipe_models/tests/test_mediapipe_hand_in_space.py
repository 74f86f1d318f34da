"""The hand in space: an upright crop, world coordinates in mm, and what the network finds on real hands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip("poseig_mediapipe_models.models", reason="mmpose cannot be imported")

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.datasets.transforms import TopdownAffine
from mmpose.registry import DATASETS, MODELS
from poseig_mediapipe_models.transforms import UprightHand
from poseig_mediapipe_models.world import BlazeHandWorldAdapter, BlazeHandWorldHead

from poseig_mm.errors import ConfigError, DataError, ShapeError


def _hand(angle: float) -> dict[str, Any]:
    """Points of an upright hand, turned clockwise in the picture by degrees, and the same in space with a depth."""
    points = np.zeros((21, 2))
    points[1:] = np.stack(np.meshgrid([-20, -10, 0, 20], [-30, -40, -50, -60, -70]), -1).reshape(20, 2)
    points[9] = (0, -40)  # the base of the middle finger straight above the wrist
    turn = cv2.getRotationMatrix2D((0, 0), -angle, 1.0)[:, :2]  # OpenCV's angles are counter-clockwise
    turned = points @ turn.T
    space = np.concatenate([turned, np.arange(21.0)[:, None]], 1)
    return {
        "img": np.zeros((300, 300, 3), dtype=np.uint8),
        "keypoints": (turned + 150)[None].astype(np.float32),
        "keypoints_visible": np.ones((1, 21), dtype=np.float32),
        "keypoints_3d": space[None].astype(np.float32),
    }


@pytest.mark.parametrize("angle", [0, 30, 90, -120, 180])
def test_however_a_hand_lies_its_crop_is_the_same(angle: float) -> None:
    """Wrist below the middle finger, joints over half the crop, a tenth of that below its middle; joints in space
    too.
    """
    results = TopdownAffine(input_size=(224, 224))(UprightHand().transform(_hand(angle)))
    points = results["transformed_keypoints"][0]
    assert points[9, 0] == pytest.approx(points[0, 0], abs=1e-2)
    assert points[9, 1] < points[0, 1]
    low, high = points.min(0), points.max(0)
    assert (high - low).max() == pytest.approx(112, abs=0.1)
    assert ((low + high) / 2)[1] - 112 == pytest.approx(11.2, abs=0.1)
    space = results["keypoints_3d"][0]
    np.testing.assert_allclose(space[:, :2] * 112 / 70, points - points[0], atol=0.05)  # 70 px are half of the crop
    np.testing.assert_array_equal(space[:, 2], np.arange(21))


def test_without_wrist_or_middle_finger_there_is_no_angle() -> None:
    hand = _hand(0)
    hand["keypoints_visible"][0, 9] = 0
    with pytest.raises(DataError, match="middle finger"):
        UprightHand().transform(hand)
    with pytest.raises(ConfigError, match="scale is 0"):
        UprightHand(scale=0)


def test_metres_become_millimetres_from_the_wrist() -> None:
    world = torch.arange(126.0).reshape(2, 63) / 1000
    head = BlazeHandWorldHead()
    joints = head.forward((world,))
    torch.testing.assert_close(joints[:, 1], torch.full((2, 3), 3.0))
    torch.testing.assert_close(joints[1, 20], torch.full((3,), 60.0))
    assert joints[:, 0].abs().max() == 0
    (first, _) = head.predict((world,), None)
    np.testing.assert_allclose(first.keypoints, joints[:1])
    with pytest.raises(ShapeError, match="world"):
        head.forward((torch.zeros(2, 42),))


@pytest.fixture(scope="module")
def config(wheel: Path, configs: Path, shared: Path) -> Config:
    """The config of InterHand2.6M's samples."""
    pytest.importorskip("poseig_hand_models.interhand", reason="poseig-hand-models is not installed")
    config = Config.fromfile(configs / "interhand" / "blazehand_world_224x224.py")
    config.test_dataloader.dataset.data_root = str(shared / "data" / "interhand2.6m")
    init_default_scope("mmpose")
    return config


def test_real_hands_are_found(config: Config) -> None:
    """Six hands of four pictures: on average within 45 mm of the truth, and within 20 mm once turned and scaled onto
    it.
    """
    from mmpose.evaluation.functional import keypoint_mpjpe

    adapter = BlazeHandWorldAdapter(MODELS.build(config.model).eval())
    dataset = DATASETS.build(config.test_dataloader.dataset)
    raw, aligned = [], []
    for packed in dataset:
        data = adapter.model.data_preprocessor({"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]})
        with torch.no_grad():
            found = adapter(data["inputs"])
        truth = packed["data_samples"].gt_instances.keypoints_3d
        assert (adapter.unit, found.coords.shape) == ("mm", truth.shape)
        for errors, how in ((raw, "none"), (aligned, "procrustes")):
            errors.append(keypoint_mpjpe(found.coords.numpy(), truth, np.ones((1, 21), dtype=bool), how))
    assert len(raw) == 6
    assert np.mean(raw) < 45
    assert np.mean(aligned) < 20
