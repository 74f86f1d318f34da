"""HandOccNet's two transformers: FIT brings what hands look like into the rest of the image, SET is self-attention.

Source: Park, Oh, Moon, Choi, Lee, *HandOccNet: Occlusion-Robust 3D Hand Mesh Estimation Network*, CVPR 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Block", "Transformer", "attend"]


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, gate: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Scaled dot-product attention of several heads, with a gate for each query.

    Args:
        query, key, value: (B, N, C), a head's channels together.
        heads: C is divided by.
        gate: a second query and key, (B, N, C): the sigmoid of the sum over keys of their scaled products multiplies
            what the query collects; None: 1.

    Returns:
        (B, N, C).

    >>> x = torch.ones(1, 2, 4)
    >>> attend(x, x, x, 2)[0, 0].tolist(), attend(x, x, x, 2, (0 * x, x))[0, 0].tolist()
    ([1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 0.5, 0.5])
    """

    def split(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)  # (B, heads, N, C / heads)

    scale = (query.shape[-1] // heads) ** -0.5
    weights = (split(query) @ split(key).transpose(-1, -2) * scale).softmax(-1)
    if gate is not None:
        summed = split(gate[1]).sum(2, keepdim=True)  # over keys: the product is linear in them
        weights = weights * ((split(gate[0]) * summed).sum(-1, keepdim=True) * scale).sigmoid()
    found: Tensor = (weights @ split(value)).transpose(1, 2).flatten(2)
    return found


class Block(nn.Module):
    """Attention of one map to another, and a two-layer network of each cell.

    Args:
        size: cells along each direction.
        channels: of both maps.
        heads: of the attention.
        ratio: hidden channels of the network over `channels`.
        injection: gated attention, whose result takes the query's place (FIT); otherwise it is added to it (SET).
    """

    def __init__(self, size: int, channels: int, heads: int, ratio: int, injection: bool) -> None:
        super().__init__()
        self.heads, self.injection = heads, injection
        names = ["encode_query", "encode_key", "encode_value"] + ["encode_query2", "encode_key2"] * injection
        for name in names:
            self.add_module(name, nn.Conv2d(channels, channels, 1))
        self.q_embedding = nn.Parameter(torch.randn(1, channels, size, size))
        self.k_embedding = nn.Parameter(torch.randn(1, channels, size, size))
        self.norm2 = nn.LayerNorm(channels)
        layers = {"fc1": nn.Linear(channels, ratio * channels), "fc2": nn.Linear(ratio * channels, channels)}
        self.mlp = nn.ModuleDict(layers)

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """(B, C, n, n) twice -> (B, C, n, n)."""
        q, k = query + self.q_embedding, key + self.k_embedding

        def encoded(name: str, x: Tensor) -> Tensor:
            tokens: Tensor = self.get_submodule(name)(x).flatten(2)
            return tokens.transpose(1, 2)  # (B, N, C)

        gate = (encoded("encode_query2", q), encoded("encode_key2", k)) if self.injection else None
        x = attend(encoded("encode_query", q), encoded("encode_key", k), encoded("encode_value", key), self.heads, gate)
        if not self.injection:
            x = x + query.flatten(2).transpose(1, 2)
        x = x + self.mlp["fc2"](nn.functional.gelu(self.mlp["fc1"](self.norm2(x))))
        found: Tensor = x.transpose(1, 2).reshape(query.shape)
        return found


class Transformer(nn.Module):
    """Blocks one after the other, each with the same key; with injection, the result is joined with it once more.

    Args:
        size, channels, heads, ratio, injection: of each block.
        depth: blocks.
    """

    def __init__(
        self, injection: bool, size: int = 32, channels: int = 256, depth: int = 2, heads: int = 4, ratio: int = 4
    ) -> None:
        super().__init__()
        self.injection = injection
        self.layers = nn.ModuleList(Block(size, channels, heads, ratio, injection) for _ in range(depth))
        if injection:
            self.conv1 = nn.Sequential(
                nn.Conv2d(2 * channels, channels, 3, 1, 1), nn.ReLU(), nn.Conv2d(channels, channels, 3, 1, 1)
            )
            self.conv2 = nn.Sequential(nn.Conv2d(2 * channels, channels, 1))

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """(B, C, n, n) twice -> (B, C, n, n).  Blocks replace the query alone."""
        x = query
        for layer in self.layers:
            x = layer(x, key)
        if self.injection:
            both = torch.cat([key, x], 1)
            x = self.conv1(both) + self.conv2(both)
        return x
