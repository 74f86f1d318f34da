"""DEKRHead: each cell of the output points to all joints of the person whose centre it is."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from ..types import Coordinates
from .instances import InstanceAdapter, Instances, packed, rows_of


class DEKRAdapter(InstanceAdapter):
    """The displacements at the person's centre cell, by the codec's scale.  Arguments: `InstanceAdapter`.

    A cell is a place (y * w + x) in the output.  Coordinates are the model's own, nothing is softened.
    """

    name = "dekr"
    head_types = ("DEKRHead",)
    codec_name = "SPR"

    def instances(self, feats: Any, size: tuple[int, int], *, all_scores: bool = False) -> Instances:
        """By `head.predict`; with `all_scores` by the codec with its threshold off."""
        output = self.outputs(feats, size)
        if all_scores:
            codec = copy.copy(self.head.decoder)
            codec.decode_thr = -torch.inf
            keypoints, (scores, _) = codec.decode(output[0][0], output[1][0])
        else:
            meta = getattr(self.model, "dataset_meta", None) or {}
            about = packed(size, {"skeleton_links": meta.get("skeleton_links")})
            persons = self.head.predict(feats, about, test_cfg=self.test_cfg())[0]
            keypoints = torch.as_tensor(persons.keypoints)
            scores = torch.as_tensor(persons.keypoint_scores).mean(-1)
        table = self._everywhere(output)[0].permute(2, 0, 1)  # (h * w, K, 2)
        return Instances(keypoints, scores, rows_of(keypoints.flatten(1), table.flatten(1)))

    def decode(self, output: Any) -> Coordinates:
        """(heatmaps (B, K + 1, h, w), displacements (B, 2 K, h, w)) -> (B, K, 2) in input px."""
        return Coordinates(self._everywhere(output)[..., self.cell])

    def _everywhere(self, output: Any) -> Tensor:
        """(B, K, 2, h * w): where each cell has each joint, input px."""
        displacements: Tensor = output[1]
        height, width = displacements.shape[-2:]
        x = torch.arange(width, device=displacements.device).repeat(height)  # (h * w,)
        y = torch.arange(height, device=displacements.device).repeat_interleave(width)
        places = torch.stack([x, y]) + displacements.reshape(len(displacements), -1, 2, height * width)
        coords: Tensor = places * places.new_tensor(self.scale)[:, None]
        return coords
