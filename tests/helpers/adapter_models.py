"""Every family of MMPose heads on a backbone of a few thousand weights: input 64 x 96 (w x h), five joints."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from poseig_mm.adapters.base import CoordinateAdapter
from poseig_mm.adapters.build_model import build_model
from poseig_mm.adapters.plugin import poseig_register_adapters
from poseig_mm.adapters.select import select_adapter

SHARED = Path(__file__).parents[3] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"sample data not found at {SHARED}")

K = 5
SIZE = (64, 96)  # (w, h)
MAP = (16, 24)  # (w, h) of the heatmaps, stride 4

MSRA = {"type": "MSRAHeatmap", "input_size": SIZE, "heatmap_size": MAP, "sigma": 2.0}
UDP = {"type": "UDPHeatmap", "input_size": SIZE, "heatmap_size": MAP, "sigma": 2.0}
MEGVII = {"type": "MegviiHeatmap", "input_size": SIZE, "heatmap_size": MAP, "kernel_size": 11}
REGRESSION = {"type": "RegressionLabel", "input_size": SIZE}
SIMCC = {"type": "SimCCLabel", "input_size": SIZE, "sigma": 6.0, "simcc_split_ratio": 2.0}
INTEGRAL = {**MSRA, "type": "IntegralRegressionLabel"}

DECONV = {"deconv_out_channels": (16, 16, 16), "deconv_kernel_sizes": (4, 4, 4)}
HEATMAP_HEAD = {"type": "HeatmapHead", "in_channels": 80, "out_channels": K, **DECONV}
VIPNAS_HEAD = {**HEATMAP_HEAD, "type": "ViPNASHead", "deconv_num_groups": (8, 8, 8)}
CPM_HEAD = {"type": "CPMHead", "in_channels": K, "out_channels": K, "num_stages": 2, "final_layer": None}
MSPN_HEAD = {"type": "MSPNHead", "num_stages": 1, "num_units": 2, "out_shape": (24, 16), "unit_channels": 16,
             "out_channels": K, "use_prm": True, "level_indices": [0, 1]}  # fmt: skip
SIMCC_HEAD = {"type": "SimCCHead", "in_channels": 80, "out_channels": K, "input_size": SIZE,
              "in_featuremap_size": (2, 3), "simcc_split_ratio": 2.0, "deconv_out_channels": None}  # fmt: skip
RTM_HEAD = {"in_channels": 80, "out_channels": K, "input_size": SIZE, "in_featuremap_size": (2, 3),
            "simcc_split_ratio": 2.0, "final_layer_kernel_size": 3,
            "gau_cfg": {"hidden_dims": 32, "s": 16, "expansion_factor": 2, "dropout_rate": 0.0, "drop_path": 0.0,
                        "act_fn": "SiLU", "use_rel_bias": True, "pos_enc": False},
            "loss": {"type": "KLDiscretLoss", "beta": 10.0, "label_softmax": True}}  # fmt: skip
INTEGRAL_HEAD = {"in_channels": 80, "in_featuremap_size": (2, 3), "num_joints": K, **DECONV, "decoder": INTEGRAL}
REGRESSION_HEAD = {"type": "RegressionHead", "in_channels": 80, "num_joints": K, "decoder": REGRESSION}

MOBILENET = {"type": "MobileNetV2", "widen_factor": 0.25, "out_indices": (6,)}
RESNET = {"type": "ResNet", "depth": 18, "out_indices": (2, 3)}
CPM = {"type": "CPM", "in_channels": 3, "out_channels": K, "feat_channels": 8, "num_stages": 2}
MSPN = {"type": "MSPN", "unit_channels": 16, "num_stages": 1, "num_units": 2, "num_blocks": [1, 1]}
POOLING = {"type": "GlobalAveragePooling"}

# name -> parts of the model's config
FAMILIES: dict[str, dict[str, Any]] = {
    "heatmap-msra": {"head": {**HEATMAP_HEAD, "decoder": MSRA}},
    "heatmap-unbiased": {"head": {**HEATMAP_HEAD, "decoder": {**MSRA, "unbiased": True}}},
    "heatmap-udp": {"head": {**HEATMAP_HEAD, "decoder": UDP}},
    "heatmap-megvii": {"head": {**HEATMAP_HEAD, "decoder": MEGVII}},
    "heatmap-combined": {
        "head": {**HEATMAP_HEAD, "out_channels": 3 * K, "decoder": {**UDP, "heatmap_type": "combined"}}
    },
    "vipnas": {"head": {**VIPNAS_HEAD, "decoder": MSRA}},
    "cpm": {"backbone": CPM, "head": {**CPM_HEAD, "decoder": {**MSRA, "heatmap_size": (8, 12)}}},
    "mspn": {"backbone": MSPN, "head": {**MSPN_HEAD, "decoder": MEGVII}},
    "simcc": {"head": {**SIMCC_HEAD, "decoder": SIMCC}},
    "rtmcc": {"head": {**RTM_HEAD, "type": "RTMCCHead", "decoder": SIMCC}},
    "rtmw": {"backbone": RESNET, "head": {**RTM_HEAD, "type": "RTMWHead", "in_channels": 512, "decoder": SIMCC}},
    "regression": {"neck": POOLING, "head": REGRESSION_HEAD},
    "rle": {"neck": POOLING, "head": {**REGRESSION_HEAD, "type": "RLEHead"}},
    "integral": {"head": {**INTEGRAL_HEAD, "type": "IntegralRegressionHead"}},
    "integral-debias": {"head": {**INTEGRAL_HEAD, "type": "IntegralRegressionHead", "debias": True, "beta": 2.0}},
    "dsnt": {"head": {**INTEGRAL_HEAD, "type": "DSNTHead"}},
    "vis-heatmap": {"head": {"type": "VisPredictHead", "pose_cfg": {**HEATMAP_HEAD, "decoder": MSRA}}},
    "vis-regression": {"neck": POOLING, "head": {"type": "VisPredictHead", "pose_cfg": REGRESSION_HEAD}},
}  # fmt: skip
OWN_COORDINATES = ("regression", "rle", "integral", "integral-debias", "dsnt", "vis-regression")
EXPECTED = {"vipnas": "heatmap", "cpm": "heatmap", "mspn": "heatmap", "rtmcc": "simcc", "rtmw": "simcc",
            "rle": "regression", "dsnt": "integral", "vis-heatmap": "heatmap",
            "vis-regression": "regression"}  # fmt: skip


def adapters() -> dict[str, type[CoordinateAdapter]]:
    """The built-in ones, by name."""
    return {adapter.name: adapter for adapter in poseig_register_adapters()}


def tiny_config(family: str, **overrides: Any) -> Any:
    """The mmengine config of one of `FAMILIES`; `overrides` replace parts of the model."""
    from mmengine.config import Config

    model = {
        "type": "TopdownPoseEstimator",
        "data_preprocessor": {"type": "PoseDataPreprocessor", "mean": [123.675, 116.28, 103.53],
                              "std": [58.395, 57.12, 57.375], "bgr_to_rgb": True},
        "backbone": MOBILENET,
        "test_cfg": {"flip_test": True},
        **FAMILIES[family],
        **overrides,
    }  # fmt: skip
    return Config({"model": copy.deepcopy(model)})


def tiny_model(family: str, seed: int = 0, **overrides: Any) -> Any:
    """A model with random weights that keep the signal's size from layer to layer."""
    torch.manual_seed(seed)
    model = build_model(tiny_config(family, **overrides))
    for parameter in model.parameters():
        if parameter.ndim >= 2 and parameter.requires_grad:  # the others are constants, such as an integral's places
            nn.init.kaiming_normal_(parameter)
    return model


def tiny_adapter(family: str, *, beta: float | None = None, seed: int = 0, **overrides: Any) -> CoordinateAdapter:
    """The adapter that is chosen for such a model."""
    model = tiny_model(family, seed, **overrides)
    return select_adapter(model, adapters())(model, beta=beta)


def random_images(batch: int = 2, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """(B, 3, 96, 64), standard normal."""
    return torch.randn(batch, 3, SIZE[1], SIZE[0], generator=torch.Generator().manual_seed(seed), dtype=dtype)


def inject(adapter: CoordinateAdapter, output: Any) -> None:
    """Make the head's forward return `output` for whatever features, in `predict` as in the adapter: a trained head."""

    def cut(value: Any, batch: int) -> Any:
        return value[:batch].clone() if isinstance(value, Tensor) else type(value)(cut(v, batch) for v in value)

    def forward(feats: Any) -> Any:
        while not isinstance(feats, Tensor):
            feats = feats[-1]
        return cut(output, len(feats))

    adapter.head.forward = forward
