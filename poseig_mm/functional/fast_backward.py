"""Many backward passes through one graph, cheaper than autograd's: in bfloat16, and with what they share done once.

Precision belongs to the forward pass: computed in bfloat16 it flips activations and ruins the maps.  The backward pass is
linear in the cotangent, and its matrix products tolerate bfloat16.  `FastBackward` walks the graph that autograd recorded in
float32 and carries the cotangent in bfloat16 from one convolution to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ..errors import AttributionError
from .torch_features import gradient_node, walk_unavailable

__all__ = ["Backward", "FastBackward", "PullBack", "autograd_backward"]

PullBack = Callable[[Tensor], Tensor]  # cotangent, like the outputs -> gradient, like the inputs
Backward = Callable[[Tensor, Tensor], PullBack]  # (outputs, inputs) of one forward pass

_aten = torch.ops.aten
_PRODUCTS = frozenset({_aten.mm.default, _aten.bmm.default, _aten.addmm.default})

# y = f(x) by element: the derivative is the same for every cotangent.
_ELEMENTWISE = frozenset(
    f"{name}Backward{i}"
    for name in ("Relu", "LeakyRelu", "Hardtanh", "Threshold", "Silu", "Gelu", "Elu", "Mish", "Hardswish", "Hardsigmoid",
                 "Sigmoid", "Tanh", "Softplus")
    for i in range(2)
)  # fmt: skip
# Nodes that move, copy or add up cotangents: they work in whatever type they are given.
_MOVES = frozenset(
    f"{name}Backward{i}"
    for name in ("View", "UnsafeView", "ReshapeAlias", "Permute", "Transpose", "T", "Unsqueeze", "Squeeze", "Slice", "Clone",
                 "Cat", "Split", "SplitWithSizes", "UpsampleNearest2D", "Expand")
    for i in range(3)
)  # fmt: skip


def autograd_backward(outputs: Tensor, inputs: Tensor) -> PullBack:
    """The plain way: `torch.autograd.grad` for each cotangent."""
    return lambda cotangent: torch.autograd.grad(outputs, inputs, cotangent, retain_graph=True)[0]


class FastBackward:
    """Gradients with respect to the inputs of a forward pass, for many cotangents of its outputs.

    * Convolutions, transposed ones too: in `dtype`, with weights converted once a model.
    * Activations: their derivative is computed once a forward pass, in `dtype`; each cotangent is multiplied by it.
    * Batch norms in evaluation mode: one multiplication by their scale.
    * Sums, views and padding: in the type that comes.
    * Everything else: autograd's own node in float32, its matrix products (linear layers, attention) in `dtype`.

    One object serves many forward passes; it keeps converted weights by identity, so use one object a model and do not
    change the weights.  Parameters must not require gradients; they get none.

    Args:
        dtype: of the carried cotangent.

    >>> weight = torch.randn(4, 3, 3, 3)
    >>> x = torch.randn(1, 3, 8, 8, requires_grad=True)
    >>> y = torch.nn.functional.conv2d(x, weight).relu()
    >>> cotangent = torch.rand_like(y)
    >>> backward = autograd_backward if walk_unavailable() else FastBackward()
    >>> fast, exact = backward(y, x)(cotangent), autograd_backward(y, x)(cotangent)
    >>> fast.dtype, bool(torch.cosine_similarity(fast.flatten(), exact.flatten(), 0) > 0.999)
    (torch.float32, True)
    """

    def __init__(self, dtype: torch.dtype = torch.bfloat16) -> None:
        self.dtype = dtype
        self._weights: dict[int, tuple[Tensor, Tensor]] = {}  # id -> (the weight itself, kept alive; its copy in dtype)
        self._mode = _ReducedProducts(dtype)

    def __call__(self, outputs: Tensor, inputs: Tensor) -> PullBack:
        """The map from cotangents of `outputs` to gradients of `inputs`, a leaf of the graph.

        Raises:
            AttributionError: the graph does not reach the inputs, or holds a node that cannot be called, or this torch
                does not let its graphs be walked.
        """
        if missing := walk_unavailable():
            raise AttributionError(f"a graph cannot be walked here: {missing}")
        nodes = _nodes_between(outputs, inputs)

        @torch.no_grad()
        def pull_back(cotangent: Tensor) -> Tensor:
            nodes[0].received = [cotangent if i == outputs.output_nr else None for i in range(nodes[0].width)]
            for node in nodes[:-1]:
                given, node.received = node.received, [None] * node.width
                if any(g is not None for g in given):
                    node.send(self._apply(node, given))
            (gradient,), nodes[-1].received = nodes[-1].received, [None]
            return torch.zeros_like(inputs) if gradient is None else gradient.to(inputs)

        return pull_back

    def _apply(self, node: _Node, given: list[Tensor | None]) -> Sequence[Tensor | None]:
        """What a node makes of the cotangents of its outputs: one for each of its inputs, in any type."""
        first = given[0]
        if node.name == "ConvolutionBackward0" and first is not None:
            return (self._convolution(node.function, first),)
        if node.name in _ELEMENTWISE and first is not None:
            if node.derivative is None:
                (derivative,) = _called(node.function, torch.ones_like(first, dtype=node.dtypes[0]))
                node.derivative = derivative.to(first.dtype)
            return (first * node.derivative,)
        if node.name == "NativeBatchNormBackward0" and first is not None and not node.function._saved_training:
            if node.derivative is None:
                node.derivative = _batch_norm_scale(node.function, first)
            return (first * node.derivative,)
        if node.name == "AddBackward0" and first is not None and node.function._saved_alpha == 1:
            return (first, first)
        if node.name == "ConstantPadNdBackward0" and first is not None:
            return (_without_padding(first, node.function._saved_pad),)
        if node.name not in _MOVES:
            given = [None if g is None else g.to(dtype) for g, dtype in zip(given, node.dtypes, strict=True)]
        with self._mode:
            return _called(node.function, *given)

    def _convolution(self, node: Any, gradient: Tensor) -> Tensor:
        weight, x = node._saved_weight, node._saved_input
        dtype = self.dtype if weight.dtype is torch.float32 else weight.dtype
        gradient, weight = gradient.to(dtype), self._converted(weight, dtype)
        stride, dilation, transposed = node._saved_stride, node._saved_dilation, node._saved_transposed
        depthwise = weight.shape[1] == 1 and weight.shape[0] == node._saved_groups > 1 and not transposed
        if depthwise and max(stride) > 1 == max(dilation) and x.is_cpu:
            return _strided_depthwise(gradient, x.shape, weight, stride, node._saved_padding)
        # Of the input only its shape and layout are read.  It is never written to, so it costs no memory; a tensor that is
        # expanded from one number costs none either, but hides the layout: 1 x 1 convolutions then take four times as long.
        shape_only = torch.empty_like(x, dtype=dtype)
        found: Tensor = _aten.convolution_backward(
            gradient, shape_only, weight, None, stride, node._saved_padding, dilation, transposed,
            node._saved_output_padding, node._saved_groups, [True, False, False],
        )[0]  # fmt: skip
        return found

    def _converted(self, weight: Tensor, dtype: torch.dtype) -> Tensor:
        kept, converted = self._weights.get(id(weight), (None, None))
        if kept is not weight or converted is None:
            converted = weight.detach().to(dtype)
            self._weights[id(weight)] = (weight, converted)
        return converted


def _called(function: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
    """What one of autograd's nodes returns, as a tuple also where it has one input."""
    found = function(*cotangents)
    return found if isinstance(found, tuple) else (found,)


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


def _strided_depthwise(
    gradient: Tensor, shape: torch.Size, weight: Tensor, stride: Sequence[int], padding: Sequence[int]
) -> Tensor:
    """A depth-wise convolution's input gradient as one of stride 1 over the spread gradient, which oneDNN is quick at."""
    kernel = weight.shape[2:]
    size = [n + 2 * p - k + 1 for n, p, k in zip(shape[2:], padding, kernel, strict=True)]
    spread = torch.empty(
        (*gradient.shape[:2], *size), dtype=gradient.dtype, memory_format=torch.channels_last
    ).zero_()  # fmt: skip
    spread[:, :, :: stride[0], :: stride[1]] = gradient
    margin = [k - 1 - p for k, p in zip(kernel, padding, strict=True)]
    return torch.nn.functional.conv2d(spread, weight.flip(2, 3), None, 1, margin, 1, weight.shape[0])


@dataclass(eq=False)
class _Node:
    """One node of autograd's graph, and the cotangents that have arrived at it."""

    function: Any
    name: str
    width: int  # how many outputs the forward operation had
    dtypes: tuple[torch.dtype, ...]  # of these
    shapes: tuple[torch.Size, ...]
    edges: list[tuple[_Node | None, int]] = field(default_factory=list)  # for each input: where it came from
    received: list[Tensor | None] = field(default_factory=list)
    derivative: Tensor | None = None  # of an elementwise operation, or a batch norm's scale

    def send(self, cotangents: Sequence[Tensor | None]) -> None:
        """Add cotangents of the inputs to what the nodes before this one have received."""
        for (before, i), value in zip(self.edges, cotangents, strict=False):
            if before is None or value is None:
                continue
            if value.shape != before.shapes[i]:
                value = value.sum_to_size(before.shapes[i])  # the operation had expanded its input
            there = before.received[i]
            before.received[i] = value if there is None else there + value.to(there.dtype)


def _nodes_between(outputs: Tensor, inputs: Tensor) -> list[_Node]:
    """The nodes from which `inputs` can be reached, those nearer to `outputs` first, the leaf of `inputs` last."""
    leaf = gradient_node(inputs)
    nodes: dict[Any, _Node | None] = {}
    order: list[_Node] = []
    if outputs.grad_fn is None:
        raise AttributionError("the outputs have no graph; compute them with gradients enabled")
    stack: list[tuple[Any, bool]] = [(outputs.grad_fn, False)]
    while stack:  # depth first, without recursion: graphs are deeper than Python's stack
        function, seen = stack.pop()
        if not seen and function not in nodes:
            nodes[function] = None
            stack.append((function, True))
            stack.extend((f, False) for f, _ in function.next_functions if f is not None and f not in nodes)
        elif seen:
            edges = [(None if f is None else nodes[f], i) for f, i in function.next_functions]
            if function is not leaf and not any(before is not None for before, _ in edges):
                continue  # does not lead to the inputs
            if function is not leaf and not callable(function):
                raise AttributionError(f"{function.name()} is a Python function's node, which cannot be walked")
            about = function._input_metadata
            node = _Node(
                function,
                function.name(),
                len(about),
                tuple(m.dtype for m in about),
                tuple(torch.Size(m.shape) for m in about),
                edges,
                [None] * len(about),
            )
            nodes[function] = node
            order.append(node)
    if not order or nodes.get(leaf) is None:
        raise AttributionError("the outputs do not depend on the inputs")
    first = nodes[leaf]
    return [n for n in reversed(order) if n is not first] + [n for n in order if n is first]


class _ReducedProducts(TorchDispatchMode):
    """Matrix products of float32 in `dtype`."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._dtype = dtype

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _PRODUCTS and not kwargs and all(a.dtype is torch.float32 for a in args):
            return func(*(a.to(self._dtype) for a in args)).float()
        return func(*args, **(kwargs or {}))
