"""HandAR's network as an MMPose backbone: a rough mesh from lixels, refined on its graph by features from where it is.

Source: Tang, Wang, Fu, *Towards Accurate Alignment in Real-time 3D Hand-Mesh Reconstruction*, ICCV 2021.  The released
code (github.com/wbstx/handAR) has no licence: this is written from facts of the architecture alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import CheckpointError, ConfigError

from .gin import MeshRefinement, adjacency_of
from .lixel import LixelNet, StemAndGaussians, deconvolutions, sampled
from .lixel_output import in_the_crop
from .regressor import JOINTS
from .resnet import RESNET50, BottleneckResNet
from .template import mesh_levels

prepare_environment()

from mmengine.model import BaseModule  # noqa: E402  (needs a prepared environment)
from mmpose.registry import MODELS  # noqa: E402

__all__ = ["HandAR", "never_run"]


class JointFeature(nn.Module):
    """`posenet`: the last map made as large as the stem's, with as many channels."""

    def __init__(self, inputs: int, channels: int, width: int) -> None:
        super().__init__()
        self.deconv = deconvolutions(inputs, channels)
        self.conv = nn.Sequential(nn.Conv2d(channels, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, feature: Tensor) -> Tensor:
        """(B, inputs, n / 8, n / 8) -> (B, width, n, n)."""
        found: Tensor = self.conv(self.deconv(feature))
        return found


@MODELS.register_module()
class HandAR(BaseModule):  # type: ignore[misc]  # mmengine is untyped
    """Rough mesh as in I2L-MeshNet, plus an offset of each vertex from a graph network.

    The joints' feature is added to the first stem's before the second network.  A vertex's features: its rough place
    (cells, 3), and what lies there in the image (3), the first convolution's map, the stem's map, the second network's
    first stage; and the second network's last map as one vector for all.  The rough place gets its gradient also
    through where is looked.  There are no joints but the mesh's: the head needs a regressor.

    Args:
        topology: HandMesh's `transform.pkl`, or 'synthetic' (`template.mesh_levels`), for the triangles; None: they
            (`faces`, a buffer) come from a converted checkpoint or `set_faces`.
        faces: F, without a topology.
        vertices: V.
        size: n, cells of the grid along each direction; the input has 4 n pixels.
        blocks, width, channels: of the networks.
        vector: channels of the vector for all vertices.
        graph, hidden: channels of the graph network, and of its first MLP.
    """

    faces: Tensor
    gives_joints = False

    def __init__(
        self,
        topology: str | None = None,
        faces: int = 1538,
        vertices: int = 778,
        size: int = 64,
        blocks: Sequence[int] = RESNET50,
        width: int = 64,
        channels: int = 256,
        vector: int = 512,
        graph: int = 64,
        hidden: int = 256,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.size, self.vertices, self.width, self.channels = size, vertices, width, channels
        self.pose_backbone = BottleneckResNet(blocks, width)
        features = self.pose_backbone.out_channels
        self.posenet = JointFeature(features, channels, width)
        self.mesh_backbone = BottleneckResNet(blocks, width)
        self.mesh_net = LixelNet(vertices, features, size, channels)
        self.global_img_feat = nn.Sequential(nn.Sequential(nn.Conv1d(features, vector, 1)))
        self.gcn = MeshRefinement(3 + 3 + width + width + 4 * width + vector, graph, hidden)
        triangles = torch.full((faces, 3), -1) if topology is None else _triangles(topology)
        self.register_buffer("faces", triangles)

    def set_faces(self, faces: Tensor) -> None:
        """The mesh's triangles (F, 3), of which the graph's edges are made.

        Raises:
            ConfigError: another number of triangles, or vertices that are not there.
        """
        if faces.shape != self.faces.shape or not 0 <= int(faces.min()) <= int(faces.max()) < self.vertices:
            raise ConfigError(
                f"faces have shape {tuple(faces.shape)} and indices {int(faces.min())} to {int(faces.max())}; expected "
                f"{tuple(self.faces.shape)} and 0 to {self.vertices - 1}"
            )
        self.faces.copy_(faces)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (B, 3, 4 n, 4 n), RGB / 255 -> a dictionary.

        `mesh_image` (B, V, 3): fractions of the crop's (w, h), and mm behind the wrist; `rough_image`, the same before
        the refinement.

        Raises:
            CheckpointError: the mesh has no triangles yet.
        """
        if bool((self.faces < 0).any()):
            raise CheckpointError(
                "HandAR's mesh has no triangles: its official files hold none. Convert the file together with a MANO "
                "file, or call `set_faces`"
            )
        early = self.pose_backbone.early(images)
        stem = self.pose_backbone.pool(early)
        joints = self.posenet(self.pose_backbone.stages(stem)[-1])
        first, *_, last = self.mesh_backbone.stages(stem + joints)
        rough = self.mesh_net(last)
        places = rough[..., :2] / (self.size / 2) - 1
        local = [sampled(feature, places) for feature in (images, early, stem, first)]
        vector = self.global_img_feat(last.mean((2, 3))[..., None]).transpose(1, 2)  # (B, 1, C)
        features = torch.cat([rough, *local, vector.expand(-1, rough.shape[1], -1)], -1)
        mesh = rough + self.gcn(features, adjacency_of(self.faces, rough.shape[1], rough.dtype))
        return {"mesh_image": in_the_crop(mesh, self.size), "rough_image": in_the_crop(rough, self.size)}


def _triangles(topology: str) -> Tensor:
    return torch.from_numpy(mesh_levels(topology).faces[0].copy())


def never_run(backbone: HandAR) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what official files hold beside a backbone's weights, though nothing runs through it.

    These are the rest of I2L-MeshNet's `pose_net`, its `pose2feat`, and the batch norm of the graph's last layer.
    """
    features = backbone.pose_backbone.out_channels
    with torch.device("meta"):
        idle = {
            "posenet.": LixelNet(JOINTS, features, backbone.size, backbone.channels),
            "pose2feat.": StemAndGaussians(JOINTS, backbone.width, backbone.size),
            "gcn.tail.bn.": nn.BatchNorm1d(3),
        }
    states = {f"{part}{name}": value for part, module in idle.items() for name, value in module.state_dict().items()}
    own = backbone.state_dict()
    return {name: tuple(value.shape) for name, value in states.items() if name not in own}
