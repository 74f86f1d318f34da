"""The published procedure, written plainly from method.md: one image, one joint, one step at a time, nothing shared.

It is what our engine is compared with, for equality (tests) and for time (benchmarks); it shares no code with the
package.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

STEPS, SIGMA, TAPS, BETA, ALPHA = 50, 19.0, 31, 10.0, 0.3  # alpha per heatmap pixel


def blur_kernel(sigma: float, dtype: torch.dtype) -> Tensor:
    """The 31 x 31 Gaussian, normalised to 1."""
    y, x = torch.meshgrid(torch.arange(TAPS) - TAPS // 2, torch.arange(TAPS) - TAPS // 2, indexing="ij")
    kernel = torch.exp(-(x**2 + y**2).double() / (2 * (sigma + 1e-5) ** 2))
    return (kernel / kernel.sum()).to(dtype)


def blur(image: Tensor, kernel: Tensor) -> Tensor:
    """(C, H, W) filtered channel by channel, reflect padding."""
    pad = TAPS // 2
    weight = kernel.to(image).expand(image.shape[0], 1, TAPS, TAPS)
    return F.conv2d(F.pad(image[None], (pad, pad, pad, pad), "reflect"), weight, groups=image.shape[0])[0]


def soft_argmax(heatmaps: Tensor) -> Tensor:
    """(K, h, w) -> (K, 2), heatmap px, softmax of beta times the heatmap."""
    joints, height, width = heatmaps.shape
    p = torch.softmax(BETA * heatmaps.reshape(joints, -1), 1).reshape(joints, height, width)
    x = (p.sum(1) * torch.arange(width).to(p)).sum(1)
    y = (p.sum(2) * torch.arange(height).to(p)).sum(1)
    return torch.stack([x, y], 1)


def quantised_target(keypoints: Tensor, size: tuple[int, int], sigma: float = 2.0) -> Tensor:
    """(K, 2) input px at stride 4 -> (K, h, w): a Gaussian around the nearest heatmap px, a window of 3 sigma."""
    height, width = size
    target = torch.zeros(len(keypoints), height, width, dtype=keypoints.dtype)
    radius = int(3 * sigma)
    for k, (x, y) in enumerate(keypoints.tolist()):
        if x != x:
            continue
        column, row = int(x / 4 + 0.5), int(y / 4 + 0.5)
        for i in range(max(0, row - radius), min(height, row + radius + 1)):
            for j in range(max(0, column - radius), min(width, column + radius + 1)):
                target[k, i, j] = np.exp(-((i - row) ** 2 + (j - column) ** 2) / (2 * sigma**2))
    return target


def published_maps(heatmaps_of: Callable[[Tensor], Tensor], image: Tensor, truth: Tensor) -> Tensor:
    """Maps of all joints of one person.

    Args:
        heatmaps_of: (1, C, H, W) -> (1, K, h, w).
        image: (C, H, W) normalised.
        truth: (K, 2) in heatmap px; a joint that is NaN has a map of zeros.

    Returns:
        (K, H, W), each with maximum 1.
    """
    kernels = [blur_kernel(SIGMA * (1 - i / STEPS), image.dtype) for i in range(STEPS + 1)]
    sums = torch.zeros(len(truth), *image.shape, dtype=image.dtype)
    for step in range(STEPS):
        derivative = (blur(image, kernels[step + 1]) - blur(image, kernels[step])) * STEPS
        for joint in torch.nonzero(truth.isfinite().all(1)).ravel().tolist():
            point = blur(image, kernels[step]).detach().requires_grad_()
            position = soft_argmax(heatmaps_of(point[None])[0])[joint]
            target = torch.exp(-ALPHA * (position - truth[joint]).norm())
            (gradient,) = torch.autograd.grad(target, point)
            sums[joint] += gradient * derivative / STEPS
    maps = sums.sum(1).abs()
    return maps / maps.amax((1, 2), keepdim=True).clamp_min(1e-300)


def published_indices(amap: np.ndarray, mask: np.ndarray | None, target: np.ndarray) -> tuple[float, ...]:
    """DI, FI and LI of one joint's map (H, W); its target is a heatmap of stride 4."""
    flat = np.sort(amap.astype(np.float64).ravel() + 1e-7)
    n = flat.size
    rank = np.arange(1, n + 1)
    di = 100 * (1 - np.sum((2 * rank - n - 1) * flat) / (n * np.sum(flat)))
    fi = float("nan")
    if mask is not None and mask.any():
        dilated = F.max_pool2d(torch.from_numpy(mask.astype(np.float32))[None, None], 5, 1, 2)[0, 0].numpy()
        fi = (amap * dilated).sum() / amap.sum() * n / dilated.sum()
    return float(di), float(fi), published_relation(amap, target)


def published_relation(amap: np.ndarray, target: np.ndarray) -> float:
    """RI of one joint's map (H, W) to the joint of the target (h, w)."""
    resized = F.interpolate(torch.from_numpy(target)[None, None], amap.shape, mode="bilinear", align_corners=False)
    heat = resized[0, 0].numpy()
    return float((amap * heat).sum() / amap.sum() * amap.size / heat.sum())
