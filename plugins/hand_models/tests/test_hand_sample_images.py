"""MMPose's own sample pictures of hands, read for real through our configs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_files import source
from mmengine.config import Config
from mmengine.registry import init_default_scope
from poseig_hand_models.hand_camera import intrinsics, project

from poseig_mm.compat import prepare_environment

prepare_environment()
ROOT = Path(__file__).parents[3]
DATA = ROOT.parent / "shared" / "data"
CONFIGS = ROOT / "configs/hand_models/_base_"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"sample data not found at {DATA}")


@pytest.fixture(autouse=True)
def _mmpose_scope() -> None:
    init_default_scope("mmpose")


def dataset(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The test data of one of our configs over the sample pictures."""
    monkeypatch.setenv("POSEIG_DATA", str(DATA))
    return Config.fromfile(CONFIGS / f"samples_{name}.py").test_dataloader.dataset


@needs_data
def test_eight_pictures_of_freihand(monkeypatch: pytest.MonkeyPatch) -> None:
    """21 joints of each, all in the picture, at the same pixels as annotated: the input is the picture."""
    samples = source(dataset("freihand2d", monkeypatch))
    assert len(samples) == 8
    assert samples.groups.group_names == ("wrist", "MCP", "PIP", "DIP", "TIP")
    for i in range(8):
        sample = samples.load(i)
        assert sample.keypoints.shape == (21, 2)
        assert sample.visible.all()
        assert sample.image.shape == (3, 224, 224)
        assert sample.image.std() > 0.05
        assert sample.inverse_warp == pytest.approx(np.array([[1.0, 0, 0], [0, 1, 0]]), abs=1e-4)


@needs_data
def test_four_pictures_of_interhand(monkeypatch: pytest.MonkeyPatch) -> None:
    """42 joints; two pictures with both hands, one with the left alone, one with the right; hands' groups on both
    sides.
    """
    samples = source(dataset("interhand2d", monkeypatch))
    assert len(samples) == 4
    assert not samples.groups.derived
    assert set(samples.groups.group_of) == {"wrist", "MCP", "PIP", "DIP", "TIP"}
    annotated = []
    for i in range(4):
        sample = samples.load(i)
        assert sample.image.shape == (3, 256, 256)
        assert sample.mask is None  # InterHand2.6M has none
        given = sample.keypoints.isfinite().all(1)
        annotated.append((int(given[:21].sum()), int(given[21:].sum())))  # right, left
        assert sample.visible.sum() >= 20
    assert sorted(annotated) == [(0, 21), (21, 0), (21, 21), (21, 21)]


@needs_data
def test_interhand_has_its_truth_in_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """`keypoints_cam` (1, 42, 3) mm, camera frame: it projects to the keypoints, and hands are as large as hands."""
    from mmpose.registry import DATASETS

    config = dataset("interhand2d", monkeypatch)
    config.update(type="InterHand3DDataset", pipeline=[])
    data = DATASETS.build(config)
    for i in range(4):
        info = data.get_data_info(i)
        joints, valid = info["keypoints_cam"], info["keypoints_visible"][0] > 0
        assert joints.shape == (1, 42, 3)
        camera = intrinsics(*info["focal"], *info["principal_pt"])
        assert project(joints, camera)[0, valid] == pytest.approx(info["keypoints"][0, valid, :2], abs=1e-2)
        for first in (0, 21):  # each hand: tips first, the wrist last
            if valid[first : first + 21].all():
                reach = np.linalg.norm(joints[0, first : first + 20] - joints[0, first + 20], axis=-1)
                assert 100 < reach.max() < 260
