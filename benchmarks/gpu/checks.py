"""Whether what a card computes is right: every check raises `Failed` with its numbers, or returns them."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.engine import attribute, input_gradients, lowest_cosine
from benchmarks.gpu.measuring import Failed, Setup, Skipped, waits
from benchmarks.gpu.nets import build
from poseig_mm.attribution.acceleration import WANTED_COSINE
from poseig_mm.functional.fast_backward import FastBackward
from poseig_mm.functional.linearise import autograd_backward

__all__ = ["CHECKS"]

SAME = 0.9999  # cosine of maps that differ by rounding alone; random networks with ReLU enlarge it
JOINTS = 4  # a few of a person's: each is a check of its own
CELLS = {"quadrature": "midpoint"}  # the same cells on both sides


def _at_least(wanted: float, **cosines: float) -> dict[str, float]:
    """The cosines; Failed where one is lower, or not a number."""
    if low := [name for name, value in cosines.items() if not value >= wanted]:
        raise Failed(f"{' and '.join(low)} below {wanted}", **cosines)
    return cosines


def cuda_equals_cpu(setup: Setup) -> dict[str, Any]:
    """Maps in float32 with autograd, TF32 off, of the same network on both."""
    setup.need_cuda("compares its maps with the CPU's")
    maps = []
    for device in (setup.device, torch.device("cpu")):
        case = build("SB-R50", 1, device, small=setup.small)
        maps.append(attribute(case.exact, case.persons(1, JOINTS), nodes=8, **CELLS).maps.cpu())
    return _at_least(SAME, maps=lowest_cosine(*maps, dims=2))


def fast_equals_exact(name: str) -> Callable[[Setup], dict[str, Any]]:
    """A check of one network: folded, channels last and walked in bfloat16 against autograd in float32 on it as it
    is.
    """

    def check(setup: Setup) -> dict[str, Any]:
        case = setup.case(name, 1)
        persons = case.persons(1, JOINTS)
        both = ((case.exact, autograd_backward), (case.fast, FastBackward()))
        gradients = [input_gradients(net, persons[0], backward, JOINTS) for net, backward in both]
        maps = [attribute(net, persons, backward, nodes=8, **CELLS).maps for net, backward in both]
        return _at_least(WANTED_COSINE, gradients=lowest_cosine(*gradients, dims=2), maps=lowest_cosine(*maps, dims=2))

    return check


def memory_that_runs_out(setup: Setup) -> dict[str, Any]:
    """A limit of the allocator between what few and what many images need: it is met, and the maps are the same."""
    setup.need_cuda("limits its allocator")
    case, device = setup.baseline, setup.device
    few, many, taken = setup.chunk // 8, setup.chunk, list[int]()

    def watched(images: Tensor) -> Tensor:
        if images.requires_grad:
            taken.append(len(images))
        result: Tensor = case.fast(images)
        return result

    def run(chunk: int) -> Tensor:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return attribute(watched, case.persons(1, 2), FastBackward(), nodes=many, chunk=chunk, **CELLS).maps

    expected = run(few)
    enough = torch.cuda.max_memory_reserved(device)
    run(many)
    needed = torch.cuda.max_memory_allocated(device)
    sizes = {"few_GiB": enough / 2**30, "many_GiB": needed / 2**30}
    if needed < 1.2 * enough:
        raise Skipped("many images need hardly more than few, so that no limit lies between", **sizes)
    taken.clear()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_stats(device)["num_ooms"]
    limit = (enough + needed) / 2
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(device).total_memory, device)
    try:
        maps = run(many)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
        torch.cuda.empty_cache()
    times = torch.cuda.memory_stats(device)["num_ooms"] - before
    sizes |= {"limit_GiB": limit / 2**30, "met": times, "first_images": taken[0], "last_images": taken[-1]}
    if not times:
        raise Failed("the limit was not met: it says nothing", **sizes)
    return sizes | _at_least(WANTED_COSINE, maps=lowest_cosine(maps, expected, dims=2))


def stacked_equals_single(setup: Setup) -> dict[str, Any]:
    """Joints that go through one backward pass together against one after the other."""
    persons, backward = setup.baseline.persons(2, JOINTS), FastBackward()
    maps = [
        attribute(setup.baseline.fast, persons, backward, nodes=8, stack=stack, **CELLS).maps for stack in (1, JOINTS)
    ]
    return _at_least(WANTED_COSINE, maps=lowest_cosine(*maps, dims=2))


def graph_equals_eager(setup: Setup) -> dict[str, Any]:
    """A walk that is replayed from a CUDA graph against one that is launched step by step."""
    setup.need_cuda("captures a graph")
    persons, backward = setup.baseline.persons(2, JOINTS), FastBackward()
    maps = [
        attribute(setup.baseline.fast, persons, backward, nodes=32, chunk=16, cuda_graph=graph, **CELLS).maps
        for graph in (False, True)
    ]
    return _at_least(WANTED_COSINE, maps=lowest_cosine(*maps, dims=2))


def no_waiting_in_the_loop(setup: Setup) -> dict[str, Any]:
    """What a chunk more adds to the calls that make the host wait for the card; nothing should."""
    case, backward = setup.baseline, FastBackward()
    persons = case.persons(2, JOINTS)

    def run(chunks: int) -> Callable[[], object]:
        nodes = chunks * max(2, setup.chunk // 4)
        return lambda: attribute(case.fast, persons, backward, nodes=nodes, chunk=nodes // chunks * 2, **CELLS)

    more, one = waits(run(3), setup.device), waits(run(1), setup.device)
    calls = {name: (more[name] - one[name]) / 2 for name in more if more[name] != one[name]}
    if setup.device.type != "cuda":
        raise Skipped("needs CUDA: on a CPU nothing waits; the calls that would are counted", calls_a_chunk=calls)
    if any(name.startswith("cuda") for name in calls):  # the others may have asked a tensor that is on the CPU
        raise Failed("the host waits in the inner loop", calls_a_chunk=calls, lines=_waiting_lines(run(3)))
    return {"calls_a_chunk": calls}


def _waiting_lines(call: Callable[[], object]) -> dict[str, int]:
    """Where in the code the host waits, 'file:line' -> how often, as torch's own watch says it."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waiting = [w for w in caught if "synchronizing" in str(w.message)]
    return dict(Counter(f"{Path(w.filename).name}:{w.lineno}" for w in waiting))


CHECKS: dict[str, tuple[Callable[[Setup], dict[str, Any]], float]] = {
    "cuda equals cpu": (cuda_equals_cpu, 25),
    "fast equals exact, SB-R50": (fast_equals_exact("SB-R50"), 15),
    "fast equals exact, HRNet-like": (fast_equals_exact("HRNet-like"), 15),
    "fast equals exact, ViT-like": (fast_equals_exact("ViT-like"), 15),
    "memory that runs out": (memory_that_runs_out, 15),
    "stacked equals single": (stacked_equals_single, 10),
    "graph equals eager": (graph_equals_eager, 15),
    "no waiting in the loop": (no_waiting_in_the_loop, 15),
}
"""By name: the check, and the seconds it may take on a card."""
