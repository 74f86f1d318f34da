"""Configs as users bring them: of other versions, with other forms of dataloaders, with weights not loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_models import HEATMAP_HEAD, MSRA, tiny_config

from poseig_mm.adapters.build_model import build_model
from poseig_mm.errors import ConfigError

pytestmark = pytest.mark.usefixtures("mmpose_ready")


@pytest.mark.parametrize(
    "loader",
    [
        [{"dataset": {"type": "CocoDataset"}}, {"dataset": {"type": "MpiiDataset"}}],
        {"dataset": [{"type": "CocoDataset"}]},
        {"dataset": {"type": "CocoDataset", "metainfo": "coco.py"}},
        {"dataset": {"type": "CocoDataset", "metainfo": ["nose"]}},
        {"dataset": {"type": "CocoDataset", "metainfo": {"keypoint_info": ["nose"]}}},
        {"dataset": {"type": 3}},
        {"dataset": "coco"},
        "coco",
        3,
    ],
)
@pytest.mark.parametrize("split", ["test", "val", "train"])
def test_names_are_never_a_reason_not_to_build(loader: Any, split: str) -> None:
    """However a config's dataloader is written; of several, the first one's names."""
    config = tiny_config("heatmap-msra", head={**HEATMAP_HEAD, "out_channels": 17, "decoder": MSRA})
    config[f"{split}_dataloader"] = loader
    model = build_model(config)
    if isinstance(loader, list):
        assert model.dataset_meta["keypoint_id2name"][16] == "right_ankle"
    else:
        assert model.dataset_meta is None


OLD = {
    "type": "TopDown",
    "backbone": {"type": "ResNet", "depth": 50},
    "keypoint_head": {"type": "TopdownHeatmapSimpleHead", "in_channels": 2048, "out_channels": 17},
}


@pytest.mark.parametrize(
    "config",
    [
        {"model": OLD, "data": {"train": {}, "test": {"type": "TopDownCocoDataset"}}},
        {"model": OLD},
        {"model": {**OLD, "type": "BottomUp"}},
        {"model": {**OLD, "type": "PoseLifter"}},
        {"model": {"type": "ParametricMesh"}, "data": {"val": {}}},
        {"data": {"test": {"type": "TopDownCocoDataset"}}},
    ],
)
def test_configs_of_mmpose_0_are_said_to_be_such(config: Any, tmp_path: Path) -> None:
    """Wherever they come in: as a file or as a `Config`, to the model or to a run; with what to do."""
    from mmengine.config import Config

    from poseig_mm.run.open import load_config

    path = tmp_path / "old.py"
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in config.items()))
    for load, given in ((build_model, path), (build_model, Config(config)), (load_config, path)):
        with pytest.raises(ConfigError, match=r"MMPose 0\.x .*of MMPose 1\.x, td.*the checkpoint can be kept"):
            load(given)


def test_load_from_is_not_passed_over(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """Without a checkpoint the weights are random, whatever a training would begin with: said, with the command."""
    config = tiny_config("heatmap-msra", type="TopdownPoseEstimator")
    config.load_from = "weights/best.pth"
    model = build_model(config)
    assert model.random_weights
    (note,) = model.weights_notes
    assert "load_from = 'weights/best.pth'" in note
    assert note.endswith("weights/best.pth")
    assert note in caplog.text
    path = tmp_path / "model.pth"
    torch.save({"state_dict": model.state_dict()}, path)
    assert not any("load_from" in note for note in build_model(config, path).weights_notes)


@pytest.mark.parametrize(
    "backbone",
    [
        {"type": "mmcls.MobileNetV2", "widen_factor": 0.25, "out_indices": (6,)},
        {"type": "MobileNetV2", "_scope_": "mmcls", "widen_factor": 0.25, "out_indices": (6,)},
    ],
)
def test_any_class_of_mmclassification_is_mmpretrains(backbone: Any, tmp_path: Path) -> None:
    """By its scope, by the key of its scope, and where the config imports MMClassification's modules."""
    pytest.importorskip("mmpretrain", reason="MMPretrain is not installed")
    model = build_model(tiny_config("heatmap-msra", backbone=backbone))
    assert type(model.backbone).__module__.startswith("mmpretrain.")
    config = tmp_path / "config.py"
    tiny_config("heatmap-msra", backbone=backbone).dump(config)
    config.write_text("custom_imports = dict(imports=['mmcls.models'])\n" + config.read_text())
    assert type(build_model(config).backbone) is type(model.backbone)
