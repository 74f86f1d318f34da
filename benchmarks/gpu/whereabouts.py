"""Where the time goes: one pass by itself, joints stacked in one backward pass, and a profile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpu.engine import GRAPHS, attribute, spent
from benchmarks.gpu.measuring import Setup, peak_memory, profiled
from benchmarks.gpu.nets import VISIBLE
from poseig_mm.functional.fast_backward import FastBackward
from poseig_mm.functional.linearise import autograd_backward

__all__ = ["WHEREABOUTS"]

STACKED = (1, 2, 4, 8, VISIBLE, None)  # None: what the walk itself says, by memory on a card


def one_pass(setup: Setup) -> dict[str, Any]:
    """A chunk's forward pass, and a backward pass of one cotangent and of as many as a person has joints."""
    case, device = setup.baseline, setup.device
    images = case.images[torch.arange(setup.chunk, device=device) % len(case.images)]
    x = images.clone().requires_grad_()
    times: dict[str, Any] = {"images": len(x), "forward": setup.seconds(lambda: case.fast(x))}
    with torch.no_grad():
        times["forward_without_graph"] = setup.seconds(lambda: case.fast(images))
    coords = case.fast(x)
    for joints in (1, VISIBLE):
        cotangents = torch.zeros(joints, *coords.shape, device=device)
        cotangents[:, :, 0] = 1
        for name, backward in (("autograd", autograd_backward), ("walk", FastBackward())):
            call = backward(coords, x)
            times[f"{name}_{joints}"] = setup.seconds(lambda call=call, c=cotangents: call(c))  # type: ignore[misc]
    return times


def stacked_joints(setup: Setup) -> dict[str, Any]:
    """Seconds a person by joints in one backward pass, without and with a CUDA graph."""
    rows = []
    for stack in STACKED:
        for graph in (False, True):
            asked = {"stack": stack, "cuda_graph": graph}
            if graph and setup.device.type != "cuda":
                rows.append(asked | {"skipped": "needs CUDA"})
            elif graph and not GRAPHS:
                rows.append(asked | {"skipped": "path_attribution has no cuda_graph"})
            elif setup.left < 10:
                rows.append(asked | {"skipped": "no time left"})
            else:
                rows.append(asked | _row(setup, {"stack": stack, **({"cuda_graph": True} if graph else {})}))
    return {"rows": rows}


def _row(setup: Setup, settings: dict[str, Any]) -> dict[str, Any]:
    """One setting's seconds and memory; what it raises stands in the row, and the next is measured."""
    case, backward, batch = setup.baseline, FastBackward(), setup.batches[1]
    persons = case.persons(batch)

    def call() -> Any:
        return attribute(case.fast, persons, backward, chunk=setup.chunk, **spent(setup), **settings)

    try:
        took = setup.seconds(call, 2) / batch
        return {"batch": batch, "seconds_a_person": took, "memory": peak_memory(call, setup.device)}
    except Exception as error:  # a stack that does not fit must not cost the rest of the sweep
        return {"batch": batch, "error": f"{type(error).__name__}: {error}"}


def profile(setup: Setup) -> dict[str, Any]:
    """The operations that take longest, on the card and on the CPU, in the default method."""
    case, backward, batch = setup.baseline, FastBackward(), setup.batches[1]
    persons = case.persons(batch)

    def call() -> Any:
        return attribute(case.fast, persons, backward, chunk=setup.chunk, **spent(setup))

    took = setup.seconds(call, 1)
    return {"batch": batch, "milliseconds": 1e3 * took, "rows": profiled(call, setup.device)}


WHEREABOUTS: dict[str, tuple[Callable[[Setup], dict[str, Any]], float]] = {
    "one pass": (one_pass, 10),
    "stacked joints": (stacked_joints, 60),
    "profile": (profile, 20),
}
"""By name: what is measured, and the seconds it may take on a card."""
