"""The five published models: their parts as MMPose configs, without data and training (configs/transpose/ has
those).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from poseig_mm.errors import ConfigError, did_you_mean

__all__ = ["VARIANTS", "Variant", "build_variant", "model_config"]


@dataclass(frozen=True)
class Variant:
    """One published model for inputs of 192 x 256 (w x h)."""

    width: int | None  # of HRNet's first branch; None: ResNet-50's first two stages
    channels: int  # of a token
    hidden: int
    heads: int
    layers: int


VARIANTS: Mapping[str, Variant] = {
    "r-a3": Variant(None, 256, 1024, 8, 3),
    "r-a4": Variant(None, 256, 1024, 8, 4),
    "h-s": Variant(32, 64, 128, 1, 4),
    "h-a4": Variant(48, 96, 192, 1, 4),
    "h-a6": Variant(48, 96, 192, 1, 6),
}


def model_config(name: str, joints: int = 17) -> dict[str, Any]:
    """MMPose's `model` of a variant.

    Raises:
        ConfigError: there is no such variant.

    >>> model_config('h-s')['neck']['in_featuremap_size']
    (48, 64)
    >>> model_config('h-5')
    Traceback (most recent call last):
        ...
    poseig_mm.errors.ConfigError: there is no TransPose model 'h-5'; did you mean 'h-s'?
    """
    if name not in VARIANTS:
        raise ConfigError(f"there is no TransPose model {name!r}; {did_you_mean(name, VARIANTS)}")
    variant = VARIANTS[name]
    resnet = variant.width is None
    return dict(
        type="TopdownPoseEstimator",
        data_preprocessor=dict(
            type="PoseDataPreprocessor", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
        ),
        backbone=_resnet() if variant.width is None else _hrnet(variant.width),
        neck=dict(
            type="TransPoseEncoder",
            in_channels=512 if variant.width is None else variant.width,
            in_featuremap_size=(24, 32) if resnet else (48, 64),
            channels=variant.channels,
            hidden=variant.hidden,
            heads=variant.heads,
            layers=variant.layers,
        ),
        head=dict(
            type="HeatmapHead",
            in_channels=variant.channels,
            out_channels=joints,
            deconv_out_channels=(256,) if resnet else None,
            deconv_kernel_sizes=(4,) if resnet else None,
            loss=dict(type="KeypointMSELoss", use_target_weight=True),
            decoder=dict(type="UDPHeatmap", input_size=(192, 256), heatmap_size=(48, 64), sigma=2),
        ),
        test_cfg=dict(flip_test=True, flip_mode="heatmap", shift_heatmap=False),
    )


def build_variant(name: str, joints: int = 17) -> Any:
    """The MMPose model of a variant, with random weights.

    Raises:
        ConfigError: there is no such variant.
    """
    config = model_config(name, joints)
    from mmengine.registry import DefaultScope
    from mmpose.registry import MODELS

    from . import models  # noqa: F401  (fills the registry)

    with DefaultScope.overwrite_default_scope("mmpose"):
        return MODELS.build(config)


def _resnet() -> dict[str, Any]:
    return dict(type="ResNet", depth=50, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,))


def _hrnet(width: int) -> dict[str, Any]:
    def stage(modules: int, branches: int) -> dict[str, Any]:
        widths = tuple(width * 2**i for i in range(branches))
        return dict(
            num_modules=modules, num_branches=branches, block="BASIC", num_blocks=(4,) * branches, num_channels=widths
        )

    first = dict(num_modules=1, num_branches=1, block="BOTTLENECK", num_blocks=(4,), num_channels=(64,))
    return dict(type="HRNetStage3", extra=dict(stage1=first, stage2=stage(1, 2), stage3=stage(4, 3)))
