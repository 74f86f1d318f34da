"""Attention of a TransPose model: which cells of the feature map the cell of a joint's prediction draws on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poseig_mm.errors import ConfigError

__all__ = ["attention_matrices", "cells_of", "dependency_maps", "has_attention", "pooled"]


def has_attention(model: Any) -> bool:
    """Whether the model's neck is a `TransPoseEncoder` (or has the like of its `global_encoder.layers`)."""
    encoder = getattr(getattr(model, "neck", None), "global_encoder", None)
    return isinstance(getattr(encoder, "layers", None), nn.ModuleList)


@contextmanager
def attention_matrices(model: Any, layers: Sequence[int] = (-1,)) -> Iterator[dict[int, Tensor]]:
    """Within the context, each forward pass leaves the attention of some layers in the dictionary that is yielded.

    Args:
        model: an MMPose model with a `TransPoseEncoder`.
        layers: of the encoder; negative ones count from the end.

    Yields:
        layer as given -> (B, L, L), mean over heads, rows (queries) sum to 1; L = h * w cells, row by row.

    Raises:
        ConfigError: there is no such layer.
    """
    encoder = model.neck.global_encoder.layers
    found: dict[int, Tensor] = {}

    def ask(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {**kwargs, "need_weights": True, "average_attn_weights": True}

    hooks = []
    try:
        for layer in layers:
            if not -len(encoder) <= layer < len(encoder):
                raise ConfigError(
                    f"attention layer {layer}: the encoder has {len(encoder)}; expected {-len(encoder)} to "
                    f"{len(encoder) - 1}"
                )

            def keep(module: nn.Module, args: Any, output: tuple[Tensor, Tensor], layer: int = layer) -> None:
                found[layer] = output[1].detach()

            hooks.append(encoder[layer].self_attn.register_forward_pre_hook(ask, with_kwargs=True))
            hooks.append(encoder[layer].self_attn.register_forward_hook(keep))
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def cells_of(points: Tensor, input_size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """The cells that points lie in, as the official code finds them: the coordinate over the stride, rounded down.

    Args:
        points: (..., 2), (x, y), input px, finite.
        input_size: (w, h), px.
        grid: (w, h), cells.

    Returns:
        (..., 2), (column, row), whole numbers; points outside the input belong to the cell at its edge.

    >>> cells_of(torch.tensor([[15.9, 16.0], [-3.0, 500.0]]), (192, 256), (24, 32)).tolist()
    [[1, 2], [0, 31]]
    """
    stride = points.new_tensor([size / cells for size, cells in zip(input_size, grid, strict=True)])
    most = torch.tensor(grid, device=points.device) - 1
    return torch.minimum((points / stride).floor().long().clamp_min(0), most)


def dependency_maps(matrix: Tensor, cells: Tensor, grid: tuple[int, int]) -> Tensor:
    """What the cells draw on: their rows of the attention matrix, the paper's dependency area.

    Args:
        matrix: (L, L), rows are queries.
        cells: (K, 2), (column, row).
        grid: (w, h).

    Returns:
        (K, h, w), each sums to 1.

    >>> dependency_maps(torch.eye(6), torch.tensor([[2, 1]]), (3, 2))[0].tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    width, height = grid
    return matrix[cells[:, 1] * width + cells[:, 0]].reshape(-1, height, width)


def pooled(maps: Tensor, grid: tuple[int, int]) -> Tensor:
    """Maps (K, H, W) of the input as shares of their mass on each cell, (K, h, w), each sums to 1 (NaN where it has
    none).

    >>> pooled(torch.tensor([[[1.0, 1.0, 0.0, 2.0]]]), (2, 1)).tolist()
    [[[0.5, 0.5]]]
    """
    width, height = grid
    mass = F.adaptive_avg_pool2d(maps[None], (height, width))[0]
    return mass / mass.sum((1, 2), keepdim=True)
