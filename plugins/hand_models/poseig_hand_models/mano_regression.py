"""HandOccNet's way from heatmaps to MANO's parameters, and from these to a mesh."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .hourglass import Residual
from .rotations import axis_angles, rotations_from_6d, rotations_from_axis_angles
from .skinning import ManoLayer

__all__ = ["HeatmapEncoder", "ManoRegression"]

ROTATIONS = 16
PAIRS = 2  # residual modules before each halving


class HeatmapEncoder(nn.Module):
    """`hand_Encoder`: heatmaps and their feature as one vector.

    Args:
        joints: K, heatmaps.
        channels: of the feature.
        depth: how many times the map is halved.
    """

    def __init__(self, joints: int = 21, channels: int = 256, depth: int = 4) -> None:
        super().__init__()
        self.heatmap_conv, self.encoding_conv = nn.Conv2d(joints, channels, 1), nn.Conv2d(channels, channels, 1)
        self.reg = nn.ModuleList(Residual(channels) for _ in range(PAIRS * depth))

    def forward(self, heatmaps: Tensor, feature: Tensor) -> Tensor:
        """(B, K, n, n) and (B, C, n, n) -> (B, C (n / 2 ** depth) ** 2)."""
        x: Tensor = self.heatmap_conv(heatmaps) + self.encoding_conv(feature)
        for i, module in enumerate(self.reg):
            x = module(x)
            if i % PAIRS == PAIRS - 1:
                x = F.max_pool2d(x, 2)
        return x.flatten(1)


class ManoRegression(nn.Module):
    """`mano_regHead`: a vector to 16 rotations and a shape, and with MANO's arrays to a mesh.

    The fingers' mean pose is added to their axis-angle vectors, as MANO has it; the wrist's rotation, which has none,
    goes into the mesh as it is.

    Args:
        inputs: channels of the vector.
        neurons: of the two hidden layers.
        layer: MANO's; None: rotations and shape alone.
    """

    def __init__(self, inputs: int, neurons: Sequence[int], layer: ManoLayer | None) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for count in neurons:
            layers += [nn.Linear(inputs, count), nn.LeakyReLU()]
            inputs = count
        self.mano_base_layer = nn.Sequential(*layers)
        self.pose_reg, self.shape_reg = nn.Linear(inputs, 6 * ROTATIONS), nn.Linear(inputs, 10)
        self.mano_layer = layer

    def forward(self, vector: Tensor) -> dict[str, Tensor]:
        """(B, inputs) -> `pose` (B, 48) axis-angle without the mean, `shape` (B, 10); `vertices`, `joints`, m, with
        MANO.
        """
        x = self.mano_base_layer(vector)
        rotations = rotations_from_6d(self.pose_reg(x).unflatten(-1, (ROTATIONS, 6)))
        pose, shape = axis_angles(rotations), self.shape_reg(x)
        found = {"pose": pose.flatten(1), "shape": shape}
        if self.mano_layer is not None:
            fingers = rotations_from_axis_angles(pose[:, 1:] + self.mano_layer.th_hands_mean.unflatten(1, (-1, 3)))
            rotations = torch.cat([rotations[:, :1], fingers], 1)
            found["vertices"], found["joints"] = self.mano_layer(rotations, shape)
        return found
