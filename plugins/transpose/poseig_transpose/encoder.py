"""The transformer encoder between backbone and head, as an MMPose neck."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ShapeError

from .positions import sine_positions

prepare_environment()

from mmengine.model import BaseModule  # noqa: E402  (needs a prepared environment)
from mmpose.registry import MODELS  # noqa: E402

__all__ = ["Encoder", "EncoderLayer", "TransPoseEncoder"]


class EncoderLayer(nn.Module):
    """Attention and a two-layer network, each added to what came in and normalised afterwards (DETR's post-norm layer).

    Names of the submodules are those of the official checkpoints.
    """

    def __init__(self, channels: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(channels, heads, dropout=dropout)
        self.linear1 = nn.Linear(channels, hidden)
        self.linear2 = nn.Linear(hidden, channels)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Tokens (L, B, C) and their positions (L, 1, C) -> tokens; positions are in queries and keys, not in
        values.
        """
        asking = tokens + positions
        attended, _ = self.self_attn(asking, asking, tokens, need_weights=False)
        tokens = self.norm1(tokens + self.dropout(attended))
        hidden = self.dropout(F.relu(self.linear1(tokens)))
        found: Tensor = self.norm2(tokens + self.dropout(self.linear2(hidden)))
        return found


class Encoder(nn.Module):
    """A stack of `EncoderLayer`; positions enter each of them, and there is no norm at the end."""

    def __init__(self, layers: int, channels: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(channels, heads, hidden, dropout) for _ in range(layers))
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """(L, B, C), (L, 1, C) -> (L, B, C)."""
        for layer in self.layers:
            tokens = layer(tokens, positions)
        return tokens


@MODELS.register_module()
class TransPoseEncoder(BaseModule):  # type: ignore[misc]  # mmengine is untyped
    """The backbone's (first, highest) feature map, its cells as tokens that attend to one another.

    Args:
        in_channels: of the feature map.
        in_featuremap_size: (w, h) of it, cells; the position embedding is made for it.
        channels: of a token (d).
        hidden: of the layers' two-layer networks.
        heads: of the attention.
        layers: how many.
        dropout: in training, also of attention weights.
        init_cfg: MMEngine's; None keeps Xavier's initialisation in the encoder.

    Attributes:
        pos_embedding: (h * w, 1, channels), a parameter that is never trained; the published counts include it, and a
            checkpoint replaces it.
    """

    def __init__(
        self,
        in_channels: int,
        in_featuremap_size: Sequence[int],
        channels: int = 256,
        hidden: int = 1024,
        heads: int = 8,
        layers: int = 4,
        dropout: float = 0.1,
        init_cfg: dict[str, object] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_featuremap_size = (int(in_featuremap_size[0]), int(in_featuremap_size[1]))
        self.reduce = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.pos_embedding = nn.Parameter(sine_positions(self.in_featuremap_size, channels), requires_grad=False)
        self.global_encoder = Encoder(layers, channels, heads, hidden, dropout)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor]:
        """Feature maps, the first (B, in_channels, h, w) -> one map (B, channels, h, w).

        Raises:
            ShapeError: a map of another size than the position embedding is for.
        """
        x = self.reduce(features[0])
        height, width = x.shape[-2:]
        if (width, height) != self.in_featuremap_size:
            raise ShapeError(
                f"the feature map is {width} x {height} cells, but the position embedding is for "
                f"{self.in_featuremap_size[0]} x {self.in_featuremap_size[1]}; give images of the model's input size, "
                "or set in_featuremap_size in the config's neck"
            )
        tokens = self.global_encoder(x.flatten(2).permute(2, 0, 1), self.pos_embedding)  # (h * w, B, channels)
        return (tokens.permute(1, 2, 0).reshape(x.shape),)
