"""KDE heatmaps against scipy, indices against per-joint loops: seconds, ratios and differences, in one process.

    python benchmarks/kde_and_indices.py [--device cuda] [--threads 1] [--persons 1] [--no-scipy]

The loops are what the published implementation does, plainly written again: DI sorts each joint's map by itself in
numpy, RI goes through all pairs of joints.  FI and LI are batched there as well; here they are looped too, to compare
alike. scipy's density is evaluated in full once, at 256 x 192, which takes about a minute.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import Tensor

from poseig_mm.functional import (
    bootstrap_mean,
    diffusion_index,
    foreground_index,
    gaussian_heatmaps,
    kde_heatmap,
    locality_index,
    relation_index,
)
from poseig_mm.functional.indices import dilate_mask

Array = NDArray[np.float32]
JOINTS, HEIGHT, WIDTH = 17, 256, 192


def example(persons: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Maps like attribution maps (rough, heavy-tailed, around a joint), masks and heatmaps."""
    random = torch.Generator().manual_seed(seed)
    points = torch.rand(persons, JOINTS, 2, generator=random) * torch.tensor([WIDTH - 1.0, HEIGHT - 1.0])
    rough = torch.rand(persons, JOINTS, HEIGHT, WIDTH, generator=random) ** 6
    maps = rough * (0.02 + gaussian_heatmaps(points, (HEIGHT, WIDTH), 30.0))
    mask = torch.zeros(persons, 1, HEIGHT, WIDTH, dtype=torch.bool)
    mask[..., 40:220, 60:130] = True
    return maps / maps.amax((2, 3), keepdim=True), mask, gaussian_heatmaps(points, (HEIGHT, WIDTH))


def loop_di(maps: Array) -> NDArray[np.float64]:
    """One joint after the other: add 1e-7, sort, weigh by rank."""
    di = np.empty(maps.shape[:2])
    for b, k in np.ndindex(di.shape):
        values = np.sort(maps[b, k].flatten() + 1e-7)
        n = len(values)
        rank = np.arange(1, n + 1)
        di[b, k] = 100 * (1 - np.sum((2 * rank - n - 1) * values) / (n * np.sum(values)))
    return di


def mean_weight(amap: Array, weight: Array) -> float:
    """FI or LI of one joint."""
    return float((amap / amap.sum() * weight).sum() * weight.size / weight.sum())


def loop_fi(maps: Array, wide: Array) -> NDArray[np.float64]:
    """One joint after the other, with a mask that is dilated already."""
    b, k = maps.shape[:2]
    return np.array([[mean_weight(maps[i, j], wide[i, 0]) for j in range(k)] for i in range(b)])


def loop_li(maps: Array, heatmaps: Array) -> NDArray[np.float64]:
    """One joint after the other."""
    b, k = maps.shape[:2]
    return np.array([[mean_weight(maps[i, j], heatmaps[i, j]) for j in range(k)] for i in range(b)])


def loop_ri(maps: Array, heatmaps: Array) -> NDArray[np.float64]:
    """One pair of joints after the other."""
    b, k = maps.shape[:2]
    return np.array([[[mean_weight(maps[i, j], heatmaps[i, m]) for m in range(k)] for j in range(k)] for i in range(b)])


def seconds(call: Callable[[], Any], device: str, repeats: int) -> tuple[float, Any]:
    """Median time of a call, after one to warm up where it is repeated, and its result."""
    times, result = [], call() if repeats > 1 else None
    for _ in range(repeats):
        if device != "cpu":
            torch.cuda.synchronize()
        start = time.perf_counter()
        result = call()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times), result


def row(name: str, theirs: float, ours: float, difference: str) -> None:
    """One line of the table."""
    print(f"{name:34} {1e3 * theirs:12.2f} {1e3 * ours:10.2f} {theirs / ours:10.1f} x   {difference}")


def compare_indices(persons: int, device: str) -> None:
    """DI, FI, LI and RI of `persons` persons."""
    maps, mask, heatmaps = example(persons)
    arrays = [t.numpy() for t in (maps, dilate_mask(mask), heatmaps)]
    maps, mask, heatmaps = (t.to(device) for t in (maps, mask, heatmaps))
    cases: tuple[tuple[str, Callable[[], Any], Callable[[], Tensor]], ...] = (
        ("DI", lambda: loop_di(arrays[0]), lambda: diffusion_index(maps)),
        ("FI", lambda: loop_fi(arrays[0], arrays[1]), lambda: foreground_index(maps, mask)),
        ("LI", lambda: loop_li(arrays[0], arrays[2]), lambda: locality_index(maps, heatmaps)),
        ("RI", lambda: loop_ri(arrays[0], arrays[2]), lambda: relation_index(maps, heatmaps)),
    )
    sums = [0.0, 0.0]
    for name, loop, call in cases:
        theirs, expected = seconds(loop, "cpu", 3)
        ours, values = seconds(call, device, 9)
        off = np.abs(values.cpu().numpy() - expected).max()
        row(f"{name}, {persons} persons x {JOINTS}", theirs, ours, f"largest difference {off:.1e}")
        sums = [sums[0] + theirs, sums[1] + ours]
    row("all four", sums[0], sums[1], "")


def compare_kde(device: str) -> None:
    """One map of 256 x 192, scipy evaluated at every pixel."""
    weights = example(1)[0][0, 0]
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    grid = np.vstack([x.ravel(), y.ravel()])
    theirs, expected = seconds(lambda: scipy.stats.gaussian_kde(grid, weights=weights.numpy().ravel())(grid), "cpu", 1)
    moved = weights.to(device)
    ours, density = seconds(lambda: kde_heatmap(moved), device, 15)
    off = np.abs(density.cpu().numpy().ravel() - expected).max() / expected.max()
    row(f"KDE, one map {HEIGHT} x {WIDTH}", theirs, ours, f"largest difference {off:.1e} of the peak")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="where ours runs; scipy and the loops run on the CPU")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--persons", type=int, default=1, help="at once; a CPU session takes them one by one")
    parser.add_argument("--no-scipy", action="store_true", help="leave out scipy's minute")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    processor = torch.cuda.get_device_name() if options.device != "cpu" else f"CPU, {options.threads} threads"
    print(
        f"{processor}; Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}, ", end=""
    )
    print(f"scipy {scipy.__version__}; {time.strftime('%Y-%m-%d')}")
    print(f"{'':34} {'theirs (ms)':>12} {'ours (ms)':>10} {'ratio':>12}")
    compare_indices(options.persons, options.device)
    values, groups = np.random.default_rng(0).random(6352 * 11), np.repeat(np.arange(6352), 11)
    took, _ = seconds(lambda: bootstrap_mean(values, groups=groups), "cpu", 3)
    print(f"bootstrap_mean, 6,352 persons x 11 joints, 2,000 resamples: {1e3 * took:.0f} ms")
    if not options.no_scipy:
        compare_kde(options.device)


if __name__ == "__main__":
    main()
