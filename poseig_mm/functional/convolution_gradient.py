"""The input gradient of a convolution in one type, by the quickest way that there is."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .torch_features import prepared_convolution

_PREPARED = (torch.float32, torch.bfloat16)  # types that oneDNN lays out


class ConvolutionGradient:
    """Input gradients of the convolutions of one model, whose weights are converted and laid out once.

    On a CPU the gradient of a convolution of stride 1 is computed as the convolution with the flipped weight, that of a
    transposed convolution as the convolution that it transposes: both take a weight as oneDNN wants it, while
    `convolution_backward` lays it out anew in every call.  Depth-wise convolutions with a stride become such ones over
    the spread gradient in bfloat16, point-wise ones are spread afterwards.

    What is made of a weight is kept by its identity: use one object a model, and do not change the weights.

    Args:
        dtype: to compute in, where the weight is float32; other weights keep their type.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._made: dict[tuple[int, str], tuple[weakref.ref[Tensor], Tensor]] = {}  # by the weight's id and its use

    def __call__(self, node: Any, gradient: Tensor) -> Tensor:
        """(n, C, ...) of cotangents (n, C', ...) of the output, n being any multiple of the images of the forward pass.

        Args:
            node: autograd's, of a convolution over any number of dimensions.
        """
        weight, x, groups = node._saved_weight, node._saved_input, node._saved_groups
        dtype = self._dtype if weight.dtype is torch.float32 else weight.dtype
        gradient = gradient.to(dtype)
        stride, padding, dilation = node._saved_stride, node._saved_padding, node._saved_dilation
        if not (x.is_cpu and x.ndim == 4 and dtype in _PREPARED and prepared_convolution()):
            return self._any(node, gradient, dtype)
        if node._saved_transposed:
            return self._convolved(gradient, weight, padding, stride, dilation, groups, flipped=False)
        reach = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        margin = [r - p for r, p in zip(reach, padding, strict=True)]
        pointwise, depthwise = max(reach) == 0, weight.shape[1] == 1 and weight.shape[0] == groups > 1
        slow = depthwise and dtype is torch.bfloat16  # oneDNN has no quick kernel for it; in float32 it has
        if min(margin) < 0 or (max(stride) > 1 and not (pointwise or slow)):
            return self._any(node, gradient, dtype)
        if max(stride) > 1 and pointwise:  # a place is read once: convolved first, then spread
            convolved = self._convolved(gradient, weight, margin, [1, 1], dilation, groups, flipped=True)
            return _spread(convolved, x.shape[2:], stride, _layout(x))
        if max(stride) > 1:
            size = [n + r - 2 * m for n, r, m in zip(x.shape[2:], reach, margin, strict=True)]
            gradient = _spread(gradient, size, stride, _layout(x))
        return self._convolved(gradient, weight, margin, [1, 1], dilation, groups, flipped=True)

    def _convolved(
        self, x: Tensor, weight: Tensor, padding: Any, stride: Any, dilation: Any, groups: int, flipped: bool
    ) -> Tensor:
        ways = prepared_convolution()
        assert ways is not None  # the caller has asked
        prepare, convolve = ways

        def make() -> Tensor:
            plain = (_flipped(weight, groups) if flipped else weight).to(x.dtype).contiguous()
            return prepare(plain, padding, stride, dilation, groups, x.shape)

        prepared = self._once(weight, "flipped" if flipped else "plain", make)
        return convolve(x, prepared, padding, stride, dilation, groups)

    def _once(self, weight: Tensor, use: str, make: Callable[[], Tensor]) -> Tensor:
        """What is made of a weight for one use: the first time, and kept as long as the weight is there."""
        key = id(weight), use
        owner, made = self._made.get(key, (None, None))
        if owner is None or made is None or owner() is not weight:
            made = make()
            self._made[key] = weakref.ref(weight, lambda gone: self._forget(key, gone)), made
        return made

    def _forget(self, key: tuple[int, str], gone: weakref.ref[Tensor]) -> None:
        if key in self._made and self._made[key][0] is gone:  # another weight may have got the address
            del self._made[key]

    def _any(self, node: Any, gradient: Tensor, dtype: torch.dtype) -> Tensor:
        """By torch's own operator."""
        weight, x = node._saved_weight, node._saved_input
        converted = self._once(weight, "as it is", lambda: weight.detach().to(dtype))
        # Of the input only its shape and layout are read.  It is never written to, so it costs no memory; a tensor that
        # is expanded from one number costs none either, but hides the layout: 1 x 1 convolutions then take four times
        # as long.
        layout = torch.preserve_format if len(gradient) == len(x) else _layout(x)
        like = x if len(gradient) == len(x) else x[:1].expand(len(gradient), *x.shape[1:])
        shape_only = torch.empty_like(like, dtype=dtype, memory_format=layout)
        input_gradient: Tensor = torch.ops.aten.convolution_backward(
            gradient, shape_only, converted, None, node._saved_stride, node._saved_padding, node._saved_dilation,
            node._saved_transposed, node._saved_output_padding, node._saved_groups, [True, False, False],
        )[0]  # fmt: skip
        return input_gradient


def _layout(x: Tensor) -> torch.memory_format:
    """Channels last where the images are."""
    last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _flipped(weight: Tensor, groups: int) -> Tensor:
    """(out, in / groups, h, w) -> (in, out / groups, h, w), turned by half a turn: the weight that leads back."""
    each = weight.unflatten(0, (groups, -1)).transpose(1, 2)  # (groups, in / groups, out / groups, h, w)
    turned: Tensor = each.flatten(0, 1).flip(2, 3)
    return turned


def _spread(gradient: Tensor, size: Sequence[int], stride: Sequence[int], layout: torch.memory_format) -> Tensor:
    """The gradient (n, C, h, w) of every stride-th place of (n, C, *size), zero between."""
    spread = torch.empty((*gradient.shape[:2], *size), dtype=gradient.dtype, memory_format=layout)
    spread.zero_()[:, :, :: stride[0], :: stride[1]] = gradient
    return spread
