"""HandAR's layout and forward pass, written once more from the facts, the graph vertex by vertex."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from official_parts import (
    Shapes,
    Weights,
    bn,
    c1,
    c2,
    conv,
    deconvolved,
    linear,
    lixel_shapes,
    lixels,
    norm,
    resnet_shapes,
    stages,
)
from torch import Tensor

SMALL = dict(size=16, blocks=(1, 1, 1, 1), width=4, channels=6, vertices=12, vector=5, graph=6, hidden=9)
FACES = torch.tensor([[0, 1, 2], [2, 1, 3], [3, 4, 5], [5, 4, 6], [7, 8, 9], [9, 8, 10], [0, 10, 11]])


def gin(p: str, inputs: int, hidden: int, outputs: int) -> Shapes:
    return {f"{p}.eps": (1,)} | conv(p + ".nn.0", inputs, hidden) | conv(p + ".nn.2", hidden, outputs)


def shapes(
    size: int, blocks: Any, width: int, channels: int, vertices: int, vector: int, graph: int, hidden: int
) -> Shapes:
    """The official parts that run."""
    features = 32 * width
    lookup = 3 + 3 + width + width + 4 * width + vector
    found = {
        **resnet_shapes("pose_backbone.", width, blocks),
        **{k: v for k, v in lixel_shapes("posenet.", 1, features, size, channels).items() if "deconv" in k},
        **conv("posenet.conv.0", channels, width, 3, 3),
        **norm("posenet.conv.1", width),
        **resnet_shapes("mesh_backbone.", width, blocks),
        **lixel_shapes("mesh_net.", vertices, features, size, channels),
        **conv("global_img_feat.0.0", features, vector, 1),
        **gin("gcn.head.conv", lookup, hidden, graph),
        **norm("gcn.head.bn", graph),
    }
    for i in (1, 2, 3):
        for j in (1, 2):
            found |= gin(f"gcn.res{i}.conv{j}", graph, graph, graph) | norm(f"gcn.res{i}.bn{j}", graph)
    return found | gin("gcn.tail.conv", graph, graph // 2, 3)


def dead_shapes(
    size: int, blocks: Any, width: int, channels: int, vertices: int, vector: int, graph: int, hidden: int
) -> Shapes:
    """What a real file holds besides, of which nothing has a part in the joints: 21 joints' lixel layers, I2L's joining
    convolution (1408 channels in, at the published size), the last graph layer's norm, and the segmentation.
    """
    return {
        **conv("posenet.conv_x.0", channels, 21, 1),
        **conv("posenet.conv_y.0", channels, 21, 1),
        **conv("posenet.conv_z_1.0", 32 * width, channels * size, 1),
        **norm("posenet.conv_z_1.1", channels * size),
        **conv("posenet.conv_z_2.0", channels, 21, 1),
        **conv("pose2feat.conv.0", width + 21 * size, width, 3, 3),
        **norm("pose2feat.conv.1", width),
        **norm("gcn.tail.bn", 3),
        **conv("segmentation_net.up.0", width, width, 3, 3),
    }


def neighbours(faces: Tensor) -> list[set[int]]:
    found: list[set[int]] = [set() for _ in range(int(faces.max()) + 1)]
    for face in faces.tolist():
        for a in face:
            found[a] |= set(face) - {a}
    return found


def convolved(w: Weights, p: str, x: Tensor, rings: list[set[int]]) -> Tensor:
    """One graph convolution, vertex by vertex: x (B, V, C)."""
    rows = [(1 + w[p + ".eps"]) * x[:, v] + sum(x[:, n] for n in ring) for v, ring in enumerate(rings)]
    return linear(w, p + ".nn.2", linear(w, p + ".nn.0", torch.stack(rows, 1)).relu())


def unit(w: Weights, conv: str, norm: str, x: Tensor, rings: list[set[int]]) -> Tensor:
    y = convolved(w, conv, x, rings)
    return torch.stack([bn(w, norm, y[:, v]) for v in range(y.shape[1])], 1).relu()


def looked_up(feature: Tensor, cells: Tensor, size: int) -> Tensor:
    """(B, V, C), bilinear between the centres of pixels, nought outside; a cell is size(feature) / size pixels wide."""
    height, width = feature.shape[2:]
    x, y = cells[..., 0] * width / size - 0.5, cells[..., 1] * height / size - 0.5
    total = 0
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = x.floor() + dx, y.floor() + dy
            weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            picked = torch.stack(
                [
                    f[:, r.clamp(0, height - 1).long(), c.clamp(0, width - 1).long()].T
                    for f, r, c in zip(feature, row, column, strict=True)
                ]
            )
            total = total + picked * (weight * inside)[..., None]
    return total  # type: ignore[return-value]


def forward(w: Weights, images: Tensor, faces: Tensor, settings: Any, refined: bool = True) -> Tensor:
    size, blocks = settings["size"], settings["blocks"]
    early = bn(w, "pose_backbone.bn1", F.conv2d(images, w["pose_backbone.conv1.weight"], None, 2, 3)).relu()
    stem = F.max_pool2d(early, 3, 2, 1)
    deep = deconvolved(w, "posenet.", stages(w, "pose_backbone.", stem, blocks)[-1])
    joints = bn(w, "posenet.conv.1", c2(w, "posenet.conv.0", deep)).relu()
    maps = stages(w, "mesh_backbone.", stem + joints, blocks)
    rough = lixels(w, "mesh_net.", maps[-1], size)
    if not refined:
        return rough
    vector = c1(w, "global_img_feat.0.0", maps[-1].flatten(2).mean(2)[..., None])[..., 0]
    everywhere = vector[:, None].repeat(1, rough.shape[1], 1)
    x = torch.cat([rough, *(looked_up(f, rough, size) for f in (images, early, stem, maps[0])), everywhere], 2)
    rings = neighbours(faces)
    x = unit(w, "gcn.head.conv", "gcn.head.bn", x, rings)
    for i in (1, 2, 3):
        y = unit(w, f"gcn.res{i}.conv1", f"gcn.res{i}.bn1", x, rings)
        x = x + unit(w, f"gcn.res{i}.conv2", f"gcn.res{i}.bn2", y, rings)
    return rough + convolved(w, "gcn.tail.conv", x, rings)


def crop(cells: Tensor, size: int) -> Tensor:
    return torch.stack([cells[..., 0] / size, cells[..., 1] / size, (cells[..., 2] / size * 2 - 1) * 150], -1)
