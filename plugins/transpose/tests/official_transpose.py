"""TransPose as the official code lays it out, without MMPose: names and shapes, random weights, and a plain forward
pass.

Written from the facts in the plugin's README (github.com/yangsenius/TransPose, MIT); only torch's functions are used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Official:
    """What the official yaml files say."""

    width: int  # of HRNet; 0: ResNet
    channels: int
    hidden: int
    heads: int
    layers: int
    published: float  # million parameters

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w)."""
        return (64, 48) if self.width else (32, 24)


OFFICIAL = {
    "r-a3": Official(0, 256, 1024, 8, 3, 5.2),
    "r-a4": Official(0, 256, 1024, 8, 4, 6.0),
    "h-s": Official(32, 64, 128, 1, 4, 8.0),
    "h-a4": Official(48, 96, 192, 1, 4, 17.3),
    "h-a6": Official(48, 96, 192, 1, 6, 17.5),
}


def shapes_of(model: Official) -> Shapes:
    """Official name -> shape."""
    return dict(_shapes(model))


def random_weights(model: Official, seed: int = 0) -> Weights:
    """Values that differ everywhere, of a size that keeps activations near 1, in float32."""
    generator = torch.Generator().manual_seed(seed)
    found: Weights = {}
    for number, (name, shape) in enumerate(shapes_of(model).items()):
        if name.endswith("num_batches_tracked"):
            found[name] = torch.tensor(1000 + number)
            continue
        values = torch.randn(shape, generator=generator)
        if name.endswith("running_var"):
            values = 0.5 + values.abs()
        elif len(shape) == 4 or (len(shape) == 2 and name != "pos_embedding"):
            values = values / math.sqrt(math.prod(shape[1:]) / 2)
        elif name.endswith("weight"):  # of norms
            values = 0.7 + 0.1 * values
        elif name != "pos_embedding":
            values = 0.1 * values
        found[name] = values
    return found


def forward(model: Official, w: Weights, images: Tensor) -> Tensor:
    """(B, 3, 256, 192) -> heatmaps (B, 17, 64, 48), evaluation mode."""
    x = _hrnet(w, images) if model.width else _resnet(w, images)
    x = F.conv2d(x, w["reduce.weight"])
    b, c, height, width = x.shape
    tokens = x.flatten(2).transpose(1, 2)  # (B, L, C)
    positions = w["pos_embedding"][:, 0]  # (L, C)
    for i in range(model.layers):
        tokens = _layer(w, f"global_encoder.layers.{i}.", tokens, positions, model.heads)
    x = tokens.transpose(1, 2).reshape(b, c, height, width)
    if not model.width:
        x = F.conv_transpose2d(x, w["deconv_layers.0.weight"], stride=2, padding=1)
        x = F.relu(_norm(w, "deconv_layers.1", x))
    return F.conv2d(x, w["final_layer.weight"], w["final_layer.bias"])


def attention(w: Weights, at: str, tokens: Tensor, positions: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """One attention by its definition: (B, L, C) -> what comes out, and the weights (B, heads, L, L)."""
    q, k, v = w[f"{at}in_proj_weight"].chunk(3)
    bq, bk, bv = w[f"{at}in_proj_bias"].chunk(3)

    def split(x: Tensor) -> Tensor:
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, heads, L, C / heads)

    asked = split((tokens + positions) @ q.T + bq)
    offered = split((tokens + positions) @ k.T + bk)
    weights = (asked @ offered.transpose(-1, -2) / math.sqrt(asked.shape[-1])).softmax(-1)
    mixed = (weights @ split(tokens @ v.T + bv)).transpose(1, 2).flatten(2)
    return mixed @ w[f"{at}out_proj.weight"].T + w[f"{at}out_proj.bias"], weights


def _layer(w: Weights, at: str, tokens: Tensor, positions: Tensor, heads: int) -> Tensor:
    c = tokens.shape[-1:]
    attended, _ = attention(w, f"{at}self_attn.", tokens, positions, heads)
    tokens = F.layer_norm(tokens + attended, c, w[f"{at}norm1.weight"], w[f"{at}norm1.bias"])
    hidden = F.relu(tokens @ w[f"{at}linear1.weight"].T + w[f"{at}linear1.bias"])
    out = hidden @ w[f"{at}linear2.weight"].T + w[f"{at}linear2.bias"]
    return F.layer_norm(tokens + out, c, w[f"{at}norm2.weight"], w[f"{at}norm2.bias"])


# ---- convolutions ---------------------------------------------------------------------------------------------------


def _norm(w: Weights, at: str, x: Tensor) -> Tensor:
    mean, variance, weight, bias = (  # not F.batch_norm, which has no slopes by mean and variance
        w[f"{at}.{name}"][:, None, None] for name in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def _conv(w: Weights, at: str, norm: str, x: Tensor, stride: int = 1, relu: bool = True) -> Tensor:
    kernel = w[f"{at}.weight"]
    x = _norm(w, norm, F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2))
    return F.relu(x) if relu else x


def _bottleneck(w: Weights, at: str, x: Tensor, stride: int) -> Tensor:
    same = x
    if f"{at}.downsample.0.weight" in w:
        same = _conv(w, f"{at}.downsample.0", f"{at}.downsample.1", x, stride, relu=False)
    x = _conv(w, f"{at}.conv1", f"{at}.bn1", x)
    x = _conv(w, f"{at}.conv2", f"{at}.bn2", x, stride)
    return F.relu(_conv(w, f"{at}.conv3", f"{at}.bn3", x, relu=False) + same)


def _basic(w: Weights, at: str, x: Tensor) -> Tensor:
    inner = _conv(w, f"{at}.conv1", f"{at}.bn1", x)
    return F.relu(_conv(w, f"{at}.conv2", f"{at}.bn2", inner, relu=False) + x)


def _resnet(w: Weights, x: Tensor) -> Tensor:
    x = F.max_pool2d(_conv(w, "conv1", "bn1", x, 2), 3, 2, 1)
    for layer, blocks in (("layer1", 3), ("layer2", 4)):
        for i in range(blocks):
            x = _bottleneck(w, f"{layer}.{i}", x, 2 if (layer, i) == ("layer2", 0) else 1)
    return x


def _hrnet(w: Weights, x: Tensor) -> Tensor:
    x = _conv(w, "conv2", "bn2", _conv(w, "conv1", "bn1", x, 2), 2)
    for i in range(4):
        x = _bottleneck(w, f"layer1.{i}", x, 1)
    branches = [
        _conv(w, "transition1.0.0", "transition1.0.1", x),
        _conv(w, "transition1.1.0.0", "transition1.1.0.1", x, 2),
    ]
    branches = _module(w, "stage2.0", branches, 2)
    branches.append(_conv(w, "transition2.2.0.0", "transition2.2.0.1", branches[-1], 2))
    for m in range(4):
        branches = _module(w, f"stage3.{m}", branches, 1 if m == 3 else 3)
    return branches[0]


def _module(w: Weights, at: str, xs: list[Tensor], outputs: int) -> list[Tensor]:
    xs = list(xs)
    for i in range(len(xs)):
        for block in range(4):
            xs[i] = _basic(w, f"{at}.branches.{i}.{block}", xs[i])
    found = []
    for i in range(outputs):
        total = torch.zeros_like(xs[i])
        for j, x in enumerate(xs):
            way = f"{at}.fuse_layers.{i}.{j}"
            if j > i:
                x = _conv(w, f"{way}.0", f"{way}.1", x, relu=False)
                x = F.interpolate(x, scale_factor=2 ** (j - i), mode="nearest")
            for step in range(i - j):
                x = _conv(w, f"{way}.{step}.0", f"{way}.{step}.1", x, 2, relu=step < i - j - 1)
            total = total + x
        found.append(F.relu(total))
    return found


# ---- names and shapes -----------------------------------------------------------------------------------------------


def _shapes(m: Official) -> Iterator[tuple[str, tuple[int, ...]]]:
    if m.width:
        yield from _conv_shapes("conv1", "bn1", 3, 64, 3)
        yield from _conv_shapes("conv2", "bn2", 64, 64, 3)
        yield from _bottleneck_shapes("layer1", 64, 64, 4)
        yield from _conv_shapes("transition1.0.0", "transition1.0.1", 256, m.width, 3)
        yield from _conv_shapes("transition1.1.0.0", "transition1.1.0.1", 256, 2 * m.width, 3)
        yield from _module_shapes("stage2.0", m.width, 2, 2)
        yield from _conv_shapes("transition2.2.0.0", "transition2.2.0.1", 2 * m.width, 4 * m.width, 3)
        for i in range(4):
            yield from _module_shapes(f"stage3.{i}", m.width, 3, 1 if i == 3 else 3)
    else:
        yield from _conv_shapes("conv1", "bn1", 3, 64, 7)
        yield from _bottleneck_shapes("layer1", 64, 64, 3)
        yield from _bottleneck_shapes("layer2", 256, 128, 4)
    d, f = m.channels, m.hidden
    yield "reduce.weight", (d, m.width or 512, 1, 1)
    yield "pos_embedding", (m.grid[0] * m.grid[1], 1, d)
    for i in range(m.layers):
        at = f"global_encoder.layers.{i}."
        yield f"{at}self_attn.in_proj_weight", (3 * d, d)
        yield f"{at}self_attn.in_proj_bias", (3 * d,)
        for name, shape in (("self_attn.out_proj", (d, d)), ("linear1", (f, d)), ("linear2", (d, f))):
            yield f"{at}{name}.weight", shape
            yield f"{at}{name}.bias", shape[:1]
        for name in ("norm1", "norm2"):
            yield f"{at}{name}.weight", (d,)
            yield f"{at}{name}.bias", (d,)
    if not m.width:
        yield "deconv_layers.0.weight", (256, 256, 4, 4)
        yield from _norm_shapes("deconv_layers.1", 256)
    yield "final_layer.weight", (17, d, 1, 1)
    yield "final_layer.bias", (17,)


def _norm_shapes(at: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name in ("weight", "bias", "running_mean", "running_var"):
        yield f"{at}.{name}", (channels,)
    yield f"{at}.num_batches_tracked", ()


def _conv_shapes(conv: str, norm: str, before: int, after: int, size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{conv}.weight", (after, before, size, size)
    yield from _norm_shapes(norm, after)


def _bottleneck_shapes(at: str, before: int, inner: int, blocks: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for i in range(blocks):
        here = f"{at}.{i}"
        yield from _conv_shapes(f"{here}.conv1", f"{here}.bn1", before, inner, 1)
        yield from _conv_shapes(f"{here}.conv2", f"{here}.bn2", inner, inner, 3)
        yield from _conv_shapes(f"{here}.conv3", f"{here}.bn3", inner, 4 * inner, 1)
        if i == 0:
            yield from _conv_shapes(f"{here}.downsample.0", f"{here}.downsample.1", before, 4 * inner, 1)
        before = 4 * inner


def _module_shapes(at: str, width: int, branches: int, outputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    widths = [width * 2**i for i in range(branches)]
    for i, channels in enumerate(widths):
        for block in range(4):
            here = f"{at}.branches.{i}.{block}"
            for n in (1, 2):
                yield from _conv_shapes(f"{here}.conv{n}", f"{here}.bn{n}", channels, channels, 3)
    for i in range(outputs):
        for j in range(branches):
            way = f"{at}.fuse_layers.{i}.{j}"
            if j > i:
                yield from _conv_shapes(f"{way}.0", f"{way}.1", widths[j], widths[i], 1)
            for step in range(i - j):
                after = widths[i] if step == i - j - 1 else widths[j]
                yield from _conv_shapes(f"{way}.{step}.0", f"{way}.{step}.1", widths[j], after, 3)
