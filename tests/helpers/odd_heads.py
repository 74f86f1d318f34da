"""Heads of the kind that users write: several outputs, names for them, other units, states that evaluation leaves on.

A config names one by `custom_imports` and `head.type`; see `odd_head`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tiny import tiny, write_run
from torch import Tensor, nn

from poseig_mm.compat import prepare_environment

prepare_environment()
from mmcv.transforms import BaseTransform  # noqa: E402
from mmpose.models.heads import HeatmapHead, RegressionHead  # noqa: E402
from mmpose.registry import MODELS, TRANSFORMS  # noqa: E402

__all__ = ["odd_head"]


class _WithParts(HeatmapHead):
    """Gives part maps beside the heatmaps; its `predict` reads the heatmaps, as `heatmaps` finds them."""

    def heatmaps(self, output: Any) -> Tensor:
        """The heatmaps."""
        raise NotImplementedError

    def predict(self, feats: Any, batch_data_samples: Any, test_cfg: Any = None) -> Any:
        """MMPose's own, of the heatmaps."""
        return self.decode(self.heatmaps(self.forward(feats)))


def parts_of(heatmaps: Tensor) -> Tensor:
    """As many part maps as heatmaps, peaked elsewhere."""
    return heatmaps.roll((5, 7), (2, 3)).flip(1)


@MODELS.register_module(force=True)
class PartsHead(_WithParts):
    """(heatmaps, part maps), as many of these."""

    def forward(self, feats: Any) -> Any:
        """Both."""
        heatmaps = super().forward(feats)
        return heatmaps, parts_of(heatmaps)

    def heatmaps(self, output: Any) -> Tensor:
        """The first."""
        return output[0]


@MODELS.register_module(force=True)
class PartsFirstHead(_WithParts):
    """(part maps, heatmaps), as many of these: nothing tells which is which."""

    def forward(self, feats: Any) -> Any:
        """Both."""
        heatmaps = super().forward(feats)
        return parts_of(heatmaps), heatmaps

    def heatmaps(self, output: Any) -> Tensor:
        """The second."""
        return output[1]


@MODELS.register_module(force=True)
class FewPartsFirstHead(PartsFirstHead):
    """(three part maps, heatmaps)."""

    def forward(self, feats: Any) -> Any:
        """Both."""
        parts, heatmaps = super().forward(feats)
        return parts[:, :3], heatmaps


@MODELS.register_module(force=True)
class NamedHead(_WithParts):
    """A dict, with something of another kind in it."""

    def forward(self, feats: Any) -> Any:
        """Part maps, heatmaps and a word."""
        heatmaps = super().forward(feats)
        return {"note": "x", "parts": parts_of(heatmaps)[:, :3], "heatmaps": [heatmaps.detach() * 0, heatmaps]}

    def heatmaps(self, output: Any) -> Tensor:
        """The last stage."""
        return output["heatmaps"][-1]


@MODELS.register_module(force=True)
class OwnNothingHead(HeatmapHead):
    """A tuple, and MMPose's own `predict`, which takes none."""

    def forward(self, feats: Any) -> Any:
        """Both."""
        heatmaps = super().forward(feats)
        return heatmaps, heatmaps


@MODELS.register_module(force=True)
class NoHeatmapHead(_WithParts):
    """A dict without a heatmap of each joint."""

    def forward(self, feats: Any) -> Any:
        """Three part maps."""
        heatmaps = super().forward(feats)
        self.kept = heatmaps
        return {"parts": heatmaps[:, :3]}

    def heatmaps(self, output: Any) -> Tensor:
        """What was not given."""
        return self.kept


@MODELS.register_module(force=True)
class SigmaHead(RegressionHead):
    """(coordinates, deviations)."""

    def forward(self, feats: Any) -> Any:
        """Both."""
        coords = super().forward(feats)
        return coords, coords.sigmoid()

    def predict(self, feats: Any, batch_data_samples: Any, test_cfg: Any = None) -> Any:
        """MMPose's own, of the coordinates."""
        return self.decode(self.forward(feats)[0].unsqueeze(1))


@MODELS.register_module(force=True)
class OtherUnitsHead(HeatmapHead):
    """Decodes to heatmap px in the place of input px."""

    def decode(self, batch_outputs: Any) -> Any:
        """MMPose's own, a quarter of it."""
        found = super().decode(batch_outputs)
        for instances in found:
            instances.keypoints = instances.keypoints / 4
        return found


@MODELS.register_module(force=True)
class DropoutHead(HeatmapHead):
    """Draws whenever it runs."""

    def forward(self, feats: Any) -> Any:
        """Of features some of which are dropped."""
        return super().forward((F.dropout(feats[-1], 0.5, training=True),))


@MODELS.register_module(force=True)
class TrainingNormHead(HeatmapHead):
    """A batch norm by the batch's own statistics."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.norm = nn.BatchNorm2d(given["in_channels"])

    def forward(self, feats: Any) -> Any:
        """Of normed features."""
        self.norm.train()
        return super().forward((self.norm(feats[-1]),))


@TRANSFORMS.register_module(force=True)
class ShareOfWhite(BaseTransform):
    """Pixels from 0 to 1."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """In place."""
        results["img"] = results["img"].astype("float32") / 255
        return results


def odd_head(folder: Path, name: str, diagnosis: dict[str, Any] | None = None, **options: Any) -> tiny:
    """A tiny run whose head is one of the above."""
    made = write_run(folder, diagnosis, imports=("mmpose", __name__), **options)
    text = made.config.read_text().replace("type='HeatmapHead'", f"type='{name}'")
    made.config.write_text(text)
    if name == "TrainingNormHead":
        state = torch.load(made.weights)
        channels = 8
        values = {"weight": torch.ones(channels), "bias": torch.zeros(channels), "running_mean": torch.zeros(channels),
                  "running_var": torch.ones(channels), "num_batches_tracked": torch.tensor(0)}  # fmt: skip
        state["state_dict"] |= {f"head.norm.{key}": value for key, value in values.items()}
        torch.save(state, made.weights)
    return made
