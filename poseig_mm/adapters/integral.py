"""Heads that take a soft-argmax themselves: IntegralRegressionHead, DSNTHead, with or without debiasing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..types import Coordinates
from .base import CoordinateAdapter
from .head_outputs import fitting


class IntegralAdapter(CoordinateAdapter):
    """The head's own coordinates, fractions of the input's size, in input px.  Arguments: `CoordinateAdapter`.

    Beta and debiasing are the head's.  `Coordinates.heatmaps` are what it integrates over: they sum to 1.
    """

    name = "integral"
    head_types = ("IntegralRegressionHead",)

    def __init__(self, model: Any, *, beta: float | None = None, metainfo: Mapping[str, Any] | None = None) -> None:
        super().__init__(model, beta=beta, metainfo=metainfo)
        width, height = self.head.heatmap_size
        self.stride = (self.input_size[0] / width + self.input_size[1] / height) / 2

    def decode(self, output: Any) -> Coordinates:
        """(coordinates (B, K, 2) over the input's (w, h), heatmaps (B, K, h, w)) -> coordinates (B, K, 2), input px."""
        coords, heatmaps = self.explained(output).values()
        return Coordinates(coords * coords.new_tensor(self.input_size), heatmaps=heatmaps)

    def explained(self, output: Any) -> dict[str, Tensor]:
        """The coordinates and the heatmaps, by their places in the output."""
        joints = self.count_joints()
        coords = fitting(
            output,
            lambda t: t.ndim == 3 and t.shape[1] == joints and t.shape[2] == 2,
            f"coordinates (B, {joints}, 2)",
            self.head,
        )
        heatmaps = fitting(
            output,
            lambda t: t.ndim == 4 and t.shape[1] == joints,
            f"heatmaps (B, {joints}, h, w)",
            self.head,
        )
        return coords | heatmaps
