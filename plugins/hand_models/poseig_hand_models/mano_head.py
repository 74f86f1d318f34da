"""The head of HandOccNet: joints of a MANO layer in the backbone, or without one those in the image; and its losses."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from poseig_mm.errors import ConfigError, DataError

from .heads import HandMeshHead, Predictions, _stacked

from mmpose.registry import MODELS  # isort: skip  (.heads has prepared the environment)

__all__ = ["ManoMeshHead"]

logger = logging.getLogger(__name__)
WEIGHTS = {"vertices": 1e4, "joints": 1e4, "pose": 10.0, "shape": 0.1, "uv": 100.0}
PLANAR = (
    "2D joints in input px, from the heatmaps, instead of 3D ones in mm: the backbone has no MANO layer (`mano=None`). "
    "Set its `mano` to 'checkpoint', where the weights hold one (official files should), or to your MANO_RIGHT.pkl"
)


@MODELS.register_module()
class ManoMeshHead(HandMeshHead):
    """Joints (B, 21, 3) in mm relative to the wrist as the backbone's MANO layer has them; else (B, 21, 2) input px.

    Args:
        input_size: (w, h) of the network input, px.
        loss_weights: of `vertices`, `joints`, `pose`, `shape`, `uv`.
        settings: of `HandMeshHead`: output.

    Raises:
        ConfigError: an unknown loss.
    """

    def __init__(self, input_size: Any, loss_weights: Mapping[str, float] | None = None, **settings: Any) -> None:
        super().__init__(input_size, **settings)
        if unknown := set(loss_weights or {}) - set(WEIGHTS):
            raise ConfigError(f"loss_weights name {', '.join(sorted(unknown))}; the losses are {', '.join(WEIGHTS)}")
        self.loss_weights = {**WEIGHTS, **(loss_weights or {})}

    def in_space(self, joints_given: bool = False) -> bool:
        """Whether the output is 3D: where the backbone gives joints, unless 2D is asked for."""
        return self.output == "3d" or (self.output == "auto" and joints_given)

    def forward(self, feats: Predictions) -> Tensor:
        """(B, 21, 3) mm relative to the wrist, or (B, 21, 2) input px.

        Raises:
            ConfigError: 3D was asked for, and the backbone has no MANO layer.
        """
        given = feats.get("joints") is not None
        if self.output == "3d" and not given:
            raise ConfigError(f"output='3d' cannot be given: only {PLANAR}")
        if self.output == "auto" and not given and not self._warned:
            logger.warning(PLANAR)
            self._warned = True
        if not self.in_space(given):
            uv = feats["uv"]
            return uv * uv.new_tensor(self.input_size)
        return super().forward(feats)

    def loss(self, feats: Predictions, batch_data_samples: Any, train_cfg: Any = None) -> dict[str, Tensor]:
        """Mean squared errors of what the data have.

        Of vertices and joints, m from the wrist, against `gt_instances.vertices_3d` (1, 778, 3) and `keypoints_3d`
        (1, 21, 3), mm from the wrist; of `gt_instances.mano_pose` (1, 48), axis-angle without the mean pose, and
        `mano_shape` (1, 10); of `gt_instance_labels.keypoint_labels` (1, 21, 2), fractions, with their weights.

        Raises:
            DataError: the data have none of these.
        """
        losses: dict[str, Tensor] = {}
        wrist = feats["joints"][:, :1] if "joints" in feats else None
        for part, name in (("vertices", "vertices_3d"), ("joints", "keypoints_3d")):
            truth = _stacked(batch_data_samples, "gt_instances", name)
            if truth is not None and wrist is not None:
                found = feats[part] - wrist
                losses[f"loss_{part}"] = (found - truth.to(found) / self.scale).square().mean()
        for part in ("pose", "shape"):
            truth = _stacked(batch_data_samples, "gt_instances", f"mano_{part}")
            if truth is not None:
                losses[f"loss_{part}"] = (feats[part] - truth.to(feats[part])).square().mean()
        labels = _stacked(batch_data_samples, "gt_instance_labels", "keypoint_labels")
        if labels is not None:
            weights = _stacked(batch_data_samples, "gt_instance_labels", "keypoint_weights")
            error = (feats["uv"] - labels.to(feats["uv"])).square()
            losses["loss_uv"] = (error if weights is None else error * weights.to(error)[..., None]).mean()
        if not losses:
            raise DataError(
                "nothing to train with: expected gt_instances.vertices_3d or keypoints_3d (mm relative to the wrist), "
                "mano_pose or mano_shape, or gt_instance_labels.keypoint_labels, in the data samples"
            )
        return {name: self.loss_weights[name.removeprefix("loss_")] * value for name, value in losses.items()}
