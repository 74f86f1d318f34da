"""CIDHead: the feature at a person's centre decouples heatmaps of that person alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..functional.soft_argmax import soft_argmax
from ..types import Coordinates
from .instances import InstanceAdapter, Instances, packed
from .soft import SoftArgmaxAdapter


class CIDAdapter(InstanceAdapter, SoftArgmaxAdapter):
    """Soft-argmax of the heatmaps decoupled by the feature at the person's centre.  Arguments: `InstanceAdapter`.

    A cell is that centre, (x, y) in heatmap px.  Heatmaps are smoothed as the head's `predict` smooths them; the
    argmax' quarter-pixel step has no counterpart.
    """

    name = "cid"
    head_types = ("CIDHead",)
    codec_name = "DecoupledHeatmap"

    def outputs(self, feats: Any, size: tuple[int, int]) -> Tensor:
        """The last features, which heatmaps of each person are made of."""
        last: Tensor = feats[-1]
        return last

    def instances(self, feats: Any, size: tuple[int, int], *, all_scores: bool = False) -> Instances:
        """By `head.predict`, and the centres it starts from; with `all_scores` without its threshold."""
        config = self.test_cfg(**({"score_threshold": -1.0} if all_scores else {}))
        _, centres, scores = self.head.iia_module.forward_test(feats[-1], config)
        persons = self.head.predict(feats, packed(size), test_cfg=config)[0]  # one for each centre, in their order
        cells = [(int(x), int(y)) for x, y in centres.tolist()]
        return Instances(torch.as_tensor(persons.keypoints), scores, cells)

    def scores(self, output: Tensor) -> tuple[Tensor, ...]:
        """The bound person's heatmaps, flat."""
        return (self._heatmaps(output).flatten(2),)

    def decode(self, output: Tensor) -> Coordinates:
        """Features (B, C, h, w) -> (B, K, 2) in input px."""
        maps = self._heatmaps(output)
        return Coordinates(self._to_input(soft_argmax(maps, self.beta)), heatmaps=maps)

    def decode_own(self, output: Tensor) -> Tensor:
        """By the codec: argmax and a quarter-pixel step."""
        maps = self._heatmaps(output)
        keypoints, _ = self.head.decoder.decode(maps.float().cpu().numpy(), 1.0)  # on the scale of input px
        shift = maps.new_tensor(self.scale) / 2
        return torch.as_tensor(keypoints).to(maps) + shift

    def _heatmaps(self, feats: Tensor) -> Tensor:
        """(B, K, h, w): the person's own, smoothed."""
        from mmpose.models.heads.heatmap_heads.cid_head import smooth_heatmaps

        batch, (x, y) = len(feats), self.cell
        centres = torch.tensor([[x, y]], device=feats.device).expand(batch, 2)
        images = torch.arange(batch, device=feats.device)
        maps = self.head.gfd_module(feats, feats[:, :, y, x], centres, images)
        smoothed: Tensor = smooth_heatmaps(maps, self.test_cfg().get("blur_kernel_size", 3))
        return smoothed

    def _to_input(self, positions: Tensor) -> Tensor:
        """Heatmap px -> input px; the head adds half a heatmap px to what its codec gives."""
        return (positions + 0.5) * positions.new_tensor(self.scale)
