"""HandOccNet as an MMPose backbone; the names of its parts are those of the official checkpoints.

Source: Park, Oh, Moon, Choi, Lee, CVPR 2022.  The released code (github.com/namepllet/HandOccNet) has no licence: this
is written from facts of the architecture alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError

from .fpn import FPN
from .hourglass import HeatmapJoints
from .mano_regression import HeatmapEncoder, ManoRegression
from .resnet import RESNET50
from .skinning import ManoLayer, mano_layer
from .transformer import Transformer

prepare_environment()

from mmengine.model import BaseModule  # noqa: E402  (needs a prepared environment)
from mmpose.registry import MODELS  # noqa: E402

__all__ = ["HandOccNet"]


class Regressor(nn.Module):
    """`regressor`: heatmaps and 2D joints, a vector of both, MANO's parameters and the mesh."""

    def __init__(
        self, size: int, channels: int, joints: int, depth: int, neurons: Sequence[int], layer: ManoLayer | None
    ) -> None:
        super().__init__()
        self.hand_regHead = HeatmapJoints(size, channels, joints, depth)
        self.hand_Encoder = HeatmapEncoder(joints, channels, depth)
        self.mano_regHead = ManoRegression(channels * (size // 2**depth) ** 2, neurons, layer)

    def forward(self, feature: Tensor) -> dict[str, Tensor]:
        """(B, C, n, n) -> `uv`, `heatmaps`, and what `ManoRegression` gives."""
        heatmaps, places, feature = self.hand_regHead(feature)
        return {"uv": places, "heatmaps": heatmaps, **self.mano_regHead(self.hand_Encoder(heatmaps, feature))}


@MODELS.register_module()
class HandOccNet(BaseModule):  # type: ignore[misc]  # mmengine is untyped
    """A gated feature pyramid, two transformers, and a regressor of MANO's parameters.

    Args:
        mano: where MANO's arrays come from: 'checkpoint' (the official files have them), a MANO file, 'synthetic' (a
            hand of our own, to try things), or None: no mesh, only the joints in the image.
        num_joints: K of the heatmaps.
        faces: triangles of the mesh that 'checkpoint' brings.
        size: n, cells of the feature along each direction; the input has 8 n pixels.
        blocks, width, channels: of the pyramid.
        blocks_each, heads: of each transformer.
        depth: of the hourglass and the encoder; n is divisible by 2 ** depth.
        neurons: hidden, before MANO's parameters.

    Raises:
        ConfigError: a size that cannot be halved `depth` times.
        CheckpointError: the MANO file is not there, or is none.
    """

    def __init__(
        self,
        mano: str | None = "checkpoint",
        num_joints: int = 21,
        faces: int = 1538,
        size: int = 32,
        blocks: Sequence[int] = RESNET50,
        width: int = 64,
        channels: int = 256,
        blocks_each: int = 2,
        heads: int = 4,
        depth: int = 4,
        neurons: Sequence[int] = (1024, 512),
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if size % 2**depth:
            raise ConfigError(
                f"size is {size}, which {depth} halvings do not divide; expected a multiple of {2**depth}"
            )
        self.gives_joints = mano is not None
        layer = None if mano is None else mano_layer(mano, faces)
        self.backbone = FPN(blocks, width, channels)
        self.FIT = Transformer(True, size, channels, blocks_each, heads)
        self.SET = Transformer(False, size, channels, blocks_each, heads)
        self.regressor = Regressor(size, channels, num_joints, depth, neurons, layer)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (B, 3, 8 n, 8 n), RGB / 255 -> a dictionary.

        `uv` (B, K, 2), fractions of the crop's (w, h); `heatmaps` (B, K, n, n); `pose` (B, 48), axis-angle without the
        mean pose; `shape` (B, 10); with MANO's arrays `vertices` (B, 778, 3) and `joints` (B, 21, 3), FreiHAND's order,
        m, where MANO places them.
        """
        primary, secondary = self.backbone(images)
        injected = self.FIT(secondary, primary)
        predictions: dict[str, Tensor] = self.regressor(self.SET(injected, injected))
        return predictions
