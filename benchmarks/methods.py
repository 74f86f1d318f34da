"""The methods that are compared; each maps (adapter, image (1, 3, H, W), keypoints (1, K, 2)) to maps (1, K, H, W)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from poseig_mm.attribution.acceleration import Acceleration
from poseig_mm.functional import path_attribution
from poseig_mm.functional.maps import normalise_maps
from poseig_mm.types import Attribution

ALPHA = 0.075  # per input px


def published(adapter: Any, image: Tensor, keypoints: Tensor, steps: int = 50, run: int | None = None) -> Tensor:
    """The published procedure at its published cost: K + 1 backward passes a step, weight gradients included.

    Args:
        steps: of the path; `run` of them are carried out (to time a slow model: cost is linear in steps).
    """
    from benchmarks.published_procedure import SIGMA, blur, blur_kernel

    kernels = [blur_kernel(SIGMA * (1 - i / steps), image.dtype) for i in range(steps + 1)]
    adapter.model.requires_grad_(True)
    sums = image.new_zeros(keypoints.shape[1], *image.shape[1:])
    try:
        for step in range(steps if run is None else run):
            derivative = blur(image[0], kernels[step + 1]) - blur(image[0], kernels[step])
            point = blur(image[0], kernels[step])[None].detach().requires_grad_()
            coords = adapter(point).coords[0]
            target = torch.exp(-ALPHA * (coords - keypoints[0].nan_to_num()).norm(dim=-1))
            for joint in range(len(target)):
                point.grad = None
                target[joint].backward(retain_graph=True)
                sums[joint] += point.grad[0] * derivative
            target.sum().backward()  # the redundant last pass
            adapter.model.zero_grad(set_to_none=True)
    finally:
        adapter.model.zero_grad(set_to_none=True)
        adapter.model.requires_grad_(False)
    return normalise_maps(sums.sum(1)[None])


def captum_linear(adapter: Any, image: Tensor, keypoints: Tensor, nodes: int, images_at_once: int = 8) -> Tensor:
    """Captum's IntegratedGradients, black to image, one call a joint, the same target."""
    from captum.attr import IntegratedGradients

    def target(x: Tensor, joint: int) -> Tensor:
        return torch.exp(-ALPHA * (adapter(x).coords[:, joint] - keypoints[0, joint]).norm(dim=-1))

    method, maps = IntegratedGradients(target), []
    for joint in range(keypoints.shape[1]):
        if not bool(keypoints[0, joint].isfinite().all()):
            maps.append(image.new_full(image.shape[2:], math.nan))
            continue
        attributed = method.attribute(
            image, baselines=torch.zeros_like(image), additional_forward_args=joint, n_steps=nodes,
            internal_batch_size=images_at_once, method="riemann_middle",
        )  # fmt: skip
        maps.append(attributed[0].sum(0).detach())
    return normalise_maps(torch.stack(maps)[None])


def pair_blur(adapter: Any, image: Tensor, keypoints: Tensor, nodes: int = 50, largest: float = 19.0) -> Tensor:
    """Blur IG in the manner of Google's PAIR: sigma linear, the image's derivative by sigma from a small difference."""
    from poseig_mm.functional.paths import gaussian_kernels

    def at(sigma: float) -> Tensor:
        size = 2 * math.ceil(3 * largest) + 1
        kernel = gaussian_kernels(torch.tensor([sigma]), size)[0]
        pad = size // 2
        x = torch.nn.functional.pad(image, (pad, pad, pad, pad), "reflect")
        x = torch.nn.functional.conv2d(x.transpose(0, 1), kernel[None, None, None, :])
        return torch.nn.functional.conv2d(x, kernel[None, None, :, None]).transpose(0, 1)

    sums = torch.zeros(keypoints.shape[1], *image.shape[1:])
    for i in range(nodes):
        sigma, small = largest * i / nodes, 0.01
        derivative = (at(sigma) - at(sigma + small)) / small
        point = at(sigma).detach().requires_grad_()
        target = torch.exp(-ALPHA * (adapter(point).coords[0] - keypoints[0].nan_to_num()).norm(dim=-1))
        for joint in range(keypoints.shape[1]):
            if bool(keypoints[0, joint].isfinite().all()):
                (gradient,) = torch.autograd.grad(target[joint], point, retain_graph=True)
                sums[joint] += (gradient * derivative)[0] * largest / nodes
    maps = sums.sum(1)[None]
    return normalise_maps(torch.where(keypoints.isfinite().all(-1)[..., None, None], maps, torch.nan))


def ours(acceleration: Acceleration, image: Tensor, keypoints: Tensor, **settings: Any) -> Attribution:
    """This package's engine."""
    adapter = acceleration.adapter
    return path_attribution(lambda x: adapter(x).coords, image, keypoints, backward=acceleration.backward, **settings)
