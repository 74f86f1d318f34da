"""YOLOXPoseHead: each cell of three grids holds a person's score, box and joints."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..types import Coordinates
from .instances import InstanceAdapter, Instances, configured_size, packed, rows_of

DEFAULT_SIZE = (640, 640)  # (w, h): the head's own default where it has to know one (RTMOHead.switch_to_deploy)


class GridAdapter(InstanceAdapter):
    """What heads over grids of several strides share; a cell is its number over all.  See `InstanceAdapter`.

    These heads don't know their input's size: it is that of the config's test (or validation) pipeline.
    """

    def find_input_size(self) -> tuple[int, int]:
        """(w, h) of the config's pipeline, else 640 x 640."""
        return configured_size(self.model, DEFAULT_SIZE)

    def predicted(self, feats: Any, size: tuple[int, int], *, all_scores: bool) -> Any:
        """What `head.predict` gives out for one image, after its score threshold and non-maximum suppression."""
        surest = {"score_thr": -1.0, "nms_pre": 100} if all_scores else {}  # before they suppress one another
        return self.head.predict(feats, packed(size), test_cfg=self.test_cfg(**surest))[0]

    def grids(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Of all cells of the levels (B, C, h, w): their places (N, 2), (x, y) in input px, and strides (N,)."""
        sizes = [level.shape[-2:] for level in levels]
        priors = self.head.prior_generator.grid_priors(sizes, dtype=levels[0].dtype, device=levels[0].device)
        strides = [p.new_full((len(p),), float(s)) for p, s in zip(priors, self.head.featmap_strides, strict=True)]
        return torch.cat(priors), torch.cat(strides)

    def at(self, levels: list[Tensor], cell: int | slice) -> Tensor:
        """What one cell (or a slice of them) holds, (B, C) or (B, n, C)."""
        flat: Tensor = self.head._flatten_predictions(levels)
        return flat[:, cell]


class YOLOXPoseAdapter(GridAdapter):
    """The joint offsets of the person's cell.  Arguments: `InstanceAdapter`.  Coordinates are the model's own."""

    name = "yolox_pose"
    head_types = ("YOLOXPoseHead",)

    def instances(self, feats: Any, size: tuple[int, int], *, all_scores: bool = False) -> Instances:
        """By `head.predict`; the cell of a person is the one whose joints it has."""
        persons = self.predicted(feats, size, all_scores=all_scores)
        keypoints = torch.as_tensor(persons.keypoints)
        table = self._coords(self.outputs(feats, size), slice(None))[0]  # (N, K, 2)
        cells = rows_of(keypoints.flatten(1), table.flatten(1))
        return Instances(keypoints, torch.as_tensor(persons.bbox_scores), cells)

    def decode(self, output: Any) -> Coordinates:
        """The head's output of images -> (B, K, 2) in input px."""
        return Coordinates(self._coords(output, slice(self.cell, self.cell + 1))[:, 0])

    def _coords(self, output: Any, cells: slice) -> Tensor:
        """(B, n, K, 2)."""
        _, _, _, offsets, _ = output
        places, strides = self.grids(offsets)
        coords: Tensor = self.head.decode_kpt_reg(self.at(offsets, cells), places[cells], strides[cells])
        return coords
