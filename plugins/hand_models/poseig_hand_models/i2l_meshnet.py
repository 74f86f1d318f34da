"""I2L-MeshNet as an MMPose backbone; the names of its parts are those of the official checkpoints.

Source: Moon and Lee, ECCV 2020; the layout of its files is that of github.com/mks0601/I2L-MeshNet_RELEASE (MIT).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError, did_you_mean

from .joints import MANO_PARENTS
from .lixel import LixelNet, StemAndGaussians, joint_gaussians
from .lixel_output import in_cells, in_the_crop
from .regressor import JOINTS as REGRESSED
from .resnet import RESNET50, BottleneckResNet
from .rotations import axis_angles, rotations_from_6d, rotations_from_axis_angles
from .skinning import mano_layer

prepare_environment()

from mmengine.model import BaseModule  # noqa: E402  (needs a prepared environment)
from mmpose.registry import MODELS  # noqa: E402

__all__ = ["I2LMeshNet", "ParamRegressor"]

JOINTS = ("mesh", "pose_net", "param")


class ParamRegressor(nn.Module):
    """`param_regressor`: joints in the crop to 16 rotations and a shape; the second stage of I2L-MeshNet."""

    def __init__(self, joints: int, neurons: Sequence[int] = (1024, 512)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3 * joints
        for count in neurons:
            layers += [nn.Linear(inputs, count), nn.BatchNorm1d(count), nn.ReLU()]
            inputs = count
        self.fc = nn.Sequential(*layers)
        self.fc_pose = nn.Sequential(nn.Linear(inputs, 6 * len(MANO_PARENTS)))
        self.fc_shape = nn.Sequential(nn.Linear(inputs, 10))

    def forward(self, joints: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, 3), grid cells -> pose (B, 16, 3), axis-angle without the mean pose, and shape (B, 10)."""
        x = self.fc(joints.flatten(1))
        sixes = self.fc_pose(x).unflatten(-1, (len(MANO_PARENTS), 3, 2))  # the two columns side by side
        pose: Tensor = axis_angles(rotations_from_6d(sixes.transpose(-1, -2).flatten(-2)))
        return pose, self.fc_shape(x)


@MODELS.register_module()
class I2LMeshNet(BaseModule):  # type: ignore[misc]  # mmengine is untyped
    """A first ResNet places the joints; their Gaussians and the first stem's feature go through a second one to the
    mesh.

    The original cuts the gradient between the two: Gaussians are made without one.  So what the gradient sees of an
    image passes `pose_backbone`'s stem alone, though the mesh also depends on the image by way of the joints, and an
    attribution is not complete (its residual says by how much).  `detach=False` is the whole derivative.

    Args:
        joints: what stands for the hand's joints: 'mesh' (a regressor on the mesh, for which the head needs one), or
            'pose_net', the first network's own, which needs no MANO data; or 'param', the second stage: the mesh's
            joints to MANO's parameters, whose mesh is in mm, for a `HandMeshHead`.  In training the first stage then
            gets no gradient.
        mano: where the second stage's MANO arrays come from, see `skinning.mano_layer`.
        faces: triangles of the mesh that `mano='checkpoint'` brings.
        detach: cut the gradient where the original does.
        num_joints: K.
        vertices: V.
        size: cells of the grid along each direction; the input has 4 times as many pixels.
        sigma: of the Gaussians, cells.
        blocks, width, channels: of the networks.
        neurons: hidden, of the second stage.

    Raises:
        ConfigError: no such `joints`, or 'param' of another number of joints than 21.
        CheckpointError: the MANO file is not there, or is none.
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
        mano: str = "checkpoint",
        faces: int = 1538,
        neurons: Sequence[int] = (1024, 512),
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if joints not in JOINTS:
            raise ConfigError(f"joints is {joints!r}; {did_you_mean(joints, JOINTS)}")
        self.joints, self.detach, self.gives_joints = joints, detach, joints != "mesh"
        self.size, self.sigma = size, sigma
        self.pose_backbone = BottleneckResNet(blocks, width)
        features = self.pose_backbone.out_channels
        self.pose_net = LixelNet(num_joints, features, size, channels)
        self.pose2feat = StemAndGaussians(num_joints, width, size)
        self.mesh_backbone = BottleneckResNet(blocks, width)  # whose stem has weights in the files, but no use
        self.mesh_net = LixelNet(vertices, features, size, channels)
        if joints == "param":
            if num_joints != REGRESSED:
                raise ConfigError(f"num_joints is {num_joints}; joints='param' takes the {REGRESSED} of MANO's mesh")
            self.param_regressor = ParamRegressor(num_joints, neurons)
            self.human_model_layer = mano_layer(mano, faces, tips="i2l")

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (B, 3, 4 n, 4 n), RGB / 255 -> a dictionary.

        `mesh_image` (B, V, 3): fractions of the crop's (w, h), and mm behind the wrist; `pose_image` (B, K, 3), the
        first network's joints, likewise, FreiHAND's order.  With `joints='pose_net'` these are also `joints_image`, and
        in evaluation mode the mesh, which then has no use, is left out.  With `joints='param'` alone `vertices`
        (B, 778, 3) and `joints` (B, 21, 3), FreiHAND's order, m, `pose` (B, 48) and `shape` (B, 10).
        """
        if self.joints == "param":
            with torch.no_grad() if self.training else nullcontext():
                cells = in_cells(self._lixels(images)["mesh_image"], self.size)
            return self._posed(cells)
        return self._lixels(images)

    def _posed(self, cells: Tensor) -> dict[str, Tensor]:
        layer = self.human_model_layer
        pose, shape = self.param_regressor(layer.regressed(cells))
        mean = layer.th_hands_mean.unflatten(1, (-1, 3))
        full = torch.cat([pose[:, :1], pose[:, 1:] + mean.to(pose)], 1)
        vertices, _ = layer(rotations_from_axis_angles(full), shape)
        return {"vertices": vertices, "joints": layer.regressed(vertices), "pose": pose.flatten(1), "shape": shape}

    def _lixels(self, images: Tensor) -> dict[str, Tensor]:
        stem = self.pose_backbone.pool(self.pose_backbone.early(images))
        joints = self.pose_net(self.pose_backbone.stages(stem)[-1])
        found = {"pose_image": in_the_crop(joints, self.size)}
        if self.joints == "pose_net":
            found["joints_image"] = found["pose_image"]
            if not self.training:
                return found
        with torch.no_grad() if self.detach else nullcontext():
            gaussians = joint_gaussians(joints, self.size, self.sigma)
        feature = self.pose2feat(stem, gaussians)
        found["mesh_image"] = in_the_crop(self.mesh_net(self.mesh_backbone.stages(feature)[-1]), self.size)
        return found
