"""One backward pass through 8 images: autograd, the walk in float32 and in bfloat16 and, if asked for, torch.compile.

    python -m benchmarks.backward [--models SB-R50 ...] [--compile]

Prints seconds (the least of several), the cosine of the input gradients, and what a 1 x 1 convolution's backward pass
takes with and without the layout of its input.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.models import RANDOM, TRAINED, load
from poseig_mm.functional.fast_backward import FastBackward
from poseig_mm.functional.linearise import autograd_backward
from poseig_mm.run.process import keep_freed_memory

IMAGES = 8


def least(call: Callable[[], Any], repeats: int = 5) -> float:
    """Seconds of the quickest of several calls, after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def one_model(name: str, compiled: bool) -> None:
    """A line for one model."""
    keep_freed_memory()  # as the command line does
    case: Any = load(name, 1)
    with case.adapter.frozen():
        adapter = case.adapter.folded(case.images[:1]) or case.adapter
        scale = torch.linspace(0.3, 1, IMAGES)[:, None, None, None]
        x = (case.images[:1] * scale).contiguous(memory_format=torch.channels_last).requires_grad_()
        coords = adapter(x).coords
        cotangents = torch.zeros(1, *coords.shape)
        cotangents[:, :, 0] = 1
        exact = autograd_backward(coords, x)
        truth = exact(cotangents).flatten().double()
        seconds = {"forward": least(lambda: adapter(x)), "autograd": least(lambda: exact(cotangents))}
        for kind in (torch.float32, torch.bfloat16):
            walk = FastBackward(kind)(coords, x)
            cosine = torch.cosine_similarity(truth, walk(cotangents).flatten().double(), 0).item()
            name_of = f"walk in {str(kind).removeprefix('torch.')} (cosine {cosine:.5f})"
            seconds[name_of] = least(lambda walk=walk: walk(cotangents))  # type: ignore[misc]
        if compiled:
            started = time.perf_counter()
            run = torch.compile(lambda images: adapter(images).coords)
            pull_back = autograd_backward(run(x), x)
            first = least(lambda: pull_back(cotangents))
            seconds[f"compiled (after {time.perf_counter() - started:.0f} s)"] = first
        print(f"{name:24} " + "  ".join(f"{what} {took:.3f}" for what, took in seconds.items()), flush=True)


def layouts() -> None:
    """convolution_backward of 256 <- 64 channels at 64 x 48, its shape-only input with and without a layout."""
    gradient = torch.randn(IMAGES, 64, 64, 48, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(64, 256, 1, 1, dtype=torch.bfloat16)
    empty = torch.empty(IMAGES, 256, 64, 48, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    operator = torch.ops.aten.convolution_backward
    arguments = (weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, False, False])
    expanded = empty.new_empty(()).expand(empty.shape)
    for name, call in (
        ("expanded scalar", lambda: operator(gradient, expanded, *arguments)),
        ("empty, same layout", lambda: operator(gradient, empty, *arguments)),
    ):
        print(f"1 x 1 convolution, {name}: {1e3 * least(call):.2f} ms")


def main() -> None:
    """All models, or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=[*RANDOM, *TRAINED])
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile too (needs a C++ compiler, takes minutes)"
    )
    options = parser.parse_args()
    layouts()
    for name in options.models:
        one_model(name, options.compile)


if __name__ == "__main__":
    main()
