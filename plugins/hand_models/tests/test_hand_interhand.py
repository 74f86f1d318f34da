"""Single hands of InterHand2.6M, on MMPose's own samples of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mmpose", reason="mmpose cannot be imported")

from poseig_hand_models.interhand import InterHandSingle3DDataset


@pytest.fixture(scope="module")
def dataset() -> InterHandSingle3DDataset:
    folder = Path(__file__).parents[3].parent / "shared" / "data" / "interhand2.6m"
    if not folder.is_dir():
        pytest.skip(f"sample data not found at {folder}")
    names = {"ann_file": "data", "camera_param_file": "camera", "joint_file": "joint_3d"}
    files = {key: f"test_interhand2.6m_{name}.json" for key, name in names.items()}
    return InterHandSingle3DDataset(**files, data_root=str(folder), data_prefix={"img": ""}, test_mode=True)


def test_every_annotated_hand_is_an_entry(dataset: InterHandSingle3DDataset) -> None:
    """Two pictures of both hands, one of a left and one of a right hand; ids are unique."""
    sides = [dataset.get_data_info(i)["hand_side"] for i in range(len(dataset))]
    assert sides == ["right", "left", "right", "left", "left", "right"]
    assert len({dataset.get_data_info(i)["id"] for i in range(6)}) == 6


def test_joints_are_in_freihands_order(dataset: InterHandSingle3DDataset) -> None:
    """Along each finger bones grow shorter from the knuckle on, and the five chains start at the wrist."""
    for i in range(len(dataset)):
        joints = dataset.get_data_info(i)["keypoints_3d"][0]
        assert np.abs(joints[0]).max() == 0
        for base in (5, 9, 13, 17):
            lengths = [np.linalg.norm(joints[base])]
            lengths += [np.linalg.norm(joints[base + n + 1] - joints[base + n]) for n in range(3)]
            assert lengths[0] > lengths[1] > max(lengths[2:])


def test_joints_in_space_project_onto_those_in_the_picture(dataset: InterHandSingle3DDataset) -> None:
    """Weak perspective around the wrist: the same similarity for all joints, to the perspective of a hand at a
    metre.
    """
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        flat, space = info["keypoints"][0] - info["keypoints"][0, 0], info["keypoints_3d"][0, :, :2]
        scale = (flat * space).sum() / (space**2).sum()  # px a mm
        assert np.abs(flat - scale * space).max() < 0.15 * np.abs(flat).max()
