"""Every family of heads that finds several persons in an image, on a backbone of a few thousand weights, random
weights.
"""

from __future__ import annotations

import copy
from importlib.metadata import version
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from poseig_mm.adapters.build_model import build_model
from poseig_mm.adapters.instances import InstanceAdapter
from poseig_mm.adapters.plugin import poseig_register_adapters
from poseig_mm.adapters.select import select_adapter

K = 5
SIZE = (96, 64)  # (w, h)
MAP = (24, 16)  # (w, h), stride 4
STEM = {"type": "ResNet", "depth": 18, "num_stages": 1, "strides": (1,), "dilations": (1,), "out_indices": (0,),
        "base_channels": 20, "stem_channels": 20}  # fmt: skip
PYRAMID = {"type": "ResNet", "depth": 18, "base_channels": 4, "stem_channels": 4}
MAPPER = {"type": "ChannelMapper", "kernel_size": 1, "act_cfg": None, "norm_cfg": {"type": "BN"}}
LOSSES = {"loss_cls": {"type": "BCELoss"}, "loss_bbox": {"type": "IoULoss"}, "loss_obj": {"type": "BCELoss"},
          "loss_oks": {"type": "OKSLoss", "metainfo": "configs/_base_/datasets/coco.py"},
          "loss_vis": {"type": "BCELoss"},
          "assigner": {"type": "SimOTAAssigner", "dynamic_k_indicator": "oks"}}  # fmt: skip

AE = {"type": "AssociativeEmbedding", "input_size": SIZE, "heatmap_size": MAP, "sigma": 2.0, "decode_nms_kernel": 5,
      "decode_keypoint_order": list(range(K)), "decode_topk": 6, "decode_max_instances": 6}  # fmt: skip
SPR = {"type": "SPR", "input_size": SIZE, "heatmap_size": MAP, "sigma": (4, 2), "generate_keypoint_heatmaps": True,
       "decode_max_instances": 6}  # fmt: skip
DECOUPLED = {"type": "DecoupledHeatmap", "input_size": SIZE, "heatmap_size": MAP}

FAMILIES: dict[str, dict[str, Any]] = {
    "associative_embedding": {
        "head": {"type": "AssociativeEmbeddingHead", "in_channels": 20, "num_keypoints": K, "tag_dim": 1,
                 "deconv_out_channels": None, "deconv_kernel_sizes": None, "decoder": AE},
    },
    "associative_embedding-udp": {
        "head": {"type": "AssociativeEmbeddingHead", "in_channels": 20, "num_keypoints": K, "tag_per_keypoint": False,
                 "deconv_out_channels": None, "deconv_kernel_sizes": None,
                 "decoder": {**AE, "use_udp": True, "decode_center_shift": 0.5}},
    },
    "dekr": {
        "neck": {"type": "FeatureMapProcessor", "concat": True},
        "head": {"type": "DEKRHead", "in_channels": 20, "num_keypoints": K, "num_heatmap_filters": 8,
                 "num_displacement_filters_per_keypoint": 3, "decoder": SPR},
        "test_cfg": {"flip_test": True, "nms_dist_thr": 0.05},
    },
    "cid": {
        "neck": {"type": "FeatureMapProcessor", "concat": True},
        "head": {"type": "CIDHead", "in_channels": 20, "num_keypoints": K, "gfd_channels": 8, "decoder": DECOUPLED},
        "test_cfg": {"flip_test": True, "max_instances": 6},
    },
    "yolox_pose": {
        "backbone": {**PYRAMID, "out_indices": (1, 2, 3)},
        "neck": {**MAPPER, "in_channels": [8, 16, 32], "out_channels": 16, "num_outs": 3},
        "head": {"type": "YOLOXPoseHead", "num_keypoints": K, "featmap_strides": (8, 16, 32),
                 "head_module_cfg": {"num_classes": 1, "in_channels": 16, "feat_channels": 16, "stacked_convs": 1},
                 "prior_generator": {"type": "MlvlPointGenerator", "offset": 0, "strides": [8, 16, 32]}, **LOSSES},
        "test_cfg": {"score_thr": 0.01, "nms_thr": 0.65},
    },
    "rtmo": {
        "backbone": {**PYRAMID, "out_indices": (2, 3)},
        "neck": {**MAPPER, "in_channels": [16, 32], "out_channels": 32, "num_outs": 2},
        "head": {"type": "RTMOHead", "num_keypoints": K, "featmap_strides": (16, 32),
                 "head_module_cfg": {"num_classes": 1, "in_channels": 16, "cls_feat_channels": 8,
                                     "channels_per_group": 8, "pose_vec_channels": 16, "stacked_convs": 1},
                 "prior_generator": {"type": "MlvlPointGenerator", "centralize_points": True, "strides": [16, 32]},
                 "dcc_cfg": {"in_channels": 16, "feat_channels": 16, "num_bins": (24, 32), "spe_channels": 16,
                             "gau_cfg": {"s": 16, "expansion_factor": 2, "dropout_rate": 0.0, "drop_path": 0.0,
                                         "act_fn": "SiLU", "pos_enc": "add"}},
                 **{k: v for k, v in LOSSES.items() if k != "loss_obj"}},
        "test_cfg": {"score_thr": 0.01, "nms_thr": 0.65},
    },
    "edpose": {
        "backbone": {**PYRAMID, "out_indices": (1, 2, 3)},
        "neck": {**MAPPER, "in_channels": [8, 16, 32], "out_channels": 256, "num_outs": 4},
        "head": {"type": "EDPoseHead", "num_queries": 20, "num_feature_levels": 4, "num_keypoints": K,
                 "as_two_stage": True,
                 "encoder": {"num_layers": 1, "layer_cfg": {
                     "self_attn_cfg": {"embed_dims": 256, "num_heads": 2, "batch_first": True},
                     "ffn_cfg": {"embed_dims": 256, "feedforward_channels": 32}}},
                 "decoder": {"num_layers": 3, "embed_dims": 256, "query_dim": 4, "num_feature_levels": 4,
                             "num_group": 6, "num_dn": 6, "num_box_decoder_layers": 1, "return_intermediate": True,
                             "layer_cfg": {
                                 "self_attn_cfg": {"embed_dims": 256, "num_heads": 2, "batch_first": True},
                                 "cross_attn_cfg": {"embed_dims": 256, "num_heads": 2, "batch_first": True},
                                 "ffn_cfg": {"embed_dims": 256, "feedforward_channels": 32}}},
                 "out_head": {"num_classes": 2, "num_pred_layer": 3, "num_queries": 20},
                 "positional_encoding": {"num_pos_feats": 128, "temperatureH": 20, "temperatureW": 20,
                                         "normalize": True},
                 "denosing_cfg": {"dn_labelbook_size": 100},
                 "data_decoder": {"type": "EDPoseLabel", "num_select": 4, "num_keypoints": K}},
        "test_cfg": {"flip_test": False},
    },
}  # fmt: skip

SINCE = {"rtmo": "1.3"}  # MMPose's version that brought the family, where an older one is supported


def needs_family(family: str) -> None:
    """Skip the test where this MMPose is too old to have it."""
    from mmengine.utils import digit_version

    if family in SINCE and digit_version(version("mmpose")) < digit_version(SINCE[family]):
        pytest.skip(f"MMPose {version('mmpose')} has no {family}; {SINCE[family]} has")


def instance_config(family: str, joints: int = K) -> Any:
    """The mmengine config of one of `FAMILIES`, for so many joints."""
    from mmengine.config import Config

    needs_family(family)
    model = {
        "type": "BottomupPoseEstimator",
        "data_preprocessor": {"type": "PoseDataPreprocessor", "mean": [123.675, 116.28, 103.53],
                              "std": [58.395, 57.12, 57.375], "bgr_to_rgb": True},
        "backbone": STEM,
        "test_cfg": {"flip_test": True},
        **FAMILIES[family],
    }  # fmt: skip
    head = model["head"] = {**model["head"], "num_keypoints": joints}
    if "decode_keypoint_order" in head.get("decoder", {}):
        head["decoder"] = {**head["decoder"], "decode_keypoint_order": list(range(joints))}
    return Config({"model": copy.deepcopy(model)})


def instance_model(family: str, seed: int = 0, joints: int = K) -> Any:
    """A model with random weights that keep the signal's size from layer to layer."""
    torch.manual_seed(seed)
    model = build_model(instance_config(family, joints))
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2:
            nn.init.kaiming_normal_(parameter)
        if "out_bbox" in name or "out_kpt" in name:
            with torch.no_grad():
                parameter.mul_(0.1)  # boxes and poses about as large as the image
        if "out_cls.0.bias" in name or "out_obj" in name:
            nn.init.zeros_(parameter)
    return model


def instance_adapter(family: str, seed: int = 0, **options: Any) -> InstanceAdapter:
    """The adapter that is chosen for such a model, bound to nobody."""
    model = instance_model(family, seed)
    chosen = select_adapter(model, {adapter.name: adapter for adapter in poseig_register_adapters()})
    adapter = chosen(model, **options)
    assert isinstance(adapter, InstanceAdapter)
    return adapter


def instance_image(seed: int = 0) -> Tensor:
    """(1, 3, H, W): smooth noise, normalised."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 3, 8, 12, generator=generator)
    return nn.functional.interpolate(coarse, SIZE[::-1], mode="bilinear")
