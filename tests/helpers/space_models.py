"""A model of joints in space whose answers are worked out by hand, and persons with true joints in mm beside 2D ones.

Named in `diagnosis.plugins`, it brings the model's adapter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor

from poseig_mm import hookimpl
from poseig_mm.compat import prepare_environment

prepare_environment()

from mmpose.datasets import CocoDataset  # noqa: E402
from mmpose.datasets.transforms import PackPoseInputs  # noqa: E402
from mmpose.models.heads import BaseHead  # noqa: E402
from mmpose.registry import DATASETS, MODELS  # noqa: E402

from poseig_mm.adapters.base import CoordinateAdapter  # noqa: E402
from poseig_mm.types import Coordinates  # noqa: E402

JOINTS, CELL, SIZE = 17, 12, 64
GAIN = 50.0  # mm a unit of the normalised image


def patch(k: int) -> tuple[slice, slice]:
    """The rows and columns of the input that joint k is read from."""
    y, x = CELL * (k // 5), CELL * (k % 5)
    return slice(y, y + CELL), slice(x, x + CELL)


def truth_of(number: int) -> Any:
    """(17, 3) mm: the true joints of the annotation with this id."""
    return np.random.default_rng(number).normal(0, 60, (JOINTS, 3)).astype(np.float32)


@MODELS.register_module()
class Pixels(BaseModule):
    """The image as it is."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (images,)


@MODELS.register_module()
class PatchHead(BaseHead):
    """Joint k lies at GAIN * m * (1, 2, 2) / 3 mm, m the mean of its patch: m GAIN mm from the origin."""

    def __init__(self) -> None:
        super().__init__()
        self.input_size, self.num_joints = (SIZE, SIZE), JOINTS
        self.direction = torch.nn.Parameter(torch.tensor([1.0, 2.0, 2.0]) / 3)

    def forward(self, feats: tuple[Tensor]) -> Tensor:
        means = torch.stack([feats[0][(slice(None), slice(None), *patch(k))].mean((1, 2, 3)) for k in range(JOINTS)], 1)
        return GAIN * means[..., None] * self.direction

    def predict(self, feats: tuple[Tensor], batch_data_samples: Any, test_cfg: Any = None) -> list[Any]:
        return [InstanceData(keypoints=k[None].numpy()) for k in self.forward(feats).detach()]

    def loss(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


@DATASETS.register_module()
class SpaceDataset(CocoDataset):
    """`keypoints_3d` (1, K, 3) mm in `gt_instances`; joint `unknown` has none."""

    METAINFO: dict[str, Any] = CocoDataset.METAINFO

    def __init__(self, *args: Any, unknown: int | None = None, field: str = "keypoints_3d", **kwargs: Any) -> None:
        self.unknown, self.field = unknown, field
        super().__init__(*args, **kwargs)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        info = super().get_data_info(idx)
        points = truth_of(int(info["id"]))[None]
        if self.unknown is not None:
            points[0, self.unknown] = np.nan
        table = {**PackPoseInputs.instance_mapping_table, self.field: self.field}
        return {**info, self.field: points, "instance_mapping_table": table}


class PatchAdapter(CoordinateAdapter):
    """The head's millimetres."""

    name, head_types, unit = "patches", ("PatchHead",), "mm"

    def decode(self, output: Any) -> Coordinates:
        return Coordinates(output)


@hookimpl
def poseig_register_adapters() -> list[Any]:
    return [PatchAdapter]
