"""A tiny TransPose, alone and in a run of poseig_mm over the repository's drawn data set."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).parents[3]
# Input 64 x 64 px, 16 x 16 cells; it is appended to the config of `tests/helpers/tiny.py`.
NECK = (
    "model['neck'] = dict(type='TransPoseEncoder', in_channels=8, in_featuremap_size=(16, 16), channels=16, hidden=24, "
    "heads=2, layers=2)\nmodel['head']['in_channels'] = 16\n"
)


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """`tests/helpers/tiny.py`: a drawn data set of three persons, and a config of a tiny model over it."""
    path = ROOT / "tests" / "helpers" / "tiny.py"
    if not path.is_file():
        pytest.skip(f"no {path}: this distribution is tested alone")
    spec = importlib.util.spec_from_file_location("tiny", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model() -> Any:
    """A TransPose-R of two layers in float64, random weights with peaks, input 48 x 64 px (w x h), 6 x 8 cells."""
    import poseig_transpose.models  # noqa: F401
    from mmengine.registry import DefaultScope
    from mmpose.registry import MODELS

    torch.manual_seed(0)
    codec = dict(type="MSRAHeatmap", input_size=(48, 64), heatmap_size=(12, 16), sigma=1.5)
    config = dict(
        type="TopdownPoseEstimator",
        data_preprocessor=dict(type="PoseDataPreprocessor", mean=[120.0] * 3, std=[60.0] * 3, bgr_to_rgb=True),
        backbone=dict(
            type="ResNet", depth=18, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,),
            base_channels=8, stem_channels=8,
        ),
        neck=dict(
            type="TransPoseEncoder", in_channels=16, in_featuremap_size=(6, 8), channels=16, hidden=24, heads=2,
            layers=2,
        ),
        head=dict(
            type="HeatmapHead", in_channels=16, out_channels=5, deconv_out_channels=(16,), deconv_kernel_sizes=(4,),
            decoder=codec,
        ),
    )  # fmt: skip
    with DefaultScope.overwrite_default_scope("mmpose"):
        found = MODELS.build(config)
    torch.nn.init.normal_(found.head.final_layer.weight, std=0.3)
    return found.double().eval()


@pytest.fixture(scope="session")
def made(tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The files of a run whose model is a tiny TransPose, with weights, and with the study switched on."""
    diagnosis = {
        "attribution": tiny.FAST,
        "indices": ["di"],
        "studies": [{"type": "attention", "joints": 2, "pictures": 2}],
        "plugins": ["poseig_transpose.plugin"],
    }
    found = tiny.tiny(tmp_path_factory.mktemp("transpose"), diagnosis, imports=("mmpose", "poseig_transpose.models"))
    found.config.write_text(found.config.read_text() + NECK)
    return found.train()
