"""Heads that classify x and y: SimCCHead, RTMCCHead, RTMWHead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..functional.soft_argmax import soft_argmax_1d
from ..types import Coordinates
from .head_outputs import fitting
from .heads import codec_kind
from .soft import SoftArgmaxAdapter


class SimCCAdapter(SoftArgmaxAdapter):
    """Expectation under the softmaxes of the x and the y logits, over the split ratio.  Arguments: `CoordinateAdapter`.

    The logits are unnormalised.  Training takes softmax(beta * logits) with the loss' own beta (1 for SimCC, 10 for
    RTMPose), so that is where calibration starts.  There is no heatmap; nearness is measured at the common stride of 4
    px.
    """

    name = "simcc"
    head_types = ("SimCCHead", "RTMCCHead", "RTMWHead")

    def __init__(self, model: Any, *, beta: float | None = None, metainfo: Mapping[str, Any] | None = None) -> None:
        super().__init__(model, beta=beta, metainfo=metainfo)
        codec_kind(self.head, ("SimCCLabel",), self.name)
        self.split_ratio = float(self.head.decoder.simcc_split_ratio)  # bins per input px

    def default_beta(self) -> float:
        """The beta of the head's loss; 1 where it has none."""
        return float(getattr(getattr(self.head, "loss_module", None), "beta", 1.0))

    def scores(self, output: Any) -> tuple[Tensor, ...]:
        """The logits of x (B, K, W * ratio) and of y (B, K, H * ratio)."""
        return tuple(self.explained(output).values())

    def explained(self, output: Any) -> dict[str, Tensor]:
        """The logits of x and of y, by their places in the output."""
        joints = self.count_joints()
        expected = f"the logits of x and of y, (B, {joints}, bins) each"
        return fitting(output, lambda t: t.ndim == 3 and t.shape[1] == joints, expected, self.head, count=2)

    def decode(self, output: Any) -> Coordinates:
        """Logits of x and of y -> coordinates (B, K, 2), input px."""
        bins = torch.stack([soft_argmax_1d(logits, self.beta) for logits in self.scores(output)], -1)
        return Coordinates(bins / self.split_ratio)
