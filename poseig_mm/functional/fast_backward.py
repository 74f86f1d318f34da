"""Backward passes in reduced precision.

Precision belongs to the forward pass: computed in bfloat16 it flips activations and ruins the maps.  The backward pass is
linear in the cotangent, and its matrix products tolerate bfloat16.  `BFloat16Backward` is a context for the backward pass
alone; the forward pass stays in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["BFloat16Backward", "bfloat16_supported"]

# A convolution is done in bfloat16 when it multiplies at least this often for each value converted; depth-wise and thin
# ones are bound by memory (measured on SB-R50 and MobileNetV2 with AVX-512 BF16: below that, float32 is faster).
PRODUCTS_PER_VALUE = 64

_aten = torch.ops.aten
_PRODUCTS = frozenset({_aten.mm.default, _aten.bmm.default, _aten.addmm.default})


def bfloat16_supported(device: str | torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


class BFloat16Backward(TorchDispatchMode):
    """Context for `torch.autograd.grad` with respect to the input: matrix products in bfloat16, sums in float32.

    * Convolutions and transposed convolutions: the gradient of the input in bfloat16, none for weights and bias.  The saved
      input is not read, so it is not converted either.
    * Linear layers and attention: their matrix products in bfloat16.
    * Batch norm in evaluation mode: one multiplication by its scale, in float32.

    Everything else, and everything that is not float32, runs as it is.  One object may be entered many times; it keeps the
    converted weights of the model it was used with, by identity, so use one object a model and do not change the weights.

    >>> weight = torch.randn(4, 3, 3, 3)
    >>> x = torch.randn(1, 3, 8, 8, requires_grad=True)
    >>> y = torch.nn.functional.conv2d(x, weight).square().sum()
    >>> with BFloat16Backward():
    ...     (fast,) = torch.autograd.grad(y, x, retain_graph=True)
    >>> (exact,) = torch.autograd.grad(y, x)
    >>> fast.dtype, bool(torch.cosine_similarity(fast.flatten(), exact.flatten(), 0) > 0.999)
    (torch.float32, True)
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._weights: dict[int, tuple[Tensor, Tensor]] = {}  # id -> (the weight itself, kept alive; its bfloat16 copy)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is _aten.convolution_backward.default and args[0].dtype is torch.float32 and not kwargs:
            return self._convolution(func, *args)
        if func is _aten.native_batch_norm_backward.default and not args[7]:
            return _batch_norm(*args)
        if func in _PRODUCTS and not kwargs and all(a.dtype is torch.float32 for a in args):
            return func(*(a.bfloat16() for a in args)).float()
        return func(*args, **(kwargs or {}))

    def _convolution(self, func: Any, gradient: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> Any:
        # rest: bias sizes, stride, padding, dilation, transposed, output padding, groups, output mask
        few_products = weight.numel() < PRODUCTS_PER_VALUE * (x.shape[1] + gradient.shape[1])
        if few_products or not rest[7][0] or any(rest[7][1:]):
            return func(gradient, x, weight, *rest)
        kept, reduced = self._weights.get(id(weight), (None, None))
        if kept is not weight or reduced is None:
            reduced = weight.bfloat16()
            self._weights[id(weight)] = (weight, reduced)
        shape_only = torch.empty((), dtype=torch.bfloat16, device=x.device).expand(x.shape)
        out = func(gradient.bfloat16(), shape_only, reduced, *rest)
        return out[0].float(), None, None


def _batch_norm(
    gradient: Tensor, x: Tensor, weight: Tensor | None, mean: Tensor, var: Tensor, m: Any, v: Any, train: Any, eps: float,
    mask: Any,
) -> tuple[Tensor, None, None]:  # fmt: skip
    """Evaluation mode, the input's gradient alone: a multiplication by weight / sqrt(var + eps)."""
    scale = torch.rsqrt(var + eps) if weight is None else weight * torch.rsqrt(var + eps)
    return gradient * scale.to(gradient).reshape(1, -1, *(1,) * (gradient.ndim - 2)), None, None
