"""RTMOHead: each cell of two grids holds a person's score and box, and a vector that is turned into its joints."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import AdapterError
from ..types import Coordinates
from .instances import Instances, rows_of
from .yolox_pose import GridAdapter


class RTMOAdapter(GridAdapter):
    """The expectation of the coordinate classifier at the person's cell.  Arguments: `InstanceAdapter`.

    The classifier's bins lie over the box of that cell, so that the coordinates depend on the image through the box
    too. Coordinates are the model's own: `DCC.forward_test`, which is `forward_train` without gradient.
    """

    name = "rtmo"
    head_types = ("RTMOHead",)

    def instances(self, feats: Any, size: tuple[int, int], *, all_scores: bool = False) -> Instances:
        """By `head.predict`; the cell of a person is the one whose visibilities and score it has."""
        if not hasattr(self.head, "dcc") or getattr(self.head, "deploy", False):
            raise AdapterError(
                "this RTMOHead has no coordinate classifier for training (`dcc_cfg` is missing, or switch_to_deploy() "
                "was called); build the model from its config"
            )
        persons = self.predicted(feats, size, all_scores=all_scores)
        scores, visible = torch.as_tensor(persons.bbox_scores), torch.as_tensor(persons.keypoint_scores)
        classes, _, _, visibilities, _ = self.outputs(feats, size)
        shown = self.at(visibilities, slice(None))[0].sigmoid()  # (N, K)
        sure = self.at(classes, slice(None))[0].sigmoid().amax(-1, keepdim=True)  # (N, 1)
        cells = rows_of(torch.cat([visible, scores[:, None]], 1), torch.cat([shown, sure], 1))
        return Instances(torch.as_tensor(persons.keypoints), scores, cells)

    def decode(self, output: Any) -> Coordinates:
        """The head's output of images -> (B, K, 2) in input px."""
        from mmpose.structures.bbox import bbox_xyxy2cs

        _, boxes, _, _, vectors = output
        cell, one = self.cell, slice(self.cell, self.cell + 1)
        places, strides = self.grids(boxes)
        box = self.head.decode_bbox(self.at(boxes, one), places[one], strides[one])[:, 0]  # (B, 4) x0, y0, x1, y1
        spread = torch.cat(bbox_xyxy2cs(box, self.head.bbox_padding), 1)  # (B, 4) centre, size
        coords: Tensor = self.head.dcc.forward_train(self.at(vectors, cell), spread, places[one].expand(len(box), 2))[0]
        return Coordinates(coords)
