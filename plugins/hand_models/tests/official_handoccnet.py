"""HandOccNet's layout and forward pass, written once more from the facts, by weights' names and torch's functions."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from official_parts import Shapes, Weights, bn, c2, conv, linear, norm, random_weights, resnet_shapes, stages
from poseig_hand_models.skinning import ManoLayer
from poseig_hand_models.template import synthetic_hand
from torch import Tensor

SMALL = dict(size=8, blocks=(1, 1, 1, 1), width=4, channels=8, depth=3, neurons=(16, 12), heads=2)
FULL = dict(size=32, blocks=(3, 4, 6, 3), width=64, channels=256, depth=4, neurons=(1024, 512), heads=4)
INSIDE = "regressor.mano_regHead.mano_layer."


def block_shapes(p: str, size: int, channels: int, injection: bool) -> Shapes:
    names = ["query", "key", "value"] + ["query2", "key2"] * injection
    found: Shapes = {}
    for name in names:
        found |= conv(f"{p}encode_{name}", channels, channels, 1, 1)
    found |= {f"{p}{x}_embedding": (1, channels, size, size) for x in ("q", "k")}
    found |= {f"{p}norm2.weight": (channels,), f"{p}norm2.bias": (channels,)}
    return found | conv(p + "mlp.fc1", channels, 4 * channels) | conv(p + "mlp.fc2", 4 * channels, channels)


def bottleneck_shapes(p: str, channels: int, norms: tuple[str, ...] = ("bn1", "bn2", "bn3")) -> Shapes:
    half = channels // 2
    found = norm(p + norms[0], channels) | norm(p + norms[1], half) | norm(p + norms[2], half)
    found |= conv(p + "conv1", channels, half, 1, 1) | conv(p + "conv2", half, half, 3, 3)
    return found | conv(p + "conv3", half, channels, 1, 1)


def shapes(size: int, blocks: Any, width: int, channels: int, depth: int, neurons: Any, heads: int) -> Shapes:
    """The official parts but for MANO's buffers."""
    named = resnet_shapes("backbone.", width, blocks, stem="layer0.{}", stage="layer{}.0")
    found = {k.replace("layer0.conv1", "layer0.0").replace("layer0.bn1", "layer0.1"): v for k, v in named.items()}
    for name, factor in (("toplayer", 32), ("latlayer1", 16), ("latlayer2", 8), ("latlayer3", 4)):
        found |= conv(f"backbone.{name}", factor * width, channels, 1, 1)
    for name in ("smooth2", "smooth3"):
        found |= conv(f"backbone.{name}", channels, channels, 3, 3)
    gate = "backbone.attention_module.spatial."
    found |= conv(gate + "conv", 2, 1, 7, 7, bias=False) | norm(gate + "bn", 1)
    for i in range(2):
        found |= block_shapes(f"FIT.layers.{i}.", size, channels, True)
        found |= block_shapes(f"SET.layers.{i}.", size, channels, False)
    found |= conv("FIT.conv1.0", 2 * channels, channels, 3, 3) | conv("FIT.conv1.2", channels, channels, 3, 3)
    found |= conv("FIT.conv2.0", 2 * channels, channels, 1, 1)
    p = "regressor.hand_regHead."
    found |= {p + "betas": (21, 1), p + "uu": (size, size), p + "vv": (size, size)}
    for level in range(depth):
        for part in range(3 if level else 4):
            found |= bottleneck_shapes(f"{p}hg.0.hg.{level}.{part}.0.", channels)
    found |= bottleneck_shapes(p + "res.0.0.", channels)
    found |= conv(p + "fc.0.block.0", channels, channels, 1, 1) | norm(p + "fc.0.block.1", channels)
    found |= conv(p + "score.0", channels, 21, 1, 1)
    p = "regressor.hand_Encoder."
    found |= conv(p + "heatmap_conv", 21, channels, 1, 1) | conv(p + "encoding_conv", channels, channels, 1, 1)
    for i in range(2 * depth):
        found |= bottleneck_shapes(f"{p}reg.{i}.", channels, ("bn", "bn1", "bn2"))
    p, inputs = "regressor.mano_regHead.", channels * (size // 2**depth) ** 2
    for i, count in enumerate(neurons):
        found |= conv(f"{p}mano_base_layer.{2 * i}", inputs, count)
        inputs = count
    return found | conv(p + "pose_reg", inputs, 96) | conv(p + "shape_reg", inputs, 10)


def mano_shapes(vertices: int = 778, faces: int = 1538) -> Shapes:
    """The MANO layer's buffers, those without a part here among them."""
    return {
        "th_betas": (1, 10),
        "th_shapedirs": (vertices, 3, 10),
        "th_posedirs": (vertices, 3, 135),
        "th_v_template": (1, vertices, 3),
        "th_J_regressor": (16, vertices),
        "th_weights": (vertices, 16),
        "th_faces": (faces, 3),
        "th_hands_mean": (1, 45),
        "th_selected_comps": (45, 45),
    }


def drawn(settings: Any = SMALL, dtype: torch.dtype = torch.float64, seed: int = 0) -> dict[str, Tensor]:
    """Random weights; `uu` and `vv` are what they are in every file: cell centres."""
    weights = random_weights(shapes(**settings), seed, dtype)
    size = settings["size"]
    for name, axis in (("uu", 1), ("vv", 0)):
        grid = torch.meshgrid(*[(torch.arange(size, dtype=dtype) + 0.5) / size] * 2, indexing="ij")[axis]
        weights[f"regressor.hand_regHead.{name}"] = grid
    weights["regressor.hand_regHead.score.0.weight"] *= 0.15  # heatmaps of some cells, not of one
    weights["regressor.mano_regHead.shape_reg.weight"] *= 0.05
    return weights


def mano_weights(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """The synthetic hand as an official file has it, with tips where MANO's mesh has them."""
    layer = ManoLayer(faces=len(synthetic_hand().mano.faces)).to(dtype).fill(synthetic_hand().mano)
    return {f"{INSIDE}{k}": v for k, v in layer.state_dict().items()}


def attended(w: Weights, p: str, query: Tensor, key: Tensor, heads: int, injection: bool) -> Tensor:
    """One block, tokens and heads by loops: (B, C, n, n)."""
    b, c, n, _ = query.shape
    q, k = query + w[p + "q_embedding"], key + w[p + "k_embedding"]
    tokens = {
        name: c2(w, f"{p}encode_{name}", x).reshape(b, c, n * n)
        for name, x in (("query", q), ("key", k), ("value", key))
    }
    width = c // heads
    collected = []
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        scores = torch.einsum("bcq,bck->bqk", tokens["query"][:, part], tokens["key"][:, part]) / math.sqrt(width)
        weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
        if injection:
            q2, k2 = (c2(w, f"{p}encode_{s}2", x).reshape(b, c, -1)[:, part] for s, x in (("query", q), ("key", k)))
            second = torch.einsum("bcq,bck->bqk", q2, k2) / math.sqrt(width)
            weights = weights / (1 + torch.exp(-second.sum(-1, keepdim=True)))
        collected.append(torch.einsum("bqk,bck->bqc", weights, tokens["value"][:, part]))
    x = torch.cat(collected, -1)
    if not injection:
        x = x + query.reshape(b, c, -1).transpose(1, 2)
    mean, var = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    y = linear(w, p + "mlp.fc1", (x - mean) / (var + 1e-5).sqrt() * w[p + "norm2.weight"] + w[p + "norm2.bias"])
    y = y * 0.5 * (1 + torch.erf(y / math.sqrt(2)))
    return (x + linear(w, p + "mlp.fc2", y)).transpose(1, 2).reshape(b, c, n, n)


def bottleneck(w: Weights, p: str, x: Tensor, norms: tuple[str, ...] = ("bn1", "bn2", "bn3")) -> Tensor:
    y = x
    for i, name in enumerate(norms):
        y = c2(w, f"{p}conv{i + 1}", F.leaky_relu(bn(w, p + name, y), 0.01))
    return x + y


def hourglass(w: Weights, p: str, x: Tensor, level: int) -> Tensor:
    low = bottleneck(w, f"{p}{level}.1.0.", F.max_pool2d(x, 2))
    low = hourglass(w, p, low, level - 1) if level else bottleneck(w, f"{p}0.3.0.", low)
    low = bottleneck(w, f"{p}{level}.2.0.", low)
    return bottleneck(w, f"{p}{level}.0.0.", x) + low.repeat_interleave(2, 2).repeat_interleave(2, 3)


def forward(w: Weights, images: Tensor, settings: Any) -> dict[str, Tensor]:
    heads, depth = settings["heads"], settings["depth"]

    def act(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.01 * x)

    x = F.conv2d(images, w["backbone.layer0.0.weight"], None, 2, 3)
    x = F.max_pool2d(act(bn(w, "backbone.layer0.1", x)), 3, 2, 1)
    c = stages(w, "backbone.", x, settings["blocks"], act, "layer{}.0")
    p = c2(w, "backbone.toplayer", c[3])
    for i in (1, 2, 3):
        p = F.interpolate(p, scale_factor=2, mode="bilinear") + c2(w, f"backbone.latlayer{i}", c[3 - i])
    p = F.avg_pool2d(c2(w, "backbone.smooth3", p), 2)
    seen = torch.stack([p.max(1)[0], p.mean(1)], 1)
    gate = "backbone.attention_module.spatial."
    share = bn(w, gate + "bn", c2(w, gate + "conv", seen)).sigmoid()
    key, x = p * share, p * (1 - share)
    for i in range(2):
        x = attended(w, f"FIT.layers.{i}.", x, key, heads, True)
    both = torch.cat([key, x], 1)
    x = injected = c2(w, "FIT.conv1.2", c2(w, "FIT.conv1.0", both).relu()) + c2(w, "FIT.conv2.0", both)
    for i in range(2):
        x = attended(w, f"SET.layers.{i}.", x, injected, heads, False)
    p = "regressor.hand_regHead."
    x = bottleneck(w, p + "res.0.0.", hourglass(w, p + "hg.0.hg.", x, depth - 1))
    feature = F.leaky_relu(bn(w, p + "fc.0.block.1", c2(w, p + "fc.0.block.0", x)), 0.01)
    scores = (c2(w, p + "score.0", feature) * w[p + "betas"][:, :, None]).exp()
    heatmaps = scores / scores.sum((2, 3), keepdim=True)
    centres = (torch.arange(heatmaps.shape[-1]).to(heatmaps) + 0.5) / heatmaps.shape[-1]
    uv = torch.stack([(heatmaps.sum(2) * centres).sum(-1), (heatmaps.sum(3) * centres).sum(-1)], -1)
    p = "regressor.hand_Encoder."
    x = c2(w, p + "heatmap_conv", heatmaps) + c2(w, p + "encoding_conv", feature)
    for i in range(depth):
        for j in (0, 1):
            x = bottleneck(w, f"{p}reg.{2 * i + j}.", x, ("bn", "bn1", "bn2"))
        x = F.max_pool2d(x, 2)
    x = x.reshape(len(x), -1)
    p = "regressor.mano_regHead."
    for i in range(len(settings["neurons"])):
        x = act(linear(w, f"{p}mano_base_layer.{2 * i}", x))
    return {"uv": uv, "six": linear(w, p + "pose_reg", x).reshape(-1, 16, 6), "shape": linear(w, p + "shape_reg", x)}
