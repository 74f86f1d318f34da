"""A model's forward pass and walk, recorded on a GPU once a shape, then replayed: one launch, not hundreds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..errors import AttributionError, ConfigError
from .linearise import Backward, PullBack, linearise
from .targets import CoordsFn

T = TypeVar("T")


class Recordings:
    """Recordings of one model, by the shape of its input; what `linearise` gives, from the second time on replayed.

    A shape that comes once is not worth recording.  A recording keeps the memory of one forward pass and its walk.
    """

    def __init__(self) -> None:
        self._seen: Counter[Hashable] = Counter()
        self._recorded: dict[Hashable, _Recording] = {}

    def linearise(self, coords_fn: CoordsFn, backward: Backward, x: Tensor) -> tuple[Tensor, PullBack]:
        """As the function; the pull-back holds until the next call.

        Raises:
            ConfigError: `x` is not on a GPU.
            AttributionError: the model waits for the GPU, or does something else that cannot be recorded.
        """
        if not _can_record(x):
            raise ConfigError(f"cuda_graph needs images on a CUDA device, these are on {x.device}; leave it out")
        key = (coords_fn, x.shape, x.dtype, x.device)
        self._seen[key] += 1
        if self._seen[key] == 1:
            return linearise(coords_fn, backward, x)
        if key not in self._recorded:
            self._recorded[key] = _Recording(coords_fn, backward, x)
        recording = self._recorded[key]
        return recording.run(x), recording


class _Recording:
    """One shape's forward pass; called with cotangents, it is the pull-back, recorded once for each number of them."""

    def __init__(self, coords_fn: CoordsFn, backward: Backward, x: Tensor) -> None:
        self._backward, self._pool = backward, _memory_pool()
        self._x = x.detach().clone().requires_grad_()
        (self._coords, self._walk), self._forward = _record(lambda: linearise(coords_fn, backward, self._x), self._pool)
        self._walks: dict[int, tuple[Tensor, Tensor, Callable[[], None]]] = {}

    @property
    def stack(self) -> int:
        """As of `fast_backward.Walk`."""
        return int(getattr(self._walk, "stack", 1))

    def run(self, x: Tensor) -> Tensor:
        """The coordinates at `x`."""
        self._x.data.copy_(x)  # past autograd, which would take what the graph has saved for outdated
        self._forward()
        return self._coords.detach().clone().requires_grad_()

    def __call__(self, cotangents: Tensor) -> Tensor:
        """(J, n, K, D) -> (J, n, C, H, W), at the `x` of the last `run`."""
        if len(cotangents) not in self._walks:
            given = cotangents.clone()
            # A walk of its own: what one derives once is derived in every replay of its recording, and in no other.
            walk = self._backward(self._coords, self._x)
            gradients, replay = _record(lambda: walk(given), self._pool)
            self._walks[len(cotangents)] = given, gradients, replay
        given, gradients, replay = self._walks[len(cotangents)]
        given.copy_(cotangents)
        replay()
        return gradients.clone()  # the next replay writes over it


def _can_record(x: Tensor) -> bool:
    """Whether it is where graphs are."""
    return x.is_cuda


def _memory_pool() -> Any:
    """What the recordings of one shape share."""
    return torch.cuda.graph_pool_handle()


def _record(call: Callable[[], T], pool: Any) -> tuple[T, Callable[[], None]]:
    """What `call` returns, in memory that every replay writes anew, and the replay."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        call()  # so that nothing that happens once (a choice of algorithms, the weights' conversion) is recorded
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, pool=pool):
            result = call()
    except RuntimeError as error:
        raise AttributionError(
            f"the model cannot be recorded as a CUDA graph: {error}; leave cuda_graph out"
        ) from error
    return result, graph.replay
