"""CMR's head: that of every mesh model, with CMR's own losses on heatmaps, masks and coarser meshes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .heads import HandMeshHead, Predictions, _stacked
from .template import mesh_levels

from mmpose.registry import MODELS  # isort: skip  (.heads has prepared the environment)

__all__ = ["CMRHead", "joint_heatmaps"]

WEIGHTS = {"levels": 1.0, "heatmaps": 10.0, "masks": 0.5}
REACH, SIGMA = 6, 3.5  # px of the input: a Gaussian of 13 x 13 px, sigma 14 / 4


def joint_heatmaps(labels: Tensor, weights: Tensor, size: tuple[int, int]) -> Tensor:
    """CMR's target heatmaps: a Gaussian of peak 1 around each joint's whole pixel, then every 2 x 2 pixels averaged.

    Args:
        labels: (B, K, 2), fractions of the input's (w, h).
        weights: (B, K), 0 where there is nothing to show.
        size: (w, h) of the input, px, even numbers.

    Returns:
        (B, K, h / 2, w / 2), from 0 to 1.

    >>> heat = joint_heatmaps(torch.tensor([[[0.5, 0.25]]]), torch.ones(1, 1), (64, 64))
    >>> heat.shape, [int(i) for i in (heat == heat.max()).nonzero()[0]]
    (torch.Size([1, 1, 32, 32]), [0, 0, 8, 16])
    """
    pixels = (labels * labels.new_tensor(size)).floor()
    axes = []
    for i, n in enumerate(size):
        distance = torch.arange(n, dtype=labels.dtype, device=labels.device) - pixels[..., i : i + 1]  # (B, K, n)
        axes.append(torch.exp(-(distance**2) / (2 * SIGMA**2)) * (distance.abs() <= REACH))
    x, y = axes
    return F.avg_pool2d(y[..., :, None] * x[..., None, :] * (weights > 0)[..., None, None], 2)


@MODELS.register_module()
class CMRHead(HandMeshHead):
    """`HandMeshHead`, trained as CMR is: the published weights are the defaults.

    Args:
        input_size, topology: of `HandMeshHead`; the topology also makes the coarser levels' truth.
        loss_weights: also of `levels` (L1 of each coarser level), `heatmaps` and `masks` (cross entropy of each
            prediction, the early ones too).
        settings: of `HandMeshHead`.
    """

    def __init__(
        self,
        input_size: Any,
        topology: str | None = None,
        loss_weights: Mapping[str, float] | None = None,
        **settings: Any,
    ) -> None:
        given = dict(loss_weights or {})
        own = {name: given.pop(name, weight) for name, weight in WEIGHTS.items()}
        super().__init__(input_size, topology=topology, loss_weights=given, **settings)
        self.loss_weights = {**self.loss_weights, **own}
        self._down = [] if topology is None else [torch.from_numpy(m.toarray()) for m in mesh_levels(topology).down]

    def loss(self, feats: Predictions, batch_data_samples: Any, train_cfg: Any = None) -> dict[str, Tensor]:
        """Those of `HandMeshHead` but uv's, and of what the backbone gives in training (`heatmaps_all`, `masks_all`,
        `levels`) and the data have: heatmaps by `gt_instance_labels.keypoint_labels` (1, 21, 2), fractions, masks by
        `gt_instance_labels.hand_mask` (1, h / 2, w / 2), levels by `gt_instances.vertices_3d`.

        Raises:
            DataError: the data have nothing to train with.
        """
        losses = super().loss(feats, batch_data_samples, train_cfg)
        losses.pop("loss_uv", None)  # heatmaps are what it is trained by
        names = ("keypoint_labels", "keypoint_weights", "hand_mask")
        labels, weights, masks = (_stacked(batch_data_samples, "gt_instance_labels", name) for name in names)
        extra: dict[str, Tensor] = {}
        if labels is not None and (maps := feats.get("heatmaps_all")):
            weights = torch.ones_like(labels[..., 0]) if weights is None else weights
            target = joint_heatmaps(labels.to(maps[0]), weights.to(maps[0]), self.input_size)
            extra["heatmaps"] = sum((_entropy(m, target) for m in maps), maps[0].new_zeros(()))
        if masks is not None and (maps := feats.get("masks_all")):
            extra["masks"] = sum((_entropy(m, masks.to(m)) for m in maps), maps[0].new_zeros(()))
        vertices = _stacked(batch_data_samples, "gt_instances", "vertices_3d")
        if vertices is not None and (levels := feats.get("levels")):
            truth, distances = vertices.to(levels[0]) / self.scale, []
            for down, level in zip(self._down, levels, strict=False):
                truth = down.to(truth) @ truth
                distances.append((level - truth).abs().mean())
            extra["levels"] = torch.stack(distances).sum()
        return losses | {f"loss_{name}": self.loss_weights[name] * value for name, value in extra.items()}


def _entropy(probabilities: Tensor, target: Tensor) -> Tensor:
    with torch.autocast(probabilities.device.type, enabled=False):  # it is not defined in half precision
        return F.binary_cross_entropy(probabilities.float(), target.float())
