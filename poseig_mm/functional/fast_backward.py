"""Many backward passes through one graph, cheaper than autograd's: in bfloat16, and with what they share done once.

Precision belongs to the forward pass: computed in bfloat16 it flips activations and ruins the maps.  The backward pass
is linear in the cotangent, and its matrix products tolerate bfloat16.  `FastBackward` walks the graph that autograd
recorded in float32 and carries the cotangents in bfloat16 from one convolution to the next.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .convolution_gradient import ConvolutionGradient
from .cuda_graphs import Recordings
from .graph_walk import Cotangent, Node, nodes_between, peak_elements
from .torch_features import OutputTypes

_aten = torch.ops.aten
_PRODUCTS = frozenset({_aten.mm.default, _aten.bmm.default, _aten.addmm.default})


def _nodes(*names: str) -> frozenset[str]:
    """Names of autograd's nodes; an operation's overloads are numbered."""
    return frozenset(f"{name}Backward{i}" for name in names for i in range(3))


# y = f(x) by element: the derivative is the same for every cotangent; of a gate it is 0 or 1.
_GATES = _nodes("Relu", "Hardtanh", "Threshold")
_ELEMENTWISE = _nodes(
    "LeakyRelu", "Silu", "Gelu", "Elu", "Mish", "Hardswish", "Hardsigmoid", "Sigmoid", "Tanh", "Softplus"
)
# Nodes that move, copy or add up cotangents: they work in whatever type they are given.
_MOVES = _nodes(
    "View", "UnsafeView", "ReshapeAlias", "Permute", "Transpose", "T", "Unsqueeze", "Squeeze", "Slice", "Clone", "Cat",
    "Split", "SplitWithSizes", "UpsampleNearest2D", "Expand",
)  # fmt: skip
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes


class FastBackward:
    """Gradients with respect to the inputs of a forward pass, for many cotangents of its outputs.

    Cotangents come stacked, (J, *outputs.shape), and go through the graph together.

    * Convolutions, transposed ones too: in `dtype`, with weights prepared once a model.
    * Activations: their derivative is computed once a forward pass, in `dtype`; cotangents are multiplied by it, or
      gated by its bits where it is 0 or 1.
    * Batch norms in evaluation mode: one multiplication by their scale.
    * Sums, views and padding: in the type that comes.
    * Everything else: autograd's own node in float32, its matrix products (linear layers, attention) in `dtype`.

    One object serves many forward passes; it keeps prepared weights by identity, so use one object a model and do not
    change the weights.  Parameters must not require gradients; they get none.

    Args:
        dtype: of the carried cotangents.

    >>> weight = torch.randn(4, 3, 3, 3)
    >>> x = torch.randn(1, 3, 8, 8, requires_grad=True)
    >>> y = torch.nn.functional.conv2d(x, weight).relu()
    >>> cotangents = torch.rand(2, *y.shape)
    >>> from poseig_mm.functional.linearise import autograd_backward
    >>> fast, exact = FastBackward()(y, x)(cotangents), autograd_backward(y, x)(cotangents)
    >>> fast.dtype, bool(torch.cosine_similarity(fast.flatten(1), exact.flatten(1)).min() > 0.999)
    (torch.float32, True)
    """

    def __init__(self, dtype: torch.dtype = torch.bfloat16) -> None:
        self.dtype = dtype
        self.recordings = Recordings()
        self._convolution = ConvolutionGradient(dtype)
        self._mode = _ReducedProducts(dtype)
        self._known: dict[Hashable, list[OutputTypes]] = {}

    def __call__(self, outputs: Tensor, inputs: Tensor) -> Walk:
        """The map from cotangents of `outputs` to gradients of `inputs`, a leaf of the graph.

        Raises:
            AttributionError: the graph does not reach the inputs, or holds a node that cannot be called.
        """
        nodes = nodes_between(outputs, inputs, self._known)
        return Walk(nodes, outputs.output_nr, inputs, self._convolution, self._mode)


class Walk:
    """A forward pass' graph, ready to pull cotangents back; made by `FastBackward`."""

    def __init__(
        self, nodes: list[Node], output: int, inputs: Tensor, convolution: ConvolutionGradient, mode: _ReducedProducts
    ) -> None:
        self._nodes, self._output, self._inputs = nodes, output, inputs
        self._convolution, self._mode = convolution, mode

    @property
    def stack(self) -> int:
        """How many cotangents to pull back at once: 1 on a CPU, where it gains nothing; as many as fit on a GPU."""
        if not self._inputs.is_cuda:
            return 1
        device = self._inputs.device
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free = torch.cuda.mem_get_info(device)[0] + unused
        return max(1, free // 2 // (4 * peak_elements(self._nodes)))  # as if all were float32: operators need room too

    @torch.no_grad()
    def __call__(self, cotangents: Tensor) -> Tensor:
        """(J, *outputs.shape) -> (J, *inputs.shape), in the inputs' type."""
        for node in self._nodes:
            node.take()  # what an earlier call left that ran out of memory
        self._nodes[0].received[self._output] = Cotangent(cotangents, owned=False)
        for node in self._nodes[:-1]:
            given = node.take()
            if any(g is not None for g in given):
                node.send(self._apply(node, given))
        (gradient,) = self._nodes[-1].take()
        if gradient is None:
            return self._inputs.new_zeros((len(cotangents), *self._inputs.shape))
        return gradient.value.to(self._inputs)

    def _apply(self, node: Node, given: list[Cotangent | None]) -> Sequence[Cotangent | None]:
        """What a node makes of the cotangents of its outputs: those of each of its inputs, in any type."""
        first, name = given[0], node.name
        if first is not None:
            if name == "ConvolutionBackward0":
                convolved = self._convolution(node.function, first.value.flatten(0, 1))
                return (Cotangent(convolved.unflatten(0, (len(first.value), -1)), True),)
            if name in _GATES:
                return (_gated(node, first),)
            if name in _ELEMENTWISE:
                if node.derivative is None:
                    one = first.value.new_ones((), dtype=node.dtypes[0]).expand_as(first.value[0])
                    node.derivative = _called(node.function, one)[0].to(first.value.dtype)
                return (_scaled(first, node.derivative),)
            if name == "NativeBatchNormBackward0" and not node.function._saved_training:
                if node.derivative is None:
                    node.derivative = _batch_norm_scale(node.function, first.value[0])
                return (_scaled(first, node.derivative),)
            if name == "AddBackward0" and node.function._saved_alpha == 1:
                return (shared := Cotangent(first.value, False), shared)
            if name == "ConstantPadNdBackward0":
                return (Cotangent(_without_padding(first.value, node.function._saved_pad), first.owned),)
        values = [None if g is None else g.value for g in given]
        if name not in _MOVES:
            values = [None if v is None else v.to(dtype) for v, dtype in zip(values, node.dtypes, strict=True)]
        with self._mode:
            return [None if v is None else Cotangent(v, False) for v in _called_stacked(node.function, values)]


def _called(function: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
    """What one of autograd's nodes returns, as a tuple also where it has one input."""
    gradients = function(*cotangents)
    return gradients if isinstance(gradients, tuple) else (gradients,)


def _called_stacked(function: Any, cotangents: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    """The same for cotangents (J, ...) each, one after the other."""
    stacked = len(next(c for c in cotangents if c is not None))
    each = [_called(function, *(None if c is None else c[j] for c in cotangents)) for j in range(stacked)]
    if stacked == 1:
        return [None if v is None else v[None] for v in each[0]]
    return [None if v[0] is None else _stack(v) for v in zip(*each, strict=True)]


def _stack(values: Sequence[Tensor]) -> Tensor:
    """As `torch.stack`, with channels last where they are."""
    if values[0].ndim == 4 and values[0].is_contiguous(memory_format=torch.channels_last):
        return torch.stack([v.permute(0, 2, 3, 1) for v in values]).permute(0, 1, 4, 2, 3)
    return torch.stack(list(values))


def _scaled(cotangent: Cotangent, factor: Tensor) -> Cotangent:
    """Times a factor that is the same for all J."""
    value = cotangent.value
    return Cotangent(value.mul_(factor) if cotangent.in_place else value * factor, True)


def _gated(node: Node, cotangent: Cotangent) -> Cotangent:
    """Kept where the derivative is 1, 0 where it is 0: as bits, which moves less memory than a product."""
    value, owned = cotangent
    bits = _INTEGERS[value.element_size()]
    if node.derivative is None:
        minus_one = value.new_full((), -1, dtype=node.dtypes[0]).expand_as(value[0])
        derivative = _called(node.function, minus_one)[0].to(value.dtype)  # -1 or +0: the sign says which
        node.derivative = derivative.view(bits).bitwise_right_shift_(8 * value.element_size() - 1)  # all ones, or none
    if owned:
        value.view(bits).bitwise_and_(node.derivative)
        return cotangent
    return Cotangent(value.view(bits).bitwise_and(node.derivative).view(value.dtype), True)


def _batch_norm_scale(node: Any, like: Tensor) -> Tensor:
    """In evaluation mode the input's gradient is the output's times weight / sqrt(var + eps), (1, C, 1, ...)."""
    scale = torch.rsqrt(node._saved_running_var + node._saved_eps)
    scale = scale if node._saved_weight is None else scale * node._saved_weight
    return scale.to(like).reshape(1, -1, *(1,) * (like.ndim - 2))


def _without_padding(gradient: Tensor, pad: Sequence[int]) -> Tensor:
    """A view of what was not padded (autograd's own node copies it, and loses the layout); pad as in `F.pad`."""
    signed = [p - 2**64 if p >= 2**63 else p for p in pad]  # autograd shows its integers as unsigned ones
    for i in range(len(signed) // 2):
        before, after = signed[2 * i : 2 * i + 2]
        dim = gradient.ndim - 1 - i
        if min(before, after) < 0:
            gradient = torch.nn.functional.pad(gradient, [0, 0] * i + [-before, -after])
        else:
            gradient = gradient.narrow(dim, before, gradient.shape[dim] - before - after)
    return gradient


class _ReducedProducts(TorchDispatchMode):
    """Matrix products of float32 in `dtype`."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._dtype = dtype

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _PRODUCTS and not kwargs and all(a.dtype is torch.float32 for a in args):
            return func(*(a.to(self._dtype) for a in args)).float()
        return func(*args, **(kwargs or {}))
