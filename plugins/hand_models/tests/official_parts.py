"""Official layouts and their forward passes, written once more from the facts, by weights' names and torch's
functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]
Weights = Mapping[str, Tensor]


def conv(name: str, inputs: int, outputs: int, *kernel: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, *kernel)} | ({f"{name}.bias": (outputs,)} if bias else {})


def norm(name: str, channels: int) -> Shapes:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{p}": (channels,) for p in parts} | {f"{name}.num_batches_tracked": ()}


def resnet_shapes(p: str, width: int, blocks: Sequence[int], stem: str = "{}", stage: str = "layer{}") -> Shapes:
    """`stem` and `stage` say how the first convolution, its norm and the stages are named behind the prefix `p`."""
    found = conv(p + stem.format("conv1"), 3, width, 7, 7, bias=False) | norm(p + stem.format("bn1"), width)
    inputs = width
    for i, count in enumerate(blocks):
        inner = width * 2**i
        for j in range(count):
            b = f"{p}{stage.format(i + 1)}.{j}."
            found |= conv(b + "conv1", inputs, inner, 1, 1, bias=False) | norm(b + "bn1", inner)
            found |= conv(b + "conv2", inner, inner, 3, 3, bias=False) | norm(b + "bn2", inner)
            found |= conv(b + "conv3", inner, 4 * inner, 1, 1, bias=False) | norm(b + "bn3", 4 * inner)
            if j == 0:
                found |= conv(b + "downsample.0", inputs, 4 * inner, 1, 1, bias=False)
                found |= norm(b + "downsample.1", 4 * inner)
            inputs = 4 * inner
    return found


def lixel_shapes(p: str, points: int, inputs: int, size: int, channels: int) -> Shapes:
    found: Shapes = {}
    for i in range(3):
        found |= {f"{p}deconv.{3 * i}.weight": (channels if i else inputs, channels, 4, 4)}
        found |= norm(f"{p}deconv.{3 * i + 1}", channels)
    found |= conv(p + "conv_x.0", channels, points, 1) | conv(p + "conv_y.0", channels, points, 1)
    found |= conv(p + "conv_z_1.0", inputs, channels * size, 1) | norm(p + "conv_z_1.1", channels * size)
    return found | conv(p + "conv_z_2.0", channels, points, 1)


def random_weights(shapes: Shapes, seed: int = 0, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Every number its own, of a size that lets signals through."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in shapes.items():
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
        last = name.rpartition(".")[2]
        if last == "num_batches_tracked":
            drawn = torch.tensor(7)
        elif last == "running_var" or (
            last in ("weight", "betas") and len(shape) < 3 and f"{name[:-7]}.bias" not in shapes
        ):
            drawn = 0.5 + drawn.abs()
        elif last == "weight" and len(shape) == 1:
            drawn = 1 + 0.3 * drawn
        elif last == "weight" and len(shape) > 1:
            drawn = drawn * math.sqrt(1.5 / (drawn[0].numel()))
        else:
            drawn = 0.3 * drawn
        found[name] = drawn if last == "num_batches_tracked" else drawn.to(dtype)
    return found


def bn(w: Weights, name: str, x: Tensor) -> Tensor:
    shape = [1, -1] + [1] * (x.ndim - 2)
    mean, var, weight, bias = (
        w[f"{name}.{p}"].reshape(shape) for p in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(var + 1e-5) * weight + bias


def c2(w: Weights, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """A 2D convolution that keeps the size but for its stride."""
    weight = w[f"{name}.weight"]
    return F.conv2d(x, weight, w.get(f"{name}.bias"), stride, weight.shape[-1] // 2)


def c1(w: Weights, name: str, x: Tensor) -> Tensor:
    """A 1D convolution of kernel 1: (B, C, n)."""
    return torch.einsum("oi,bin->bon", w[f"{name}.weight"][..., 0], x) + w[f"{name}.bias"][:, None]


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return torch.einsum("oi,...i->...o", w[f"{name}.weight"], x) + w[f"{name}.bias"]


def stages(
    w: Weights,
    p: str,
    x: Tensor,
    blocks: Sequence[int],
    act: Callable[[Tensor], Tensor] = F.relu,
    stage: str = "layer{}",
) -> list[Tensor]:
    """Maps behind each stage of a ResNet."""
    found = []
    for i, count in enumerate(blocks):
        for j in range(count):
            b = f"{p}{stage.format(i + 1)}.{j}."
            stride = 2 if i and j == 0 else 1
            short = bn(w, b + "downsample.1", c2(w, b + "downsample.0", x, stride)) if j == 0 else x
            y = act(bn(w, b + "bn1", c2(w, b + "conv1", x)))
            y = act(bn(w, b + "bn2", c2(w, b + "conv2", y, stride)))
            x = act(bn(w, b + "bn3", c2(w, b + "conv3", y)) + short)
        found.append(x)
    return found


def expected_cell(lixels: Tensor) -> Tensor:
    weights = lixels.exp() / lixels.exp().sum(-1, keepdim=True)
    return sum(i * weights[..., i] for i in range(lixels.shape[-1]))  # type: ignore[return-value]


def deconvolved(w: Weights, p: str, x: Tensor) -> Tensor:
    for i in range(3):
        x = bn(w, f"{p}deconv.{3 * i + 1}", F.conv_transpose2d(x, w[f"{p}deconv.{3 * i}.weight"], None, 2, 1)).relu()
    return x


def lixels(w: Weights, p: str, feature: Tensor, size: int) -> Tensor:
    """(B, points, 3), grid cells."""
    fine = deconvolved(w, p, feature)
    deep = bn(w, p + "conv_z_1.1", c1(w, p + "conv_z_1.0", feature.flatten(2).mean(2)[..., None])).relu()[..., 0]
    deep = deep.reshape(len(deep), -1, size)
    rows = (
        c1(w, p + "conv_x.0", fine.sum(2) / size),
        c1(w, p + "conv_y.0", fine.sum(3) / size),
        c1(w, p + "conv_z_2.0", deep),
    )
    return torch.stack([expected_cell(r) for r in rows], -1)


def directional(
    function: Callable[[Tensor], Tensor], x: Tensor, seed: int, step: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """A random combination of the outputs along three random directions: by autograd, and by central differences."""
    generator = torch.Generator().manual_seed(seed)
    x = x.clone().requires_grad_()
    out = function(x)
    weights = torch.randn(out.shape, generator=generator, dtype=out.dtype)
    (gradient,) = torch.autograd.grad((out * weights).sum(), x)
    exact, measured = [], []
    with torch.no_grad():
        for _ in range(3):
            d = torch.randn(x.shape, generator=generator, dtype=x.dtype)
            exact.append((gradient * d).sum())
            ends = [(function(x + s * step * d) * weights).sum() for s in (1, -1)]
            measured.append((ends[0] - ends[1]) / (2 * step))
    return torch.stack(exact), torch.stack(measured)


def estimator(backbone: Any, head: Any, names: Sequence[str] = ()) -> Any:
    """An MMPose config of a hand model."""
    from mmengine.config import Config

    return Config(
        dict(
            default_scope="mmpose",
            custom_imports=dict(
                imports=["poseig_hand_models.models", *(f"poseig_hand_models.{n}" for n in names)],
                allow_failed_imports=False,
            ),
            model=dict(
                type="HandMeshEstimator",
                data_preprocessor=dict(
                    type="PoseDataPreprocessor", mean=[0, 0, 0], std=[255, 255, 255], bgr_to_rgb=True
                ),
                backbone=backbone,
                head=head,
                test_cfg=dict(flip_test=False),
            ),
        )
    )


def load(config: Any, checkpoint: Any = None) -> Any:
    """`load_adapter` with this plugin's adapter."""
    from poseig_mm import load_adapter
    from poseig_mm.plugin.manager import PluginHost

    host = PluginHost(plugins=["poseig_hand_models.plugin"], entry_points=False)
    return load_adapter(config, checkpoint, host=host)
