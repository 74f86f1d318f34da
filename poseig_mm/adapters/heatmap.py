"""Heads that give heatmaps: HeatmapHead and its subclasses, CPMHead, MSPNHead; codecs MSRA, UDP and Megvii.

Coordinates are pixels of the input that the network sees, as a data sample's keypoints are.  Those of UDPHeatmap's
`decode` are not: it aligns corners, (input - 1) / (heatmap - 1), in its `encode`, but decodes to fractions of the crop
times the input's size, which grow by up to one pixel towards the lower right corner.  Here they are taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..functional.heatmaps import quantised_heatmaps
from ..functional.soft_argmax import expected_position, soft_argmax, spatial_softmax
from ..types import Coordinates
from .head_outputs import fitting
from .heads import codec_kind, is_combined
from .soft import PUBLISHED_BETA, SoftArgmaxAdapter

CODECS = ("MSRAHeatmap", "UDPHeatmap", "MegviiHeatmap")
MEGVII_PEAK = 255.0  # of MegviiHeatmap's targets; its score for a joint without a peak is 0 / 255 + 0.5


@dataclass(frozen=True)
class HeatmapGrid:
    """Where heatmap pixels lie in the input: input px = (heatmap px + shift) * scale, both (x, y).

    >>> HeatmapGrid((4.0, 4.0), 0.5).to_input(torch.tensor([[[10.0, 12.0]]])).tolist()
    [[[42.0, 50.0]]]
    """

    scale: tuple[float, float]
    shift: float = 0.0

    def to_input(self, positions: Tensor) -> Tensor:
        """(B, K, 2), (x, y) in heatmap px -> (B, K, 2) in input px."""
        return (positions + self.shift) * positions.new_tensor(self.scale)

    def from_input(self, positions: Tensor) -> Tensor:
        """The inverse of `to_input`."""
        return positions / positions.new_tensor(self.scale) - self.shift


class HeatmapAdapter(SoftArgmaxAdapter):
    """Soft-argmax of the (last stage's) heatmaps, then as the codec; arguments: `CoordinateAdapter`.

    MSRAHeatmap: scale input / heatmap; the argmax' quarter-pixel or DARK step has no counterpart, a soft-argmax being
    finer than a pixel by itself.  MegviiHeatmap: the same with half a pixel's shift.  UDPHeatmap: scale (input - 1) /
    (heatmap - 1); with heatmap_type 'combined' each pixel votes for the place its offset points to, weighted by the
    softmax of the blurred class map (decode takes the vote of the argmax alone).
    """

    name = "heatmap"
    head_types = ("HeatmapHead", "CPMHead", "MSPNHead")

    def __init__(self, model: Any, *, beta: float | None = None, metainfo: Mapping[str, Any] | None = None) -> None:
        super().__init__(model, beta=beta, metainfo=metainfo)
        codec, kind = self.head.decoder, self.kind
        size, (width, height) = self.input_size, (int(n) for n in codec.heatmap_size)
        self.stride = (size[0] / width + size[1] / height) / 2
        less = 1 if kind == "UDPHeatmap" else 0  # it aligns corners
        scale = ((size[0] - less) / (width - less), (size[1] - less) / (height - less))
        self.grid = HeatmapGrid(scale, 0.5 * (kind == "MegviiHeatmap"))
        sigma = getattr(codec, "sigma", None)
        self.target_sigma = float(sigma) if isinstance(sigma, (int, float)) else self.target_sigma
        self.no_peak_score = 0.5 if kind == "MegviiHeatmap" else 0.0
        if self.combined:
            self.radius = float(codec.radius_factor) * max(width, height)  # heatmap px, unit of the offsets
            self._kernel = _opencv_kernel(2 * int(codec.blur_kernel_size) + 1)

    @property
    def kind(self) -> str:
        """The codec: one of `CODECS`."""
        return codec_kind(self.head, CODECS, self.name)

    @property
    def combined(self) -> bool:
        """UDP's class map and two offset maps a joint, instead of one heatmap."""
        return is_combined(self.head)

    @property
    def peak(self) -> float:
        """Height of the codec's targets."""
        return MEGVII_PEAK if self.kind == "MegviiHeatmap" else 1.0

    def default_beta(self) -> float:
        """The published 10, over the height of the codec's targets."""
        return PUBLISHED_BETA / self.peak

    def scores(self, output: Any) -> tuple[Tensor, ...]:
        """The heatmaps whose softmax is taken, flat."""
        return (self._class_maps(self._heatmaps(output)).flatten(2),)

    def decode(self, output: Any) -> Coordinates:
        """Heatmaps (B, K, h, w) ((B, 3K, h, w) where combined), alone or among others, -> input px."""
        maps = self._heatmaps(output)
        weights = spatial_softmax(self._class_maps(maps), self.beta)  # (B, K, h, w)
        positions = expected_position(weights)
        if self.combined:
            offsets = torch.stack([(weights * maps[:, i::3]).sum((2, 3)) for i in (1, 2)], -1)  # (B, K, 2), radii
            positions = positions + self.radius * offsets
            maps = maps[:, ::3]
        return Coordinates(self.grid.to_input(positions), heatmaps=maps)

    def quantised_target(self, keypoints: Tensor) -> Tensor:
        """The soft-argmax, of this `beta`, of the Gaussian around the heatmap pixel that is nearest to each keypoint.

        It lies up to half a heatmap pixel from the keypoint by the quantisation, and further towards the middle of the
        heatmap, to which a small beta pulls it.  Combined maps have offsets in their targets: the keypoints themselves.
        """
        if self.combined:
            return keypoints
        width, height = (int(n) for n in self.head.decoder.heatmap_size)
        heatmaps = quantised_heatmaps(self.grid.from_input(keypoints), (height, width), self.target_sigma)
        return self.grid.to_input(soft_argmax(self.peak * heatmaps, self.beta))

    def own_decoding(self, feats: Any, images: Tensor) -> tuple[Tensor, Tensor]:
        """The codec's, in px of the input: those of UDPHeatmap, fractions times the size, times size - 1."""
        keypoints, decided = super().own_decoding(feats, images)
        if self.kind == "UDPHeatmap":
            keypoints = keypoints * keypoints.new_tensor([(n - 1) / n for n in self.input_size])
        return keypoints, decided

    def explained(self, output: Any) -> dict[str, Tensor]:
        """The (last stage's) heatmaps, by their place in the output."""
        channels = self.count_joints() * (3 if self.combined else 1)
        expected = f"heatmaps (B, {channels}, h, w), or a list with one tensor a stage"
        return fitting(output, lambda t: t.ndim == 4 and t.shape[1] == channels, expected, self.head)

    def _heatmaps(self, output: Any) -> Tensor:
        (heatmaps,) = self.explained(output).values()
        return heatmaps

    def _class_maps(self, maps: Tensor) -> Tensor:
        """(B, K, h, w): the heatmaps; where combined the class maps, blurred as the codec's decode blurs them."""
        if not self.combined:
            return maps
        classes = maps[:, ::3]
        joints = classes.shape[1]
        kernel = self._kernel.to(classes)
        pad = len(kernel) // 2
        padded = F.pad(classes, (pad, pad, pad, pad), mode="reflect")
        rows = F.conv2d(padded, kernel.expand(joints, 1, 1, -1), groups=joints)
        return F.conv2d(rows, kernel[:, None].expand(joints, 1, -1, 1), groups=joints)


def _opencv_kernel(size: int) -> Tensor:
    """(size,) float64: OpenCV's Gaussian for sigma 0: 0.3 ((size - 1) / 2 - 1) + 0.8, its tables below 9."""
    import cv2

    return torch.from_numpy(cv2.getGaussianKernel(size, 0)[:, 0])
