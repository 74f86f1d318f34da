"""Our engine as the benchmark calls it, also where it has no CUDA graphs yet."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.measuring import Setup, Skipped
from poseig_mm.functional import path_attribution
from poseig_mm.types import Attribution

__all__ = ["GRAPHS", "attribute", "input_gradients", "lowest_cosine", "spent"]

GRAPHS = "cuda_graph" in inspect.signature(path_attribution).parameters


def spent(setup: Setup) -> dict[str, Any]:
    """Settings that make networks with random weights take the gradients that a trained one takes: 16, then 17 more."""
    return {"nodes": 2, "max_nodes": 5, "tol": 0.0} if setup.small else {"nodes": 16, "max_nodes": 33, "tol": 0.0}


def attribute(
    net: Callable[[Tensor], Tensor], persons: tuple[Tensor, Tensor], backward: Any = None, **settings: Any
) -> Attribution:
    """`path_attribution` of images and keypoints.

    Raises:
        Skipped: the settings name `cuda_graph`, which this engine does not have.
    """
    if "cuda_graph" in settings and not GRAPHS:
        raise Skipped("path_attribution has no cuda_graph")
    return path_attribution(net, *persons, backward=backward, **settings)


def input_gradients(net: Callable[[Tensor], Tensor], images: Tensor, backward: Any, joints: int) -> Tensor:
    """Gradients of the first joints' coordinates, summed over x and y: (J, B, 3, H, W)."""
    x = images.clone().requires_grad_()
    coords = net(x)
    cotangents = torch.zeros(joints, *coords.shape, device=coords.device)
    for joint in range(joints):
        cotangents[joint, :, joint] = 1
    gradients: Tensor = backward(coords, x)(cotangents)
    return gradients


def lowest_cosine(a: Tensor, b: Tensor, dims: int) -> float:
    """Over what is left of the first `dims` dimensions where both are finite.

    Raises:
        ValueError: not the same values are finite, or none is.
    """
    a, b = a.flatten(dims).double(), b.flatten(dims).double()
    whole = a.isfinite().all(-1)
    if not torch.equal(whole, b.isfinite().all(-1)) or not whole.any():
        raise ValueError("one of two results is NaN where the other is not, or both are everywhere")
    return float(torch.cosine_similarity(a[whole], b[whole], dim=-1).min())
