"""Which published hand model a file is, by the names and shapes of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from poseig_mm.adapters.official_check import Published

__all__ = ["MODELS", "cmr_settings", "identify", "mobrecon_settings"]

Weights = Mapping[str, Tensor]
MODELS = "MobRecon, CMR, I2L-MeshNet, HandAR and HandOccNet"
CONFIGS = "configs/hand_models/"
VERTICES = 778  # of MANO's hand


def mobrecon_settings(official: Weights) -> dict[str, Any]:
    """Settings of `MobRecon` that a file of it needs."""
    return {
        "convolution": "dsconv" if any(".spatial_layer." in name for name in official) else "spiral",
        "projection": any(name.startswith("decoder3d.de_layer_conv.") for name in official),
    }


def cmr_settings(official: Weights) -> dict[str, Any]:
    """Settings of `CMR` that a file of it needs."""
    parts = {name.partition(".")[0] for name in official}
    return {
        "variant": "sg" if "mask_head" in parts else "pg" if "uv_prior_head" in parts else "g",
        "depth": 50 if any(name.endswith(".layer1.0.conv3.weight") for name in official) else 18,
        "attention": "attention" in parts,
    }


def identify(official: Weights) -> Published | None:
    """What a file is; None: none of `MODELS`.

    Args:
        official: weights by official name, as `convert.read_official` gives them.
    """
    parts = {name.partition(".")[0] for name in official}
    if {"backbone", "decoder3d"} <= parts:
        return _mobrecon(official)
    if parts & {"backbone_mesh", "backbone3"} and "de_layers" in parts:
        return _cmr(official)
    if {"posenet", "gcn", "mesh_net"} <= parts:
        what = "HandAR" + (", with its segmentation network" if "segmentation_net" in parts else "")
        layout = "one is known, a table of weights a part; triangles and regressor are your MANO_RIGHT.pkl's (--mano)"
        return Published("handar", what, layout, "HandAR", f"{CONFIGS}handar_256x256.py")
    if {"pose_net", "mesh_net"} <= parts:
        return _i2l_meshnet(official, parts)
    if {"FIT", "SET", "regressor"} <= parts:
        mano = any(".mano_layer." in name for name in official)
        layout = f"one is known, {'with' if mano else 'without'} the arrays of a MANO layer"
        return Published("handoccnet", "HandOccNet", layout, "HandOccNet", f"{CONFIGS}handoccnet_256x256.py")
    return None


def _mobrecon(official: Weights) -> Published:
    settings = mobrecon_settings(official)
    spiral = settings["convolution"] == "spiral"
    if settings["projection"]:
        layout = "training code mobrecon/ of April 2022 to 2 November 2023: set projection=True"
    elif any(name.startswith("backbone.reduce.") for name in official):
        layout = "training code mobrecon/ since 2 November 2023"
    else:
        layout = "cmr/, since December 2021, as the published files"
    what = f"MobRecon with {'spiral' if spiral else 'depth-wise separable spiral'} convolutions"
    config = f"{CONFIGS}mobrecon_{'' if spiral else 'dsconv_'}freihand-128x128.py"
    return Published("mobrecon", what, layout, "MobRecon", config)


def _cmr(official: Weights) -> Published:
    settings = cmr_settings(official)
    variant, depth = settings["variant"], settings["depth"]
    attention = "with" if settings["attention"] else "without"
    what = f"CMR-{variant.upper()} with ResNet-{depth}, {attention} attention"
    layout = "one is known, cmr/ of 2021"
    return Published("cmr", what, layout, "CMR", f"{CONFIGS}cmr_{variant}_res{depth}_freihand-224x224.py")


def _i2l_meshnet(official: Weights, parts: set[str]) -> Published:
    vertices = len(official["mesh_net.conv_x.0.weight"]) if "mesh_net.conv_x.0.weight" in official else VERTICES
    of_body = "" if vertices == VERTICES else f" of {vertices} vertices, which is no MANO hand (no model here takes it)"
    stage = "lixel stage, beside it the weights of the param stage" if "param_regressor" in parts else "lixel stage"
    mano = "with" if "human_model_layer" in parts else "without"
    layout = f"one is known, {mano} the arrays of a MANO layer"
    what = f"I2L-MeshNet{of_body}, {stage}"
    return Published("i2l_meshnet", what, layout, "I2LMeshNet", f"{CONFIGS}i2l_meshnet_256x256.py")
