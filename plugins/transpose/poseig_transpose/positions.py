"""The fixed position embedding of TransPose: sines of the row and of the column."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["sine_positions"]

TEMPERATURE = 10_000.0


def sine_positions(size: tuple[int, int], channels: int) -> Tensor:
    """DETR's two-dimensional sine embedding, as TransPose's official code computes it.

    The first half of the channels tells the row, the second the column: channel i of a half is a sine (i even) or
    cosine (i odd) of `2 pi n / (N + 1e-6)`, n = 1 .. N, over `10000 ** (2 (i // 2) / (channels / 2))`.

    Args:
        size: (w, h) of the grid of tokens.
        channels: of a token; a multiple of 4.

    Returns:
        (h * w, 1, channels) float32, row by row, values in [-1, 1].

    Raises:
        ValueError: channels that cannot be split into pairs for rows and columns.

    >>> first = sine_positions((4, 2), 4)[0, 0]  # row 1 of 2, column 1 of 4
    >>> [round(v, 4) + 0.0 for v in first.tolist()]  # sin and cos of pi, then of pi / 2
    [0.0, -1.0, 1.0, 0.0]
    """
    if channels % 4:
        raise ValueError(f"a position embedding of {channels} channels; expected a multiple of 4")
    width, height = size
    half = channels // 2
    periods = TEMPERATURE ** (2 * (torch.arange(half) // 2) / half)  # (half,)

    def along(count: int) -> Tensor:
        turns = torch.arange(1, count + 1, dtype=torch.float32) / (count + 1e-6) * (2 * math.pi)
        phases = turns[:, None] / periods  # (count, half)
        return torch.where(torch.arange(half) % 2 == 0, phases.sin(), phases.cos())

    rows, columns = along(height), along(width)
    grid = torch.cat(
        [rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], -1
    )  # (h, w, channels)
    return grid.reshape(height * width, 1, channels)
