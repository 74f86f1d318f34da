"""Time, memory and the profiler, on a card or a CPU; and what a part of the benchmark is told and may answer."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.nets import Case, build

__all__ = ["Failed", "Setup", "Skipped", "gemm_rate", "operations", "peak_memory", "profiled", "seconds", "waits"]

WAITING = (  # calls of the host that wait for the card, or would if there were one
    "cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "aten::item", "aten::_local_scalar_dense",
    "aten::nonzero",
)  # fmt: skip


class Skipped(Exception):
    """A part cannot be done here; says why.  `found` are numbers that it has all the same."""

    def __init__(self, reason: str, **found: Any) -> None:
        super().__init__(reason)
        self.found = found


class Failed(Exception):
    """A check was done and does not hold; says what was expected.  `found` are its numbers."""

    def __init__(self, reason: str, **found: Any) -> None:
        super().__init__(reason)
        self.found = found


@dataclass
class Setup:
    """Where and how large; `results` are those of the parts before, by name."""

    device: torch.device
    small: bool
    ends: float  # of the time budget, on time.monotonic()'s clock
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def chunk(self) -> int:
        """Images in one forward pass; those of a diagnosis by default."""
        return 8 if self.small else 64

    @property
    def batches(self) -> tuple[int, ...]:
        """Persons that are explained at once."""
        return (1, 2) if self.small else (1, 8, 64)

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        return self.ends - time.monotonic()

    @cached_property
    def baseline(self) -> Case:
        """Simple Baseline R50 with as many persons as the largest batch."""
        return self.case("SB-R50", max(self.batches))

    def case(self, name: str, persons: int) -> Case:
        """Another network, on the device."""
        return build(name, persons, self.device, small=self.small)

    def seconds(self, call: Callable[[], Any], repeats: int = 3) -> float:
        """The median of several calls after one that warms up; of one in small."""
        return seconds(call, self.device, 1 if self.small else repeats)

    def need_cuda(self, what: str) -> None:
        """Skip a part that asks something of a card where there is none."""
        if self.device.type != "cuda":
            raise Skipped(f"needs CUDA: {what}")

    def need_time(self, wanted: float) -> None:
        """Skip what would end after the budget: `wanted` seconds."""
        if self.left < wanted:
            raise Skipped("no time left")


def synchronize(device: torch.device) -> None:
    """Wait for the card."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], Any], device: torch.device, repeats: int = 3) -> float:
    """The median of several calls after one that warms up, the card's work included."""
    call()
    times = []
    for _ in range(repeats):
        synchronize(device)
        started = time.perf_counter()
        call()
        synchronize(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def gemm_rate(dtype: torch.dtype, device: torch.device, n: int) -> float:
    """FLOP/s of the quickest of several products of random n x n matrices."""
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    least = min(seconds(lambda: a @ b, device, repeats=1) for _ in range(10))
    return 2 * n**3 / least


def operations(call: Callable[[], Any]) -> int | None:
    """Floating point operations of a call's convolutions and products; None from a torch that cannot count them
    (2.0).
    """
    try:
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError:
        return None
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        call()
    return int(counter.get_total_flops())


def peak_memory(call: Callable[[], Any], device: torch.device) -> int | None:
    """The most bytes that were allocated on the card during a call; None on a CPU, where it is not made."""
    if device.type != "cuda":
        return None
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    call()
    return torch.cuda.max_memory_allocated(device)


def _traced(call: Callable[[], Any], device: torch.device) -> Any:
    """The profiler's sums by name for a call, after one that warms up."""
    call()
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=kinds) as traced:
        call()
        synchronize(device)
    return traced.key_averages()


def waits(call: Callable[[], Any], device: torch.device) -> Counter[str]:
    """How often a call makes the host wait, by the name of what waits; the last wait, which is ours, does not count."""
    counts = Counter({e.key: int(e.count) for e in _traced(call, device) if e.key in WAITING})
    counts["cudaDeviceSynchronize"] -= device.type == "cuda"
    return +counts


def profiled(call: Callable[[], Any], device: torch.device, rows: int = 15) -> list[dict[str, Any]]:
    """The operations that take longest by themselves, the card's first: name, calls, ms on the CPU and on the card."""
    events = [
        {
            "name": event.key,
            "calls": int(event.count),
            "cpu_ms": event.self_cpu_time_total / 1e3,
            "cuda_ms": getattr(event, "self_device_time_total", getattr(event, "self_cuda_time_total", 0)) / 1e3,
        }
        for event in _traced(call, device)
    ]
    kept = {}
    for key in ("cuda_ms", "cpu_ms"):
        for row in sorted(events, key=lambda r: -r[key])[:rows]:
            if row[key] > 0:
                kept[row["name"]] = row
    return list(kept.values())
