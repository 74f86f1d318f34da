"""AssociativeEmbeddingHead: heatmaps of all persons, and tags that tell which peaks are one person's."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..functional.soft_argmax import soft_argmax
from ..types import Coordinates
from .instances import InstanceAdapter, Instances
from .soft import SoftArgmaxAdapter


class AssociativeEmbeddingAdapter(InstanceAdapter, SoftArgmaxAdapter):
    """Soft-argmax of each joint's heatmap over the part that is this person's.  Arguments: `InstanceAdapter`.

    A cell is that part, (K, h, w) bool: on the clean image, the pixels that are nearer to the person's own peak than to
    any other peak of this joint above the codec's threshold; everywhere, where the image holds one person.  Tags group
    peaks into persons on the clean image alone.  The argmax' quarter-pixel step has no counterpart.
    """

    name = "associative_embedding"
    head_types = ("AssociativeEmbeddingHead",)
    codec_name = "AssociativeEmbedding"

    def instances(self, feats: Any, size: tuple[int, int], *, all_scores: bool = False) -> Instances:
        """By `head.decode`; with `all_scores` by the codec, each joint's highest peak being one person at least."""
        heatmaps, tags = self.outputs(feats, size)
        codec = copy.copy(self.head.decoder)
        if all_scores:
            codec.decode_keypoint_thr, codec.decode_topk, codec.decode_tag_thr = -np.inf, 1, np.inf
        (keypoints,), _, (scores,) = codec.batch_decode(heatmaps.clone(), self._tags(tags))  # UDP's refinement writes
        positions = torch.as_tensor(np.asarray(keypoints)).to(heatmaps) / heatmaps.new_tensor(self.scale)
        own = (positions - float(codec.decode_center_shift)).round()  # (N, K, 2) heatmap px
        cells = [self._regions(heatmaps[0], peaks) for peaks in own]
        return Instances(torch.as_tensor(keypoints), torch.as_tensor(scores), cells)

    def scores(self, output: Any) -> tuple[Tensor, ...]:
        """The heatmaps, flat; far below any of their values outside the person's part."""
        maps = output[0]
        return (maps.masked_fill(~self.cell, float(maps.min())).flatten(2),)

    def decode(self, output: Any) -> Coordinates:
        """(heatmaps (B, K, h, w), tags) -> (B, K, 2) in input px."""
        maps = output[0]
        positions = soft_argmax(maps.masked_fill(~self.cell, -torch.inf), self.beta)
        return Coordinates(self._to_input(positions), heatmaps=maps)

    def decode_own(self, output: Any) -> Tensor:
        """The argmax of each part, refined as the codec refines it."""
        from mmpose.codecs.utils import refine_keypoints, refine_keypoints_dark_udp

        maps, codec = output[0], self.head.decoder
        peaks = maps.masked_fill(~self.cell, -torch.inf).flatten(2).argmax(-1)  # (B, K)
        width = maps.shape[-1]
        points = torch.stack([peaks % width, peaks // width], -1).float().cpu().numpy()
        refined = []
        for one, heatmaps in zip(points, maps.float().cpu().clone().numpy(), strict=True):
            if codec.use_udp:
                fine = refine_keypoints_dark_udp(one[None], heatmaps, blur_kernel_size=codec.decode_gaussian_kernel)
            else:
                fine = refine_keypoints(one[None], heatmaps)
            refined.append(torch.as_tensor(fine[0]))
        return self._to_input(torch.stack(refined).to(maps))

    def _tags(self, tags: Tensor) -> Tensor:
        """One tag map a joint, where all joints share one."""
        joints = self.head.num_keypoints
        return tags if self.head.tag_per_keypoint else tags.repeat_interleave(joints, 1)

    def _to_input(self, positions: Tensor) -> Tensor:
        return (positions + float(self.head.decoder.decode_center_shift)) * positions.new_tensor(self.scale)

    def _regions(self, heatmaps: Tensor, peaks: Tensor) -> Tensor:
        """(K, h, w) bool: nearer to these peaks (K, 2), heatmap px, than to others of the heatmaps (K, h, w)."""
        from mmpose.codecs.utils import batch_heatmap_nms

        codec, (height, width) = self.head.decoder, heatmaps.shape[-2:]
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        places = torch.stack([x, y], -1).to(heatmaps)  # (h, w, 2)
        maxima = batch_heatmap_nms(heatmaps[None], codec.decode_nms_kernel)[0] > codec.decode_keypoint_thr
        regions = []
        for joint, own in zip(maxima, peaks, strict=True):
            others = joint.nonzero().flip(-1).to(heatmaps)  # (n, 2) (x, y)
            others = others[(others - own).abs().amax(-1) > codec.decode_nms_kernel // 2]
            distance = (places - own).norm(dim=-1)
            nearest = torch.full_like(distance, torch.inf)
            for other in others:
                nearest = nearest.minimum((places - other).norm(dim=-1))
            regions.append(distance <= nearest)
        return torch.stack(regions)
