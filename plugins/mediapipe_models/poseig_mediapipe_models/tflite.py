"""A `.tflite` file as plain data: operators, shapes and constants.  It comes through the door of all files of weights.

Shapes and constants stay as the file has them: images are (N, H, W, C), convolution weights (out, kh, kw, in),
depth-wise weights (1, kh, kw, channels).  Weights stored as float16 behind a DEQUANTIZE come out as float32 constants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poseig_mm.adapters.weights_file import read_bytes_file
from poseig_mm.errors import CheckpointError

from .wheel import load_schema

__all__ = ["Graph", "Operator", "read_tflite"]

EXPECTED = "a TensorFlow Lite network (bytes 4 to 8: TFL3)"
TABLES = ("OperatorCodes", "Metadata", "SignatureDefs", "Buffers", "Subgraphs", "Tensors", "Operators")


@dataclass(frozen=True)
class Operator:
    """One operator: its schema name, the tensors it reads (-1: none) and writes, and its options by schema name."""

    kind: str  # 'CONV_2D', 'ADD', ...
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A network: operators in execution order over numbered tensors."""

    operators: tuple[Operator, ...]
    shapes: Mapping[int, tuple[int, ...]]
    constants: Mapping[int, NDArray[Any]]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def pruned(self, outputs: Sequence[int]) -> Graph:
        """The part that the tensors `outputs` need, in the same order.

        >>> ops = (Operator('A', (0,), (1,)), Operator('B', (1,), (2,)), Operator('C', (1,), (3,)))
        >>> [op.kind for op in Graph(ops, {}, {}, (0,), (2, 3)).pruned([3]).operators]
        ['A', 'C']
        """
        needed = set(outputs)
        kept = []
        for op in reversed(self.operators):
            if needed.intersection(op.outputs):
                kept.append(op)
                needed.update(op.inputs)
        return replace(self, operators=tuple(reversed(kept)), outputs=tuple(outputs))


def read_tflite(path: str | Path) -> Graph:
    """Read a `.tflite` file.

    Raises:
        CheckpointError: not a TensorFlow Lite file, a damaged one, more than one subgraph, or weights in a form not
            handled here.
        DependencyError: the wheel with the schema, or flatbuffers, is absent.
    """
    schema = load_schema()
    return read_bytes_file(Path(path), "tflite", EXPECTED, lambda content: _graph(schema, content))


def _graph(schema: Any, content: bytes) -> Graph:
    model = schema.Model.GetRootAsModel(content, 0)
    _check_lengths(model, len(content))
    model = schema.ModelT.InitFromObj(model)
    if len(model.subgraphs) != 1:
        raise CheckpointError(f"it has {len(model.subgraphs)} subgraphs; only networks of one are handled")
    subgraph = model.subgraphs[0]
    kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    codes = [kinds[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    types = {
        schema.TensorType.FLOAT32: np.float32,
        schema.TensorType.FLOAT16: np.float16,
        schema.TensorType.INT32: np.int32,
        schema.TensorType.INT64: np.int64,
    }

    shapes: dict[int, tuple[int, ...]] = {}
    constants: dict[int, NDArray[Any]] = {}
    for index, tensor in enumerate(subgraph.tensors):
        shapes[index] = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
        data = model.buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            continue
        if tensor.type not in types or tensor.sparsity is not None:
            raise CheckpointError(
                f"its constant {tensor.name!r} is sparse or of a type that is not handled (type {tensor.type}); "
                "float32 "
                "and float16 weights are"
            )
        constants[index] = np.frombuffer(bytes(data), types[tensor.type]).reshape(shapes[index])

    operators = []
    for op in subgraph.operators:
        kind, inputs, outputs = codes[op.opcodeIndex], _indices(op.inputs), _indices(op.outputs)
        if kind == "DEQUANTIZE" and inputs[0] in constants and constants[inputs[0]].dtype == np.float16:
            constants[outputs[0]] = constants[inputs[0]].astype(np.float32)
        else:
            options = {} if op.builtinOptions is None else dict(vars(op.builtinOptions))
            operators.append(Operator(kind, inputs, outputs, options))
    graph = Graph(tuple(operators), shapes, constants, _indices(subgraph.inputs), _indices(subgraph.outputs))
    read = {*graph.inputs, *graph.outputs, *(i for op in graph.operators for i in (*op.inputs, *op.outputs))}
    if strange := sorted(read - shapes.keys() - {-1}):
        raise CheckpointError(f"its operators speak of tensors that it does not have: {strange[:5]}")
    return graph


def _indices(values: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _check_lengths(model: Any, size: int) -> None:
    """Refuse lists that say that they hold more than the file: following them would not end.

    Args:
        model: the schema's `Model`, of which nothing is unpacked yet.
        size: of the file, bytes; each element of each list takes one at least.
    """
    left = size

    def elements(table: Any, *names: str) -> Iterator[Any]:
        nonlocal left
        for name in names:
            count = getattr(table, f"{name}Length")()
            left -= count
            if left < 0:
                raise CheckpointError(f"its list {name} has {count} elements, more than the file")
            if name in TABLES:
                yield from (getattr(table, name)(i) for i in range(count))

    for part in elements(model, "OperatorCodes", "Metadata", "MetadataBuffer", "SignatureDefs", "Buffers", "Subgraphs"):
        if hasattr(part, "DataLength"):
            list(elements(part, "Data"))
        if hasattr(part, "MethodName") or hasattr(part, "SignatureKey"):
            list(elements(part, "Inputs", "Outputs"))
        if not hasattr(part, "TensorsLength"):
            continue
        for inner in elements(part, "Inputs", "Outputs", "Tensors", "Operators"):
            if hasattr(inner, "ShapeLength"):
                list(elements(inner, "Shape", "ShapeSignature"))
            else:
                list(elements(inner, "Inputs", "Outputs", "Intermediates", "MutatingVariableInputs", "CustomOptions"))
