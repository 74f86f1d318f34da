"""The head of every mesh model: vertices or joints of the backbone -> 21 joints in mm, relative to the wrist."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import CheckpointError, ConfigError, DataError, ShapeError

from .losses import edge_loss, normal_loss
from .regressor import ABSENT, JOINTS, MeshJointRegressor
from .template import mesh_levels

prepare_environment()

from mmengine.structures import InstanceData  # noqa: E402  (needs a prepared environment)
from mmpose.models.heads.base_head import BaseHead  # noqa: E402
from mmpose.registry import MODELS  # noqa: E402

__all__ = ["HandMeshHead"]

logger = logging.getLogger(__name__)
Predictions = Mapping[str, Tensor]
OUTPUTS = ("auto", "3d", "2d")
NO_MESH = (
    "the backbone gives no vertices: it knows no topology of the mesh. Set its `topology` to template/transform.pkl of "
    "github.com/SeanChenxy/HandMesh (made of MANO's mesh, so MANO's licence holds and it is not shipped)"
)


@MODELS.register_module()
class HandMeshHead(BaseHead):  # type: ignore[misc]  # mmpose is untyped
    """21 joints in FreiHAND's order; nothing in it is learned.

    The backbone gives a dict: `joints` (B, 21, 3) in FreiHAND's order, or `vertices` (B, V, 3), from which the
    regressor makes them; and perhaps `uv` (B, 21, 2), where the joints appear, as fractions of the input's (w, h), with
    `uv_decided`, the same by the model's own decoding, where that has no gradient.

    Args:
        input_size: (w, h) of the network input, px.
        scale: mm a unit of the backbone's vertices and joints (1000: metres; MobRecon and CMR: 200).
        regressor: see `MeshJointRegressor`: a file, 'synthetic', or None, where the checkpoint brings it.
        tips: `joints.TIPS`.
        output: '3d': mm relative to the wrist; '2d': input px; 'auto': '3d' where the joints or a regressor are there,
            else '2d', with a warning.
        topology: a `transform.pkl` or 'synthetic' (`template.mesh_levels`), for the losses on faces; None: without
            them.
        loss_weights: of `vertices`, `joints`, `uv` (L1), `normal` and `edge`, MobRecon's are the defaults; and of
            `pose` and `shape` (L1), for backbones that give MANO's parameters.

    Raises:
        ConfigError: an unknown output or loss.
    """

    num_joints = JOINTS

    def __init__(
        self,
        input_size: Sequence[int],
        scale: float = 1000.0,
        regressor: Any = None,
        tips: str | Mapping[str, int] = "handmesh",
        output: str = "auto",
        topology: str | None = None,
        loss_weights: Mapping[str, float] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if output not in OUTPUTS:
            raise ConfigError(f"output={output!r} of HandMeshHead; expected one of {', '.join(OUTPUTS)}")
        self.input_size = (int(input_size[0]), int(input_size[1]))
        self.scale = float(scale)
        self.output = output
        self.regressor = MeshJointRegressor(regressor, tips)
        self.decoder = None
        weights = {"vertices": 1.0, "joints": 1.0, "uv": 1.0, "normal": 0.1, "edge": 1.0, "pose": 1.0, "shape": 1.0}
        if unknown := set(loss_weights or {}) - set(weights):
            raise ConfigError(f"loss_weights name {', '.join(sorted(unknown))}; the losses are {', '.join(weights)}")
        self.loss_weights = {**weights, **(loss_weights or {})}
        faces = None if topology is None else torch.from_numpy(mesh_levels(topology).faces[0])
        self.register_buffer("faces", faces, persistent=False)
        self._warned = False

    def in_space(self, joints_given: bool = False) -> bool:
        """Whether the output is 3D, for a backbone that gives a mesh, or (`joints_given`) joints, without a
        regressor.
        """
        return self.output == "3d" or (self.output == "auto" and (joints_given or self.regressor.loaded))

    def _in_space(self, feats: Predictions) -> bool:
        joints, vertices = (feats.get(name) is not None for name in ("joints", "vertices"))
        return self.in_space(joints) and (joints or vertices or self.output == "3d")

    def forward(self, feats: Predictions) -> Tensor:
        """(B, 21, 3) mm relative to the wrist; or (B, 21, 2) input px, where only 2D can be given.

        Raises:
            CheckpointError: 3D was asked for, or is all there is, and the regressor is absent: which file, and from
                where.
        """
        if not self._in_space(feats):
            uv = feats.get("uv")
            why = NO_MESH if self.regressor.loaded else ABSENT
            if uv is None:
                raise CheckpointError(f"this model has no 2D output to fall back to, and {why}")
            if self.output == "auto" and not self._warned:
                logger.warning("2D joints in input px instead of 3D ones in mm: %s", why)
                self._warned = True
            return uv * uv.new_tensor(self.input_size)
        joints = self.joints_of(feats)
        return joints - joints[:, :1]

    def joints_of(self, feats: Predictions) -> Tensor:
        """(B, 21, 3) mm, in the frame of the backbone's vertices."""
        joints = feats.get("joints")
        if joints is None:
            vertices = feats.get("vertices")
            if vertices is None:
                raise CheckpointError(f"3D joints were asked for, but {NO_MESH}")
            joints = self.regressor(vertices)
        return joints * self.scale

    def predict(self, feats: Any, batch_data_samples: Any, test_cfg: Any = None) -> list[Any]:
        """`InstanceData` an image: keypoints (1, 21, 3) mm or (1, 21, 2) px, keypoint_scores (1, 21), all 1 (none is
        known).

        Beside 3D joints, `keypoints_2d` (1, 21, 2), input px, where the model has them.

        Raises:
            ConfigError: a flip test, which means nothing for one hand.
        """
        if isinstance(feats, list):
            raise ConfigError("test_cfg.flip_test is on; a mirrored right hand is a left one: set it to False")
        found = self.forward(feats)
        uv = feats.get("uv_decided", feats.get("uv"))
        flat = None if uv is None else uv * uv.new_tensor(self.input_size)
        if found.shape[-1] == 2 and flat is not None:
            found, flat = flat, None
        instances = []
        for i, keypoints in enumerate(found.detach().cpu().numpy()):
            instance = InstanceData(keypoints=keypoints[None], keypoint_scores=torch.ones(1, JOINTS).numpy())
            if flat is not None:
                instance.set_field(flat[i : i + 1].detach().cpu().numpy(), "keypoints_2d")
            instances.append(instance)
        return instances

    def loss(self, feats: Predictions, batch_data_samples: Any, train_cfg: Any = None) -> dict[str, Tensor]:
        """L1 in the backbone's unit: of vertices where the data have them (`gt_instances.vertices_3d`, (1, V, 3) mm
        relative to the wrist), with the loss of normals and edges; else of joints (`keypoints_3d`, (1, 21, 3) mm,
        likewise).  Of uv where there are `gt_instance_labels.keypoint_labels`, (1, 21, 2) fractions of the input, with
        their weights.  Of MANO's parameters, where the backbone gives them and the data have `gt_instances.mano_pose`
        (1, 48), axis-angle without the mean pose, and `mano_shape` (1, 10).

        Raises:
            DataError: the data have none of these.
        """
        losses: dict[str, Tensor] = {}
        vertices, joints = (_stacked(batch_data_samples, "gt_instances", n) for n in ("vertices_3d", "keypoints_3d"))
        found = feats.get("vertices")
        if vertices is not None and found is not None:
            truth = vertices.to(found) / self.scale
            if truth.shape != found.shape:
                raise ShapeError(f"vertices_3d have shape {tuple(truth.shape)}; the model's are {tuple(found.shape)}")
            losses["loss_vertices"] = (found - truth).abs().mean()
            if self.faces is not None:
                losses["loss_normal"] = normal_loss(found, truth, self.faces)
                losses["loss_edge"] = edge_loss(found, truth, self.faces)
        elif joints is not None and self._in_space(feats):
            relative = self.forward(feats)
            losses["loss_joints"] = (relative - joints.to(relative)).abs().mean() / self.scale
        for part in ("pose", "shape"):
            parameters = _stacked(batch_data_samples, "gt_instances", f"mano_{part}")
            if parameters is not None and part in feats:
                losses[f"loss_{part}"] = (feats[part] - parameters.to(feats[part])).abs().mean()
        labels, uv = _stacked(batch_data_samples, "gt_instance_labels", "keypoint_labels"), feats.get("uv")
        if labels is not None and uv is not None:
            weights = _stacked(batch_data_samples, "gt_instance_labels", "keypoint_weights")
            error = (uv - labels.to(uv)).abs()
            losses["loss_uv"] = (error if weights is None else error * weights.to(uv)[..., None]).mean()
        if not losses:
            raise DataError(
                "nothing to train with: expected gt_instances.vertices_3d or keypoints_3d (mm relative to the wrist), "
                "or gt_instance_labels.keypoint_labels, in the data samples"
            )
        return {name: self.loss_weights[name.removeprefix("loss_")] * value for name, value in losses.items()}


def _stacked(samples: Any, part: str, name: str) -> Tensor | None:
    """(B, ...) of the first instance of each sample; None where a sample has none."""
    found = [None if (holder := getattr(s, part, None)) is None else holder.get(name) for s in samples]
    if any(value is None for value in found):
        return None
    return torch.stack([torch.as_tensor(value)[0] for value in found])
