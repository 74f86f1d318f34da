"""Deformable convolution in plain torch, against convolution and against its definition."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from poseig_mm.adapters.deformable import deform_conv2d

torch.manual_seed(0)
X = torch.randn(2, 4, 6, 7, dtype=torch.float64)
WEIGHT = torch.randn(6, 2, 3, 3, dtype=torch.float64)  # two groups


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 1, 1), (2, 0, 1), ((1, 2), (2, 1), 2)])
def test_without_offsets_it_is_a_convolution(stride: int, padding: int, dilation: int) -> None:
    """Whatever stride, padding and dilation."""
    expected = F.conv2d(X, WEIGHT, stride=stride, padding=padding, dilation=dilation, groups=2)
    offset = torch.zeros(2, 18, *expected.shape[2:], dtype=torch.float64)
    found = deform_conv2d(X, offset, WEIGHT, stride, padding, dilation, 2, 1)
    assert torch.allclose(found, expected, atol=1e-12)


def test_whole_offsets_shift_what_is_read() -> None:
    """One row down and two columns to the left for all taps: the convolution of the shifted input, zero outside."""
    offset = torch.tensor([1.0, -2.0], dtype=torch.float64).repeat(9)[None, :, None, None].expand(2, 18, 6, 7)
    shifted = F.pad(X, (2, 0, 0, 1))[:, :, 1:, :7]
    inner = F.conv2d(shifted, WEIGHT, padding=1, groups=2)
    found = deform_conv2d(X, offset, WEIGHT, padding=1, groups=2)
    within = (..., slice(1, -1), slice(1, -1))  # at the border the padding moves along
    assert torch.allclose(found[within], inner[within], atol=1e-12)


def _bilinear(image: Tensor, y: float, x: float) -> Tensor:
    """Value of (C, H, W) at a place between pixels, zero outside."""
    total = torch.zeros(image.shape[0], dtype=image.dtype)
    for i in (math.floor(y), math.floor(y) + 1):
        for j in (math.floor(x), math.floor(x) + 1):
            if 0 <= i < image.shape[1] and 0 <= j < image.shape[2]:
                total += image[:, i, j] * (1 - abs(y - i)) * (1 - abs(x - j))
    return total


def test_each_group_reads_where_its_own_offsets_say() -> None:
    """The definition, pixel by pixel: offsets are (y, x) of tap after tap of group after group."""
    x, weight = X[:1], WEIGHT
    offset = 2 * torch.randn(1, 2 * 18, 6, 7, dtype=torch.float64)
    found = deform_conv2d(x, offset, weight, padding=1, groups=2, deform_groups=2)
    expected = torch.zeros(6, 6, 7, dtype=torch.float64)
    for h in range(6):
        for w in range(7):
            for tap in range(9):
                i, j = divmod(tap, 3)
                read = []
                for g in range(2):
                    dy, dx = offset[0, g * 18 + 2 * tap, h, w].item(), offset[0, g * 18 + 2 * tap + 1, h, w].item()
                    read.append(_bilinear(x[0, 2 * g : 2 * g + 2], h - 1 + i + dy, w - 1 + j + dx))
                for o in range(6):
                    expected[o, h, w] += weight[o, :, i, j] @ read[o // 3]
    assert torch.allclose(found[0], expected, atol=1e-10)


def test_gradients_are_those_of_finite_differences() -> None:
    """In the input and in the offsets (away from whole numbers, where the latter jump)."""
    x = X[:1, :, :4, :4].clone().requires_grad_()
    offset = (0.3 + 0.2 * torch.rand(1, 18, 4, 4, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, b: deform_conv2d(a, b, WEIGHT, padding=1, groups=2), (x, offset), fast_mode=True
    )
