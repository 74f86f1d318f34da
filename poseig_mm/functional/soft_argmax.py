"""Soft-argmax: the expected position under softmax(beta * scores), differentiable, in the units of the grid's cells.

As beta grows it goes to the argmax (between cells where two neighbours tie); as it falls, to the centre of the grid.
On a 64 x 48 heatmap with a Gaussian of peak 1 the published beta = 10 is off by up to a pixel, and by many on weak
peaks: see `CoordinateAdapter.calibrate`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ShapeError


def spatial_softmax(heatmaps: Tensor, beta: float | Tensor) -> Tensor:
    """softmax(beta * heatmaps) over all pixels of each heatmap.

    Args:
        heatmaps: (B, K, h, w) scores of any scale.
        beta: sharpness, in units of 1 / score; a number, or a tensor that broadcasts to (B, K, 1, 1).

    Returns:
        (B, K, h, w), >= 0, each map summing to 1.

    Raises:
        ShapeError: `heatmaps` has not four dimensions.

    >>> spatial_softmax(torch.zeros(1, 1, 2, 2), 10.0).tolist()
    [[[[0.25, 0.25], [0.25, 0.25]]]]
    """
    if heatmaps.ndim != 4:
        raise ShapeError(f"heatmaps have shape {tuple(heatmaps.shape)}; expected (B, K, h, w)")
    return (beta * heatmaps).flatten(2).softmax(2).view_as(heatmaps)


def expected_position(weights: Tensor) -> Tensor:
    """Mean position under weights that sum to 1.

    Args:
        weights: (B, K, h, w).

    Returns:
        (B, K, 2): (x, y) in heatmap px, pixel centres at integers.

    >>> expected_position(torch.tensor([[[[0.0, 0.25], [0.0, 0.75]]]])).tolist()
    [[[1.0, 0.75]]]
    """
    height, width = weights.shape[-2:]
    columns = torch.arange(width, dtype=weights.dtype, device=weights.device)
    rows = torch.arange(height, dtype=weights.dtype, device=weights.device)
    return torch.stack([weights.sum(-2) @ columns, weights.sum(-1) @ rows], -1)


def soft_argmax(heatmaps: Tensor, beta: float | Tensor) -> Tensor:
    """Expected position of each heatmap's peak: sum_p p * softmax(beta * heatmap)_p.

    Args:
        heatmaps: (B, K, h, w) scores of any scale.
        beta: sharpness (it multiplies, as in the published implementation), in units of 1 / score; a number, or a
            tensor that broadcasts to (B, K, 1, 1).

    Returns:
        (B, K, 2): (x, y) in heatmap px, pixel centres at integers, x in [0, w - 1], y in [0, h - 1].

    Raises:
        ShapeError: `heatmaps` has not four dimensions.

    >>> heatmaps = torch.zeros(1, 1, 8, 6)
    >>> heatmaps[0, 0, 5, 2] = 1.0
    >>> soft_argmax(heatmaps, 50.0).tolist()  # sharp: the peak, (x, y)
    [[[2.0, 5.0]]]
    >>> [round(v, 4) for v in soft_argmax(heatmaps, 0.0).flatten().tolist()]  # flat: the centre of the map
    [2.5, 3.5]
    """
    return expected_position(spatial_softmax(heatmaps, beta))


def soft_argmax_1d(logits: Tensor, beta: float | Tensor) -> Tensor:
    """The same along one axis, for models that classify x and y separately (SimCC).

    Args:
        logits: (B, K, n) scores of the n bins of an axis.
        beta: sharpness; a number, or a tensor that broadcasts to (B, K, 1).

    Returns:
        (B, K) in bins, bin centres at integers, in [0, n - 1].

    Raises:
        ShapeError: `logits` has not three dimensions.

    >>> soft_argmax_1d(torch.tensor([[[0.0, 0.0, 9.0, 9.0]]]), 10.0).tolist()  # two equal peaks: between them
    [[2.5]]
    """
    if logits.ndim != 3:
        raise ShapeError(f"logits have shape {tuple(logits.shape)}; expected (B, K, n)")
    bins = torch.arange(logits.shape[-1], dtype=logits.dtype, device=logits.device)
    return (beta * logits).softmax(-1) @ bins
