"""Deformable convolution in plain torch, where mmcv's compiled operator is missing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    deform_groups: int = 1,
    bias: bool = False,
    im2col_step: int = 32,
) -> Tensor:
    """What `mmcv.ops.deform_conv2d` computes, differentiable in every tensor.

    Each tap of the kernel reads the input where its offset says, bilinearly, zero outside; then it is a convolution.

    Args:
        x: (B, C, H, W).
        offset: (B, deform_groups * kh * kw * 2, h, w), px of `x`: for each group and tap (y, x).
        weight: (O, C / groups, kh, kw).
        stride, padding, dilation: as of a convolution, one number or (y, x).
        groups: of the convolution.
        deform_groups: how many parts of the channels have offsets of their own.
        bias, im2col_step: there for mmcv's signature; neither has an effect, as there.

    Returns:
        (B, O, h, w).

    Source: Dai et al., Deformable Convolutional Networks (ICCV 2017), eq. 2 and 3.

    >>> x, weight = torch.randn(1, 4, 5, 6), torch.randn(8, 2, 3, 3)
    >>> convolved = deform_conv2d(x, torch.zeros(1, 18, 5, 6), weight, padding=1, groups=2)
    >>> torch.allclose(convolved, F.conv2d(x, weight, padding=1, groups=2), atol=1e-5)
    True
    """
    (sy, sx), (py, px), (dy, dx) = (v if isinstance(v, tuple) else (v, v) for v in (stride, padding, dilation))
    batch, channels, height, width = x.shape
    rows, columns = weight.shape[-2:]
    h, w = offset.shape[-2:]
    parts = x.reshape(batch * deform_groups, channels // deform_groups, height, width)
    moved = offset.reshape(batch * deform_groups, rows * columns, 2, h, w)
    y = torch.arange(h, dtype=x.dtype, device=x.device)[:, None] * sy - py
    x_ = torch.arange(w, dtype=x.dtype, device=x.device)[None, :] * sx - px
    out = x.new_zeros(batch, weight.shape[0], h, w)
    for tap in range(rows * columns):  # one after the other: what is read is never held for all taps at once
        i, j = divmod(tap, columns)
        there = torch.stack([x_ + j * dx + moved[:, tap, 1], y + i * dy + moved[:, tap, 0]], -1)  # (B G, h, w, 2), px
        grid = (2 * there + 1) / x.new_tensor([width, height]) - 1
        read = F.grid_sample(parts, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        out = out + F.conv2d(read.reshape(batch, channels, h, w), weight[:, :, i : i + 1, j : j + 1], groups=groups)
    return out
