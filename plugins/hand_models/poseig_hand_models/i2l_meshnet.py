"""I2L-MeshNet's lixel stage as an MMPose backbone; the names of its parts are those of the official checkpoints.

Source: Moon and Lee, ECCV 2020; the layout of its files is that of github.com/mks0601/I2L-MeshNet_RELEASE (MIT).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError, did_you_mean

from .lixel import LixelNet, StemAndGaussians, joint_gaussians
from .lixel_output import in_the_crop
from .resnet import RESNET50, BottleneckResNet

prepare_environment()

from mmengine.model import BaseModule  # noqa: E402  (needs a prepared environment)
from mmpose.registry import MODELS  # noqa: E402

__all__ = ["I2LMeshNet"]

JOINTS = ("mesh", "pose_net")


@MODELS.register_module()
class I2LMeshNet(BaseModule):  # type: ignore[misc]  # mmengine is untyped
    """A first ResNet places the joints; their Gaussians and the first stem's feature go through a second one to the
    mesh.

    The original cuts the gradient between the two: Gaussians are made without one.  So what the gradient sees of an
    image passes `pose_backbone`'s stem alone, though the mesh also depends on the image by way of the joints, and an
    attribution is not complete (its residual says by how much).  `detach=False` is the whole derivative.

    Args:
        joints: what stands for the hand's joints: 'mesh' (a regressor on the mesh, for which the head needs one), or
            'pose_net', the first network's own, which needs no MANO data.
        detach: cut the gradient where the original does.
        num_joints: K.
        vertices: V.
        size: cells of the grid along each direction; the input has 4 times as many pixels.
        sigma: of the Gaussians, cells.
        blocks, width, channels: of the networks.

    Raises:
        ConfigError: no such `joints`.
    """

    def __init__(
        self,
        joints: str = "mesh",
        detach: bool = True,
        num_joints: int = 21,
        vertices: int = 778,
        size: int = 64,
        sigma: float = 2.5,
        blocks: Sequence[int] = RESNET50,
        width: int = 64,
        channels: int = 256,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if joints not in JOINTS:
            raise ConfigError(f"joints is {joints!r}; {did_you_mean(joints, JOINTS)}")
        self.joints, self.detach, self.gives_joints = joints, detach, joints == "pose_net"
        self.size, self.sigma = size, sigma
        self.pose_backbone = BottleneckResNet(blocks, width)
        features = self.pose_backbone.out_channels
        self.pose_net = LixelNet(num_joints, features, size, channels)
        self.pose2feat = StemAndGaussians(num_joints, width, size)
        self.mesh_backbone = BottleneckResNet(blocks, width)  # whose stem has weights in the files, but no use
        self.mesh_net = LixelNet(vertices, features, size, channels)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (B, 3, 4 n, 4 n), RGB / 255 -> a dictionary.

        `mesh_image` (B, V, 3): fractions of the crop's (w, h), and mm behind the wrist; `pose_image` (B, K, 3), the
        first network's joints, likewise, FreiHAND's order.  With `joints='pose_net'` these are also `joints_image`, and
        in evaluation mode the mesh, which then has no use, is left out.
        """
        stem = self.pose_backbone.pool(self.pose_backbone.early(images))
        joints = self.pose_net(self.pose_backbone.stages(stem)[-1])
        found = {"pose_image": in_the_crop(joints, self.size)}
        if self.gives_joints:
            found["joints_image"] = found["pose_image"]
            if not self.training:
                return found
        with torch.no_grad() if self.detach else nullcontext():
            gaussians = joint_gaussians(joints, self.size, self.sigma)
        feature = self.pose2feat(stem, gaussians)
        found["mesh_image"] = in_the_crop(self.mesh_net(self.mesh_backbone.stages(feature)[-1]), self.size)
        return found
