"""Autograd's graph as a list of nodes that cotangents pass through, those nearest to the outputs first."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import AttributionError
from .torch_features import OutputTypes, gradient_node, output_types


class Cotangent(NamedTuple):
    """Cotangents of one output of a node, stacked: (J, *its shape).

    `owned`: nothing else reads this memory, so that it may be changed in place.
    """

    value: Tensor
    owned: bool

    @property
    def in_place(self) -> bool:
        """Whether arithmetic should reuse the memory; torch's in bfloat16 on a CPU is slower in place."""
        return self.owned and not (self.value.is_cpu and self.value.dtype is torch.bfloat16)


@dataclass(eq=False)
class Node:
    """One node of autograd's graph, and the cotangents that have arrived at it."""

    function: Any
    name: str
    shapes: tuple[torch.Size | None, ...]  # of the outputs of the forward operation; None: no cotangent ever comes
    dtypes: tuple[torch.dtype, ...]
    edges: list[tuple[Node | None, int]] = field(default_factory=list)  # for each input: where it came from
    received: list[Cotangent | None] = field(default_factory=list)
    derivative: Tensor | None = None  # what its cotangents are multiplied by, once it is known

    def elements(self, output: int) -> int:
        """How many numbers a cotangent of one output has."""
        shape = self.shapes[output]
        return 0 if shape is None else shape.numel()

    def take(self) -> list[Cotangent | None]:
        """What has arrived, which is forgotten here."""
        taken, self.received = self.received, [None] * len(self.shapes)
        return taken

    def send(self, cotangents: Sequence[Cotangent | None]) -> None:
        """Add cotangents of the inputs to what the nodes before this one have received."""
        for (before, i), fresh in zip(self.edges, cotangents, strict=False):
            if before is not None and fresh is not None:
                before.received[i] = _sum(before.received[i], _fitted(fresh, before.shapes[i]))


def _sum(there: Cotangent | None, fresh: Cotangent) -> Cotangent:
    """In the type of what is there, and in memory that nothing else uses."""
    if there is None:
        return fresh
    if fresh.value.dtype is not there.value.dtype:
        fresh = Cotangent(fresh.value.to(there.value.dtype), True)
    if there.in_place:
        return Cotangent(there.value.add_(fresh.value), True)
    if fresh.in_place:
        return Cotangent(fresh.value.add_(there.value), True)
    return Cotangent(there.value + fresh.value, True)


def _fitted(fresh: Cotangent, shape: torch.Size | None) -> Cotangent:
    """Summed over what the operation had expanded; `shape` is that of one of the J cotangents."""
    if shape is None or fresh.value.shape[1:] == shape:
        return fresh
    missing = fresh.value.ndim - 1 - len(shape)
    target = (len(fresh.value), *(1,) * missing, *shape)
    return Cotangent(fresh.value.sum_to_size(target).reshape(len(fresh.value), *shape), False)


def nodes_between(outputs: Tensor, inputs: Tensor, known: dict[Hashable, list[OutputTypes]]) -> list[Node]:
    """The nodes from which `inputs` can be reached, those nearer to `outputs` first, the leaf of `inputs` last.

    Args:
        outputs, inputs: of one forward pass; `inputs` is a leaf.
        known: what `output_types` has learned of the model's graphs.

    Raises:
        AttributionError: the outputs have no graph, it does not reach the inputs, or it holds a node that cannot be
            called.
    """
    if outputs.grad_fn is None:
        raise AttributionError("the outputs have no graph; compute them with gradients enabled")
    leaf = gradient_node(inputs)
    order = _towards(outputs.grad_fn, leaf)
    if not order:
        raise AttributionError("the outputs do not depend on the inputs")
    for function in order:
        if function is not leaf and not callable(function):
            raise AttributionError(f"{function.name()} is a Python function's node, which cannot be walked")
    nodes: dict[Any, Node] = {}
    for function, (shapes, dtypes) in zip(order, output_types(order, outputs, inputs, known), strict=True):
        edges = [(nodes.get(f), i) for f, i in function.next_functions]
        node = Node(function, function.name(), shapes, dtypes, edges)
        node.take()
        nodes[function] = node
    first = nodes.pop(leaf)
    return [*reversed(nodes.values()), first]


def _towards(last: Any, leaf: Any) -> list[Any]:
    """Autograd's nodes on the ways from `last` to `leaf`, each behind all that it leads to."""
    leads: dict[Any, bool] = {}
    order = []
    stack: list[tuple[Any, bool]] = [(last, False)]
    while stack:  # depth first, without recursion: graphs are deeper than Python's stack
        function, seen = stack.pop()
        if not seen and function not in leads:
            leads[function] = False
            stack.append((function, True))
            stack.extend((f, False) for f, _ in function.next_functions if f is not None and f not in leads)
        elif seen:
            leads[function] = function is leaf or any(leads.get(f, False) for f, _ in function.next_functions)
            if leads[function]:
                order.append(function)
    return order


def peak_elements(nodes: Sequence[Node]) -> int:
    """The most numbers that cotangents hold at one time while one goes from the first of `nodes` to the last.

    >>> x = torch.zeros(10, requires_grad=True)
    >>> y = (2 * x).sum()  # from 1 number to 10, and to 10 others
    >>> peak_elements(nodes_between(y, x, {}))
    20
    """
    held: dict[tuple[Node, int], int] = {(nodes[0], 0): nodes[0].elements(0)}
    peak = 0
    for node in nodes[:-1]:
        for before, i in node.edges:
            if before is not None:
                held[before, i] = before.elements(i)
        peak = max(peak, sum(held.values()))
        held = {there: elements for there, elements in held.items() if there[0] is not node}
    return peak
