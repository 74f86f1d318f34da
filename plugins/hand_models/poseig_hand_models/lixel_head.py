"""The head of networks that predict points in the crop: input px, or with a camera mm; and their losses."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from poseig_mm.errors import CheckpointError, ConfigError, DataError

from .cameras import Camera
from .heads import HandMeshHead, Predictions, _stacked
from .lixel_output import in_cells
from .losses import edge_loss, normal_loss
from .regressor import ABSENT

from mmpose.registry import MODELS  # isort: skip  (.heads has prepared the environment)

__all__ = ["LixelMeshHead"]

logger = logging.getLogger(__name__)
WEIGHTS = {"mesh": 1.0, "joints": 1.0, "pose": 1.0, "normal": 0.1, "edge": 1.0}


@MODELS.register_module()
class LixelMeshHead(HandMeshHead):
    """21 joints of what `I2LMeshNet` and `HandAR` give: of the mesh by the regressor, or the backbone's own.

    Without a camera joints are in input px: (x, y) of where they appear.  With one they are in mm relative to the
    wrist, by back-projection of each vertex at the camera's depth of the wrist plus the vertex's own; the camera of a
    photograph is not in the photograph, so sizes are those of the nominal one.

    Args:
        input_size: (w, h) of the network input, px.
        camera: `dict(focal=..., depth=...)` of `cameras.Camera`; None: 2D.
        size: cells of the grid, the unit of the losses.
        loss_weights: of `mesh`, `joints` (the mesh's), `pose` (the first network's joints), `normal`, `edge`.
        settings: of `HandMeshHead`: regressor, tips, output, topology.

    Raises:
        ConfigError: an unknown loss, or output '3d' without a camera.
    """

    def __init__(
        self,
        input_size: Any,
        camera: Mapping[str, float] | None = None,
        size: int = 64,
        loss_weights: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(input_size, **{"scale": 1.0, "tips": "i2l", **settings})
        if camera is None and self.output == "3d":
            raise ConfigError("output='3d' of LixelMeshHead needs a camera: set `camera=dict(focal=..., depth=...)`")
        if unknown := set(loss_weights or {}) - set(WEIGHTS):
            raise ConfigError(f"loss_weights name {', '.join(sorted(unknown))}; the losses are {', '.join(WEIGHTS)}")
        self.camera = None if camera is None else Camera(**camera)
        self.size = size
        self.loss_weights = {**WEIGHTS, **(loss_weights or {})}

    def in_space(self, joints_given: bool = False) -> bool:
        """Whether the output is 3D: with a camera, unless 2D is asked for."""
        return self.camera is not None and self.output != "2d"

    def forward(self, feats: Predictions) -> Tensor:
        """(B, 21, 3) mm relative to the wrist, or (B, 21, 2) input px.

        Raises:
            CheckpointError: the joints are the mesh's, and the regressor is absent.
        """
        if not self.in_space():
            uv = self.joints_image(feats)[..., :2]
            return uv * uv.new_tensor(self.input_size)
        joints = self.joints_of(feats)
        return joints - joints[:, :1]

    def joints_image(self, feats: Predictions) -> Tensor:
        """(B, 21, 3): fractions of the crop's (w, h), and mm behind the wrist."""
        given = feats.get("joints_image")
        return self._regressed(feats["mesh_image"]) if given is None else given

    def joints_of(self, feats: Predictions) -> Tensor:
        """(B, 21, 3) mm in the camera's frame: of the back-projected mesh, or of the back-projected joints."""
        assert self.camera is not None
        given = feats.get("joints_image")
        if given is None:
            return self._regressed(self.camera.back_projected(feats["mesh_image"]))
        return self.camera.back_projected(given)

    def _regressed(self, vertices: Tensor) -> Tensor:
        if not self.regressor.loaded:
            raise CheckpointError(
                f"{ABSENT}. I2LMeshNet has joints of its own, in no need of it: set `joints='pose_net'` of the backbone"
            )
        joints: Tensor = self.regressor(vertices)
        return joints

    def predict(self, feats: Any, batch_data_samples: Any, test_cfg: Any = None) -> list[Any]:
        """As `HandMeshHead.predict`."""
        if isinstance(feats, Mapping) and self.in_space():
            feats = {**feats, "uv": self.joints_image(feats)[..., :2]}
        return super().predict(feats, batch_data_samples, test_cfg)

    def loss(self, feats: Predictions, batch_data_samples: Any, train_cfg: Any = None) -> dict[str, Tensor]:
        """L1 in grid cells, of what the data have: of the mesh (and the joints the regressor makes of it, normals,
        edges) against `gt_instance_labels.mesh_image` (1, V, 3), of the first network's joints against `joints_image`
        (1, 21, 3), both as `lixel_output.in_the_crop` has them; NaN where unknown: then `joints_image` also stands for
        the joints of the mesh.

        Raises:
            DataError: the data have neither.
        """
        losses: dict[str, Tensor] = {}
        mesh, joints = (_stacked(batch_data_samples, "gt_instance_labels", n) for n in ("mesh_image", "joints_image"))
        if mesh is not None and "mesh_image" in feats:
            found = in_cells(feats["mesh_image"], self.size)
            truth = in_cells(mesh.to(found), self.size)
            losses["loss_mesh"] = _l1(found, truth)
            if self.regressor.loaded:
                true_joints = self.regressor(truth)
                if joints is not None:  # of a mesh that is not wholly known
                    true_joints = true_joints.where(true_joints.isfinite(), in_cells(joints.to(found), self.size))
                losses["loss_joints"] = _l1(self.regressor(found), true_joints)
            if self.faces is not None:
                losses["loss_normal"] = normal_loss(found, truth, self.faces)
                losses["loss_edge"] = edge_loss(found, truth, self.faces)
        if joints is not None and "pose_image" in feats:
            found = in_cells(feats["pose_image"], self.size)
            losses["loss_pose"] = _l1(found, in_cells(joints.to(found), self.size))
        if not losses:
            raise DataError(
                "nothing to train with: expected gt_instance_labels.mesh_image (1, V, 3) or joints_image (1, 21, 3) in "
                "the data samples: fractions of the crop, and mm behind the wrist"
            )
        return {name: self.loss_weights[name.removeprefix("loss_")] * value for name, value in losses.items()}


def _l1(found: Tensor, truth: Tensor) -> Tensor:
    """Mean over what is known."""
    known = truth.isfinite()
    return (found - truth.where(known, found.detach())).abs().sum() / known.sum().clamp_min(1)
