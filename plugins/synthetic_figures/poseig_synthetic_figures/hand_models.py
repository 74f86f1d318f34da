"""A hand's joints in space from one picture: a head for MMPose, and the estimator that leaves millimetres alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.structures import InstanceData
from torch import Tensor, nn

from poseig_mm.compat import prepare_environment

prepare_environment()

from mmpose.models.heads import BaseHead  # noqa: E402  (needs a prepared environment)
from mmpose.models.pose_estimators import TopdownPoseEstimator  # noqa: E402
from mmpose.registry import MODELS  # noqa: E402

__all__ = ["HandRegression3DHead", "SpacePoseEstimator"]

ROOT = 0  # joint: the wrist


@MODELS.register_module()
class HandRegression3DHead(BaseHead):  # type: ignore[misc]  # mmpose is untyped
    """Joints in mm from the wrist.  Every cell of a feature map votes for every joint, and is heard as it deserves.

    A joint's place is sum_p w(p) v(p): w = softmax over the map's cells of one channel, v (3 channels) = a learnt vote,
    to which x and y add the cell's own place times a learnt scale.  The wrist's place is then taken off all: it is 0 by
    construction, and has no gradient.

    Args:
        in_channels: of the last feature map.
        input_size: (w, h) of the network input, px; only carried, for whoever prepares images.
        num_joints: K.
        deconv_channels: of the layers that double the map's size; none: the backbone's map votes.
        scale: mm; 1 in the votes and in the loss.
        loss: of predictions and labels over `scale`, (B, K, 3) each.
    """

    def __init__(
        self,
        in_channels: int,
        input_size: Sequence[int],
        num_joints: int = 21,
        deconv_channels: Sequence[int] = (64, 64),
        scale: float = 100.0,
        loss: dict[str, Any] | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.input_size, self.num_joints, self.scale = tuple(input_size), num_joints, scale
        layers: list[nn.Module] = []
        for channels in deconv_channels:
            layers += [
                nn.ConvTranspose2d(in_channels, channels, 4, 2, 1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
            in_channels = channels
        self.deconv = nn.Sequential(*layers)
        self.vote = nn.Conv2d(in_channels, 4 * num_joints, 1)
        self.reach = nn.Parameter(torch.ones(2))  # half the map's width and height, over `scale`
        self.loss_module = MODELS.build(loss or dict(type="L1Loss"))
        nn.init.normal_(self.vote.weight, std=0.01)
        nn.init.zeros_(self.vote.bias)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Feature maps, the last one (B, C, h, w) -> (B, K, 3) mm from the wrist."""
        votes = self.vote(self.deconv(feats[-1]))
        votes = votes if votes.dtype == torch.float64 else votes.float()  # mixed precision ends here
        h, w = votes.shape[-2:]
        logits, places = votes.unflatten(1, (self.num_joints, 4)).split((1, 3), 2)  # (B, K, 1 | 3, h, w)
        weights = logits.flatten(3).softmax(-1)
        y, x = (torch.linspace(-1, 1, n, dtype=votes.dtype, device=votes.device) for n in (h, w))
        grid = torch.stack([x.expand(h, w) * self.reach[0], y[:, None].expand(h, w) * self.reach[1]])
        grid = torch.cat([grid, torch.zeros_like(grid[:1])]).flatten(1)  # (3, h w)
        found = (weights * (places.flatten(3) + grid)).sum(-1) * self.scale
        relative: Tensor = found - found[:, ROOT : ROOT + 1]
        return relative

    def loss(
        self, feats: tuple[Tensor, ...], batch_data_samples: list[Any], train_cfg: Any = None
    ) -> dict[str, Tensor]:
        """The loss against `gt_instance_labels.lifting_target` (1, K, 3), mm, and the mean distance, mm."""
        truth = torch.cat([d.gt_instance_labels.lifting_target for d in batch_data_samples])
        found = self.forward(feats)
        truth = truth.to(found)
        distance = torch.linalg.vector_norm(found.detach() - truth, dim=-1).mean()
        return {"loss_joints": self.loss_module(found / self.scale, truth / self.scale), "mpjpe": distance}

    def predict(self, feats: tuple[Tensor, ...], batch_data_samples: list[Any], test_cfg: Any = None) -> list[Any]:
        """An `InstanceData` a picture: `keypoints` (1, K, 3) mm from the wrist; scores are 1, since there are none."""
        found = self.forward(feats).detach().cpu().numpy()
        scores = torch.ones(1, self.num_joints).numpy()
        return [InstanceData(keypoints=k[None], keypoint_scores=scores) for k in found]


@MODELS.register_module()
class SpacePoseEstimator(TopdownPoseEstimator):  # type: ignore[misc]  # mmpose is untyped
    """MMPose's top-down estimator for keypoints in mm: they are not moved from the input's frame to the image's."""

    def add_pred_to_datasample(
        self, batch_pred_instances: list[Any], _: Any, batch_data_samples: list[Any]
    ) -> list[Any]:
        """Predictions into their samples, as they are."""
        for found, sample in zip(batch_pred_instances, batch_data_samples, strict=True):
            found.bboxes, found.bbox_scores = sample.gt_instances.bboxes, sample.gt_instances.bbox_scores
            sample.pred_instances = found
        return batch_data_samples
