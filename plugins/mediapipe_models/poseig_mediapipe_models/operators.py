"""Each TensorFlow Lite operator as a torch module.

Images are (B, C, H, W) here although the file says (N, H, W, C); what depends on the order of memory (reshape, dense on
an image) goes through (N, H, W, C).  Learned weights lie in ordinary `nn.Conv2d` and `nn.Linear` modules, activations
are modules of their own, nothing is changed in place, and dtype and device follow the module.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from poseig_mm.errors import CheckpointError

from .tflite import Graph, Operator

__all__ = ["BUILDERS", "LegacyResize", "build_operator", "same_padding"]

SAME = 0  # Padding.SAME of the schema; VALID is 1
ACTIVATIONS: dict[int, Callable[[], nn.Module]] = {  # ActivationFunctionType of the schema
    1: nn.ReLU,
    2: nn.Hardtanh,
    3: nn.ReLU6,
    4: nn.Tanh,
}


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Zeros (before, after) of a 'same' convolution, whose output has ceil(size / stride) cells.

    An odd number of zeros puts the odd one behind: at an even size a stride-2 kernel of 3 is padded on one side only.

    >>> same_padding(224, kernel=3, stride=2), same_padding(112, kernel=3, stride=1), same_padding(7, 5, 2)
    ((0, 1), (1, 1), (2, 2))
    """
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


class LegacyResize(nn.Module):
    """Bilinear resize of old TensorFlow: source index = i * in / out, no half-pixel centres, no aligned corners.

    >>> resize = LegacyResize((1, 2), (1, 4))
    >>> resize(torch.tensor([[[[0.0, 1.0]]]])).flatten().tolist()
    [0.0, 0.5, 1.0, 1.0]
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, size: tuple[int, int], output_size: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("rows", self._weights(size[0], output_size[0]), persistent=False)  # (H', H)
        self.register_buffer("columns", self._weights(size[1], output_size[1]), persistent=False)  # (W', W)

    @staticmethod
    def _weights(size: int, output_size: int) -> Tensor:
        source = torch.arange(output_size, dtype=torch.float64) * size / output_size
        lower = source.floor().long()
        upper = (lower + 1).clamp(max=size - 1)
        fraction = (source - lower).unsqueeze(1)
        weights = F.one_hot(lower, size) * (1 - fraction) + F.one_hot(upper, size) * fraction
        return weights.to(torch.get_default_dtype())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W')."""
        return self.rows @ x @ self.columns.T


class Resize(nn.Module):
    """Bilinear resize with half-pixel centres or aligned corners."""

    def __init__(self, output_size: tuple[int, int], align_corners: bool) -> None:
        super().__init__()
        self.output_size = output_size
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W')."""
        return F.interpolate(x, self.output_size, mode="bilinear", align_corners=self.align_corners)


class Elementwise(nn.Module):
    """ADD, SUB or MUL of two tensors, one of which may be a constant of the file."""

    constant: Tensor | None

    def __init__(
        self,
        function: Callable[[Tensor, Tensor], Tensor],
        activation: nn.Module | None,
        constant: Tensor | None = None,
        constant_first: bool = False,
    ) -> None:
        super().__init__()
        self.function = function
        self.constant_first = constant_first
        self.register_buffer("constant", constant)
        self.act = activation if activation is not None else nn.Identity()

    def forward(self, *operands: Tensor) -> Tensor:
        """Operands that are no constant, in the file's order."""
        if self.constant is not None:
            operands = (self.constant, *operands) if self.constant_first else (*operands, self.constant)
        result: Tensor = self.act(self.function(*operands))
        return result


class Reshape(nn.Module):
    """Reshape in the file's memory order; the batch stays."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape  # (1, ...) as the file has it

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) or (B, n) -> (B, ...), channels second where the result is an image."""
        flat = x.permute(0, 2, 3, 1) if x.dim() == 4 else x
        shaped = flat.reshape(x.shape[0], *self.shape[1:])
        return shaped.permute(0, 3, 1, 2) if shaped.dim() == 4 else shaped


class SpatialMean(nn.Module):
    """Mean over height and width."""

    def __init__(self, keep_dims: bool) -> None:
        super().__init__()
        self.keep_dims = keep_dims

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C) or (B, C, 1, 1)."""
        return x.mean(dim=(2, 3), keepdim=self.keep_dims)


class SameAverage(nn.Module):
    """Average pooling with 'same' padding: the padding counts neither above nor below the bar."""

    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W')."""
        inside = F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), self.padding), self.kernel, self.stride)
        return F.avg_pool2d(F.pad(x, self.padding), self.kernel, self.stride) / inside


class Concatenate(nn.Module):
    """Concatenation along one dimension of the (B, C, H, W) or (B, n) tensors."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *tensors: Tensor) -> Tensor:
        """Tensors that agree in all but one dimension."""
        return torch.cat(tensors, dim=self.dim)


def build_operator(op: Operator, graph: Graph) -> nn.Module:
    """The module of `op`; called with the tensors it reads that are no constants, in the file's order.

    Raises:
        CheckpointError: an operator, activation or layout that is not handled here.
    """
    if op.kind not in BUILDERS:
        raise CheckpointError(f"operator {op.kind} is not handled; handled are {', '.join(sorted(BUILDERS))}")
    return BUILDERS[op.kind](op, graph)


def _sequence(*named: tuple[str, nn.Module | None]) -> nn.Module:
    """One module, or a Sequential of those that are there."""
    modules = OrderedDict((name, module) for name, module in named if module is not None)
    return nn.Sequential(modules)


def _activation(op: Operator) -> nn.Module | None:
    code = op.options.get("fusedActivationFunction", 0)
    if code == 0:
        return None
    if code not in ACTIVATIONS:
        raise CheckpointError(f"fused activation {code} of {op.kind} is not handled")
    return ACTIVATIONS[code]()


def _padding(op: Operator, graph: Graph, kernel: tuple[int, int]) -> tuple[int, int, int, int]:
    """Zeros (left, right, top, bottom) that the operator's padding adds."""
    if op.options["padding"] != SAME:
        return (0, 0, 0, 0)
    _, height, width, _ = graph.shapes[op.inputs[0]]
    dilation = op.options.get("dilationHFactor", 1), op.options.get("dilationWFactor", 1)
    rows = same_padding(height, kernel[0], op.options["strideH"], dilation[0])
    columns = same_padding(width, kernel[1], op.options["strideW"], dilation[1])
    return (*columns, *rows)


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _load(module: nn.Conv2d | nn.Linear, weight: NDArray[Any], op: Operator, graph: Graph) -> None:
    with torch.no_grad():
        module.weight.copy_(_tensor(weight))
        if module.bias is not None:
            module.bias.copy_(_tensor(graph.constants[op.inputs[2]]))


def _convolution(op: Operator, graph: Graph) -> nn.Module:
    weight = graph.constants[op.inputs[1]]
    channels = graph.shapes[op.inputs[0]][3]
    if op.kind == "DEPTHWISE_CONV_2D":
        weight, groups = weight.transpose(3, 0, 1, 2), channels  # (1, kh, kw, out) -> (out, 1, kh, kw)
    else:
        weight, groups = weight.transpose(0, 3, 1, 2), channels // weight.shape[3]  # (out, kh, kw, in) -> (out, in, ..)
    kernel = (weight.shape[2], weight.shape[3])
    left, right, top, bottom = _padding(op, graph, kernel)
    alike = left == right and top == bottom  # then the convolution does it itself
    conv = nn.Conv2d(
        channels,
        weight.shape[0],
        kernel,
        stride=(op.options["strideH"], op.options["strideW"]),
        padding=(top, left) if alike else 0,
        dilation=(op.options["dilationHFactor"], op.options["dilationWFactor"]),
        groups=groups,
        bias=_has_bias(op),
    )
    _load(conv, weight, op, graph)
    pad = None if alike else nn.ZeroPad2d((left, right, top, bottom))
    return _sequence(("pad", pad), ("conv", conv), ("act", _activation(op)))


def _dense(op: Operator, graph: Graph) -> nn.Module:
    weight = graph.constants[op.inputs[1]]  # (out, in)
    shape = graph.shapes[op.inputs[0]]
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=_has_bias(op))
    _load(linear, weight, op, graph)
    flatten = Reshape((1, int(np.prod(shape[1:])))) if len(shape) > 2 else None
    return _sequence(("flatten", flatten), ("fc", linear), ("act", _activation(op)))


def _has_bias(op: Operator) -> bool:
    return len(op.inputs) > 2 and op.inputs[2] >= 0


def _pool(op: Operator, graph: Graph) -> nn.Module:
    kernel = (op.options["filterHeight"], op.options["filterWidth"])
    stride = (op.options["strideH"], op.options["strideW"])
    padding = _padding(op, graph, kernel)
    if op.kind == "MAX_POOL_2D":
        pad = nn.ConstantPad2d(padding, -torch.inf) if any(padding) else None
        return _sequence(("pad", pad), ("pool", nn.MaxPool2d(kernel, stride)), ("act", _activation(op)))
    pool = SameAverage(kernel, stride, padding) if any(padding) else nn.AvgPool2d(kernel, stride)
    return _sequence(("pool", pool), ("act", _activation(op)))


def _elementwise(op: Operator, graph: Graph) -> nn.Module:
    functions: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"ADD": torch.add, "SUB": torch.sub, "MUL": torch.mul}
    function = functions[op.kind]
    fixed = [i for i in op.inputs if i in graph.constants]
    if not fixed:
        return Elementwise(function, _activation(op))
    constant = _tensor(graph.constants[fixed[0]])
    if len(graph.shapes[op.outputs[0]]) == 4 and constant.dim() > 0:
        constant = constant.reshape((1,) * (4 - constant.dim()) + tuple(constant.shape)).permute(0, 3, 1, 2)
    return Elementwise(function, _activation(op), constant, constant_first=op.inputs[0] == fixed[0])


def _pad(op: Operator, graph: Graph) -> nn.Module:
    (batch, rows, columns, channels) = graph.constants[op.inputs[1]].tolist()
    if any(batch):
        raise CheckpointError(f"PAD of the batch by {batch} is not handled")
    return nn.ConstantPad2d((*columns, *rows, *channels), 0.0)  # F.pad counts from the last dimension: W, H, C


def _resize(op: Operator, graph: Graph) -> nn.Module:
    height, width = (int(n) for n in graph.constants[op.inputs[1]])
    if op.options["halfPixelCenters"] or op.options["alignCorners"]:
        return Resize((height, width), align_corners=bool(op.options["alignCorners"]))
    _, rows, columns, _ = graph.shapes[op.inputs[0]]
    return LegacyResize((rows, columns), (height, width))


def _mean(op: Operator, graph: Graph) -> nn.Module:
    axes = sorted(int(axis) for axis in graph.constants[op.inputs[1]].ravel())
    if axes != [1, 2] or len(graph.shapes[op.inputs[0]]) != 4:
        raise CheckpointError(f"MEAN over axes {axes} of {graph.shapes[op.inputs[0]]} is not handled; height, width is")
    return SpatialMean(bool(op.options["keepDims"]))


def _concatenation(op: Operator, graph: Graph) -> nn.Module:
    if _activation(op) is not None:
        raise CheckpointError("CONCATENATION with a fused activation is not handled")
    rank = len(graph.shapes[op.outputs[0]])
    axis = op.options["axis"] % rank
    return Concatenate((0, 2, 3, 1)[axis] if rank == 4 else axis)  # (N, H, W, C) -> (B, C, H, W)


BUILDERS: dict[str, Callable[[Operator, Graph], nn.Module]] = {
    "ADD": _elementwise,
    "AVERAGE_POOL_2D": _pool,
    "CONCATENATION": _concatenation,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _dense,
    "LOGISTIC": lambda op, graph: nn.Sigmoid(),
    "MAX_POOL_2D": _pool,
    "MEAN": _mean,
    "MUL": _elementwise,
    "PAD": _pad,
    "RESHAPE": lambda op, graph: Reshape(graph.shapes[op.outputs[0]]),
    "RESIZE_BILINEAR": _resize,
    "SUB": _elementwise,
}
