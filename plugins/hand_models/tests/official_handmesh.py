"""MobRecon and CMR as the official code lays them out: names and shapes, random weights, and a plain forward pass.

Written from the facts in the plugin's README (github.com/SeanChenxy/HandMesh, MIT); only torch's functions are used,
and where there are two ways to write a thing, another one than the plugin's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]
Item = tuple[str, tuple[int, ...]]
RING = ((4, 8), (4, 12), (4, 16), (4, 20), (8, 12), (8, 16), (8, 20), (12, 16), (12, 20), (16, 20))
HANDS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))


@dataclass(frozen=True)
class Layout:
    """One model's sizes; the defaults are the official ones."""

    kind: str  # 'spiral', 'dsconv' (MobRecon) or 'g', 'sg', 'pg' (CMR)
    size: int = 128
    c: int = 128  # MobRecon's channels, or CMR's stem
    latent: int = 256  # MobRecon's, or CMR's 1000
    channels: tuple[int, ...] = (32, 64, 128, 256)
    length: int = 9
    coarsest: int = 49
    projection: bool = False
    depth: int = 18
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    maps: int = field(default=24)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        return (*RING, *HANDS) if self.kind == "g" else RING


def cmr(kind: str, depth: int = 18) -> Layout:
    """The official CMR."""
    blocks = (2, 2, 2, 2) if depth == 18 else (3, 4, 6, 3)
    return Layout(kind, 224, 64, 1000, (64, 128, 256, 512), 27, depth=depth, blocks=blocks)


def shapes_of(model: Layout) -> dict[str, tuple[int, ...]]:
    """Official name -> shape."""
    return dict(_mobrecon_shapes(model) if model.kind in ("spiral", "dsconv") else _cmr_shapes(model))


def random_weights(model: Layout, seed: int = 0, dtype: torch.dtype = torch.float64) -> Weights:
    """Values that differ everywhere, of a size that keeps signals alive."""
    generator = torch.Generator().manual_seed(seed)
    found: Weights = {}
    for number, (name, shape) in enumerate(shapes_of(model).items()):
        if name.endswith("num_batches_tracked"):
            found[name] = torch.tensor(1000 + number)
            continue
        values = torch.randn(shape, generator=generator, dtype=dtype)
        if name.endswith("running_var"):
            values = 0.5 + values.abs()
        elif name.endswith("uv_reg.0.0.weight"):  # large and positive enough to leave the flat parts of Hardtanh
            values = 0.2 * values
        elif len(shape) in (2, 4):
            values = values * math.sqrt(2 / math.prod(shape[1:]))
        elif name.endswith("weight") and not name.startswith("attention"):  # of norms
            values = 0.9 + 0.1 * values
        elif name.endswith("gamma"):
            values = 0.5 + 0 * values
        elif name.endswith("norm.bias"):  # of few channels some must live
            values = 0.3 + 0.1 * values
        else:
            values = 0.1 * values
        found[name] = values
    return found


def forward(
    model: Layout, w: Weights, images: Tensor, spirals: Sequence[Tensor], up: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Images -> vertices and uv (MobRecon), or vertices and heatmaps (CMR); spirals and matrices finest first."""
    run = _mobrecon if model.kind in ("spiral", "dsconv") else _cmr
    return run(model, w, images, spirals, up)


# ---- names and shapes ------------------------------------------------------------------------------------------------


def _norm_shapes(at: str, n: int) -> Iterator[Item]:
    yield from ((f"{at}.{part}", (n,)) for part in ("weight", "bias", "running_mean", "running_var"))
    yield f"{at}.num_batches_tracked", ()


def _layer_shapes(at: str, a: int, b: int, k: int = 1, groups: int = 1) -> Iterator[Item]:
    yield f"{at}.0.weight", (b, a // groups, k, k)
    yield from _norm_shapes(f"{at}.1", b)


def _unit_shapes(at: str, a: int, b: int, twice: bool = False) -> Iterator[Item]:
    for i in range(2 if twice else 1):
        yield from _layer_shapes(f"{at}.conv3x3.{i}", a, a, 3, a)
    yield from _layer_shapes(f"{at}.conv1x1", a, b)


def _gate_shapes(at: str, n: int) -> Iterator[Item]:
    inner = min(n // 2, 256)
    for name, a, b in (("fc1", n, inner), ("fc2", inner, n)):
        yield f"{at}.{name}.0.weight", (b, a)
        yield from _norm_shapes(f"{at}.{name}.1", b)


def _stack_shapes(at: str, c: int, maps: int) -> Iterator[Item]:
    for name, units in (
        ("dense1", ((c, c // 2), (c * 3 // 2, c // 2))),
        ("dense2", tuple((2 * c + i * c // 2, c // 2) for i in range(4))),
        ("dense3", tuple((4 * c + i * c, c) for i in range(4))),
        ("dense4", ((8 * c, 6 * c), (14 * c, 2 * c))),
        ("dense5", ((8 * c, 6 * c), (14 * c, 2 * c))),
    ):
        for i, (a, b) in enumerate(units):
            yield from _unit_shapes(f"{at}.{name}.conv{i + 1}", a, b)
    for i, (a, b) in enumerate(((8 * c, 4 * c), (4 * c, 2 * c), (2 * c, maps))):
        inner = (4 * c, 2 * c, 2 * c)[i]
        yield from _unit_shapes(f"{at}.thrink{i + 1}.0", a, inner)
        yield from _unit_shapes(f"{at}.thrink{i + 1}.1", inner, b, twice=True)
    for i, n in enumerate((2 * c, 4 * c, 8 * c, 4 * c, 2 * c, maps)):
        yield from _gate_shapes(f"{at}.senet{i + 1}", n)


def _mobrecon_shapes(m: Layout) -> Iterator[Item]:
    c = m.c
    yield from _layer_shapes("backbone.pre_layer.0", 3, c // 2, 3)
    yield from _unit_shapes("backbone.pre_layer.1", c // 2, c)
    yield from _layer_shapes("backbone.thrink", 4 * c, c)
    yield from _stack_shapes("backbone.dense_stack1", c, m.maps)
    yield from _layer_shapes("backbone.stack1_remap", m.maps, m.maps)
    yield from _layer_shapes("backbone.thrink2", m.maps + c, c)
    yield from _stack_shapes("backbone.dense_stack2", c, m.maps)
    yield "backbone.mid_proj.0.weight", (m.latent, 8 * c, 1, 1)
    yield "backbone.conv.0.weight", (21, m.maps, 1, 1)
    for i, (a, b) in enumerate((((m.size // 8) ** 2, 128), (128, 64), (64, 2))):
        yield f"backbone.uv_reg.{i}.0.weight", (b, a)
    if m.projection:
        yield "decoder3d.de_layer_conv.0.weight", (m.channels[-1], m.latent, 1, 1)
    yield "decoder3d.upsample", (m.coarsest, 21)
    widths = (m.channels[-1], *m.channels[::-1])
    names = [(f"decoder3d.de_layer.{i}.conv", widths[i], widths[i + 1]) for i in range(4)]
    for at, a, b in (*names, ("decoder3d.head", m.channels[0], 3)):
        if m.kind == "dsconv":
            yield f"{at}.spatial_layer.weight", (a, 1, 3, 3)
            yield f"{at}.channel_layer.weight", (b, a)
        else:
            yield f"{at}.layer.weight", (b, m.length * a)
            yield f"{at}.layer.bias", (b,)


def _block_shapes(at: str, a: int, b: int, k: int = 3, norm: bool = True) -> Iterator[Item]:
    yield f"{at}.conv.weight", (b, a, k, k)
    yield f"{at}.conv.bias", (b,)
    if norm:
        yield from _norm_shapes(f"{at}.norm", b)


def _encoder_shapes(at: str, m: Layout, inputs: int | None) -> Iterator[Item]:
    if inputs is None:
        yield f"{at}.conv1.weight", (m.c, 3, 7, 7)
        yield from _norm_shapes(f"{at}.bn1", m.c)
    else:
        yield from _block_shapes(f"{at}.reduce.0", inputs, inputs)
        yield from _block_shapes(f"{at}.reduce.1", inputs, 2 * m.c)
        yield from _block_shapes(f"{at}.reduce.2", 2 * m.c, m.c, 1)
    wide = 4 if m.depth == 50 else 1
    a = m.c
    for i, count in enumerate(m.blocks):
        n = m.c * 2**i
        for j in range(count):
            b = f"{at}.layer{i + 1}.{j}"
            kernels = ((a, n, 1), (n, n, 3), (n, 4 * n, 1)) if m.depth == 50 else ((a, n, 3), (n, n, 3))
            for k, (x, y, side) in enumerate(kernels):
                yield f"{b}.conv{k + 1}.weight", (y, x, side, side)
                yield from _norm_shapes(f"{b}.bn{k + 1}", y)
            if a != n * wide or (i and not j):
                yield from _layer_shapes(f"{b}.downsample", a, n * wide)
            a = n * wide
    if inputs is not None:
        yield f"{at}.fc.weight", (m.latent, a)
        yield f"{at}.fc.bias", (m.latent,)


def _decoder_shapes(name: str, head: str, m: Layout, maps: int) -> Iterator[Item]:
    c1, c2, c3, c4 = (m.c * 2**i * (4 if m.depth == 50 else 1) for i in range(4))
    for i, (a, b) in enumerate(((c4 + c3, c3), (c3 + c2, c2), (c2 + c1, c1), (c1, c1))):
        yield from _block_shapes(f"{name}.{i}", a, b)
    yield from _block_shapes(head, c1, maps, norm=False)


def _cmr_shapes(m: Layout) -> Iterator[Item]:
    last = m.c + 21 + len(m.groups)
    if m.kind == "g":
        yield from _encoder_shapes("backbone", m, None)
        yield from _encoder_shapes("backbone_mesh", m, last)
        yield from _decoder_shapes("uv_delayer", "uv_head", m, 21)
        yield from _decoder_shapes("uv_delayer2", "uv_head2", m, 22)
    else:
        yield from _encoder_shapes("backbone1", m, None)
        yield from _encoder_shapes("backbone2", m, m.c + (1 if m.kind == "sg" else 21))
        yield from _encoder_shapes("backbone3", m, last)
        first = "mask" if m.kind == "sg" else "uv_prior"
        yield from _decoder_shapes(f"{first}_delayer", f"{first}_head", m, 1 if m.kind == "sg" else 21)
        yield from _decoder_shapes("uv_delayer", "uv_head", m, 21)
        yield from _decoder_shapes("uvm_delayer", "uvm_head", m, 22)
        for name in ("query", "key", "value"):
            yield f"attention.{name}_conv.weight", (m.latent, m.latent)
            yield f"attention.{name}_conv.bias", (m.latent,)
        yield "attention.gamma", (1,)
    widths = m.channels[::-1]
    yield "de_layers.0.weight", (m.coarsest * widths[0], m.latent)
    yield "de_layers.0.bias", (m.coarsest * widths[0],)
    for i, b in enumerate(widths):
        a = widths[0] if i == 0 else widths[i - 1] + 3
        third = m.length // 3
        for name, k, n in (
            ("conv_2d3", 2 * third, b // 4),
            ("conv_d3", third, b // 4),
            ("conv", m.length, b // 2),
            ("conv1", 1, b),
        ):
            yield f"de_layers.{i + 1}.{name}.layer.weight", (n, k * a)
            yield f"de_layers.{i + 1}.{name}.layer.bias", (n,)
        yield f"heads.{i}.layer.weight", (3, m.length * b)
        yield f"heads.{i}.layer.bias", (3,)


# ---- what is computed ------------------------------------------------------------------------------------------------


def _norm(w: Weights, at: str, x: Tensor) -> Tensor:
    scale = w[f"{at}.weight"] / (w[f"{at}.running_var"] + 1e-5).sqrt()
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return (x - w[f"{at}.running_mean"].view(shape)) * scale.view(shape) + w[f"{at}.bias"].view(shape)


def _layer(w: Weights, at: str, x: Tensor, stride: int = 1) -> Tensor:
    kernel = w[f"{at}.0.weight"]
    groups = x.shape[1] // kernel.shape[1]
    x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2, groups=groups)
    return _norm(w, f"{at}.1", x).relu()


def _unit(w: Weights, at: str, x: Tensor) -> Tensor:
    y = _layer(w, f"{at}.conv3x3.0", x)
    if f"{at}.conv3x3.1.0.weight" in w:
        y = _layer(w, f"{at}.conv3x3.1", y)
    y = _layer(w, f"{at}.conv1x1", y)
    return y + x if y.shape == x.shape else y


def _dense(w: Weights, at: str, x: Tensor, drop: bool = False) -> Tensor:
    parts, i = [x], 1
    while f"{at}.conv{i}.conv1x1.0.weight" in w:
        parts.append(_unit(w, f"{at}.conv{i}", torch.cat(parts, 1)))
        i += 1
    return torch.cat(parts[1:] if drop else parts, 1)


def _gate(w: Weights, at: str, x: Tensor) -> Tensor:
    y = x.flatten(2).mean(-1)
    y = _norm(w, f"{at}.fc1.1", y @ w[f"{at}.fc1.0.weight"].T).clamp(0, 4)
    y = _norm(w, f"{at}.fc2.1", y @ w[f"{at}.fc2.0.weight"].T)
    return x / (1 + torch.exp(-y))[..., None, None]


def _halved(x: Tensor) -> Tensor:
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def _doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, -1).repeat_interleave(2, -2)


def _stack(w: Weights, at: str, x: Tensor, first: bool) -> tuple[Tensor, Tensor]:
    d1 = _halved(_gate(w, f"{at}.senet1", _dense(w, f"{at}.dense1", x)))
    d2 = _halved(_gate(w, f"{at}.senet2", _dense(w, f"{at}.dense2", d1)))
    d3 = _dense(w, f"{at}.dense3", d2)
    if first:
        d4 = _halved(d3)
    else:
        d4 = _halved(_gate(w, f"{at}.senet3", d3))
        d4 = _dense(w, f"{at}.dense5", _dense(w, f"{at}.dense4", d4, drop=True), drop=True)
    up = d4
    for i, skip in ((1, d2), (2, d1), (3, None)):
        y = up
        y = _unit(w, f"{at}.thrink{i}.1", _unit(w, f"{at}.thrink{i}.0", y))
        y = _gate(w, f"{at}.senet{i + 3}", y)
        up = y if skip is None else skip + _doubled(y)
    return (F.interpolate(up, scale_factor=2, mode="bilinear", align_corners=True) if first else up), d4


def _looked_up(maps: Tensor, uv: Tensor) -> Tensor:
    """maps (B, C, h, w) at uv (B, K, 2) in [0, 1] from the first pixel's centre to the last one's: (B, K, C)."""
    h, w = maps.shape[-2:]
    x, y = uv[..., 0].clamp(0, 1) * (w - 1), uv[..., 1].clamp(0, 1) * (h - 1)
    total = torch.zeros(*uv.shape[:2], maps.shape[1], dtype=maps.dtype)
    for i in range(h):
        for j in range(w):
            near = (1 - (x - j).abs()).clamp(min=0) * (1 - (y - i).abs()).clamp(min=0)
            total = total + near[..., None] * maps[:, None, :, i, j]
    return total


def _spiral(w: Weights, at: str, x: Tensor, spirals: Tensor) -> Tensor:
    if f"{at}.spatial_layer.weight" in w:
        b, v, k = len(x), *spirals.shape
        patch = x[:, spirals.reshape(-1)].reshape(b * v, k, -1).transpose(1, 2).reshape(b * v, -1, 3, 3)
        y = F.conv2d(patch, w[f"{at}.spatial_layer.weight"], groups=patch.shape[1]).reshape(b, v, -1)
        return y @ w[f"{at}.channel_layer.weight"].T
    kernel = w[f"{at}.layer.weight"].unflatten(1, (-1, x.shape[-1]))  # (out, k, in)
    total = sum(x[:, spirals[:, i]] @ kernel[:, i].T for i in range(kernel.shape[1]))
    return total + w[f"{at}.layer.bias"]


def _mobrecon(
    m: Layout, w: Weights, images: Tensor, spirals: Sequence[Tensor], up: Sequence[Tensor]
) -> dict[str, Tensor]:
    x = _unit(w, "backbone.pre_layer.1", _layer(w, "backbone.pre_layer.0", images, 2))
    b, c, h, wide = x.shape  # a channel's four neighbours one after the other: row by row
    x = torch.stack([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)], 2).reshape(b, 4 * c, h // 2, wide // 2)
    x = _layer(w, "backbone.thrink", x)
    first, _ = _stack(w, "backbone.dense_stack1", x, True)
    x = torch.cat([_layer(w, "backbone.stack1_remap", first), x], 1)
    maps, inner = _stack(w, "backbone.dense_stack2", _layer(w, "backbone.thrink2", x), False)
    latent = torch.einsum("bchw,dc->bdhw", inner, w["backbone.mid_proj.0.weight"][..., 0, 0])
    uv = torch.einsum("bchw,dc->bdhw", maps, w["backbone.conv.0.weight"][..., 0, 0]).reshape(b, 21, -1)
    uv = (uv @ w["backbone.uv_reg.0.0.weight"].T).clamp(0, 4)
    uv = (uv @ w["backbone.uv_reg.1.0.weight"].T).clamp(0, 4) @ w["backbone.uv_reg.2.0.weight"].T
    if m.projection:
        latent = torch.einsum("bchw,dc->bdhw", latent, w["decoder3d.de_layer_conv.0.weight"][..., 0, 0])
    x = torch.einsum("vk,bkc->bvc", w["decoder3d.upsample"], _looked_up(latent, uv))
    for i in range(4):
        x = _spiral(w, f"decoder3d.de_layer.{i}.conv", up[3 - i] @ x, spirals[3 - i]).relu()
    return {"vertices": _spiral(w, "decoder3d.head", x, spirals[0]), "uv": uv}


def _block(w: Weights, at: str, x: Tensor, relu: bool = True) -> Tensor:
    kernel = w[f"{at}.conv.weight"]
    x = F.conv2d(x, kernel, w[f"{at}.conv.bias"], padding=kernel.shape[-1] // 2)
    if f"{at}.norm.weight" in w:
        x = _norm(w, f"{at}.norm", x)
    return x.relu() if relu else x


def _encoder(w: Weights, at: str, m: Layout, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    if f"{at}.conv1.weight" in w:
        stem = _norm(w, f"{at}.bn1", F.conv2d(x, w[f"{at}.conv1.weight"], stride=2, padding=3)).relu()
    else:
        stem = _block(w, f"{at}.reduce.2", _block(w, f"{at}.reduce.1", _block(w, f"{at}.reduce.0", x)), relu=False)
    x, found = F.max_pool2d(stem, 3, 2, 1), []
    for i, count in enumerate(m.blocks):
        for j in range(count):
            b, stride = f"{at}.layer{i + 1}.{j}", 2 if i and j == 0 else 1
            kernels = (1, 2, 3) if m.depth == 50 else (1, 2)
            y = x
            for k in kernels:  # the first 3 x 3 convolution strides
                kernel = w[f"{b}.conv{k}.weight"]
                step = stride if k == (2 if m.depth == 50 else 1) else 1
                y = _norm(w, f"{b}.bn{k}", F.conv2d(y, kernel, stride=step, padding=kernel.shape[-1] // 2))
                y = y.relu() if k != kernels[-1] else y
            if f"{b}.downsample.0.weight" in w:
                x = _norm(w, f"{b}.downsample.1", F.conv2d(x, w[f"{b}.downsample.0.weight"], stride=stride))
            x = (x + y).relu()
        found.append(x)
    return stem, found


def _decoder(w: Weights, name: str, head: str, maps: list[Tensor]) -> Tensor:
    x = maps[3]
    for i in range(4):
        x = F.interpolate(x, size=[2 * n for n in x.shape[-2:]], mode="bilinear", align_corners=False)
        x = _block(w, f"{name}.{i}", torch.cat([x, maps[2 - i]], 1) if i < 3 else x)
    return 1 / (1 + torch.exp(-_block(w, head, x, relu=False)))


def _cmr(m: Layout, w: Weights, images: Tensor, spirals: Sequence[Tensor], up: Sequence[Tensor]) -> dict[str, Tensor]:
    if m.kind == "g":
        stem, maps = _encoder(w, "backbone", m, images)
    else:
        stem, maps = _encoder(w, "backbone1", m, images)
        first = "mask" if m.kind == "sg" else "uv_prior"
        prior = _decoder(w, f"{first}_delayer", f"{first}_head", maps)
        second, maps = _encoder(w, "backbone2", m, torch.cat([stem, prior], 1))
        stem = second if m.kind == "sg" else stem  # SG goes on with the second encoder's, PG with the first one's
    uv = _decoder(w, "uv_delayer", "uv_head", maps)
    gathered = [stem, uv, *(sum(uv[:, i] for i in g)[:, None] for g in m.groups)]
    last = "backbone_mesh" if m.kind == "g" else "backbone3"
    _, maps = _encoder(w, last, m, torch.cat(gathered, 1))
    end = ("uv_delayer2", "uv_head2") if m.kind == "g" else ("uvm_delayer", "uvm_head")
    heatmaps = _decoder(w, *end, maps)[:, :21]
    x = maps[3].flatten(2).mean(-1) @ w[f"{last}.fc.weight"].T + w[f"{last}.fc.bias"]
    if "attention.gamma" in w:
        q, k, v = (
            x @ w[f"attention.{n}_conv.weight"].T + w[f"attention.{n}_conv.bias"] for n in ("query", "key", "value")
        )
        rows = [((q[:, i : i + 1] * k).softmax(-1) * v).sum(-1) for i in range(x.shape[1])]
        x = x + w["attention.gamma"] * torch.stack(rows, -1)
    x = (x @ w["de_layers.0.weight"].T + w["de_layers.0.bias"]).reshape(len(x), m.coarsest, -1)
    level = None
    for i in range(4):
        at, s, third = f"de_layers.{i + 1}", spirals[3 - i], m.length // 3
        x = up[3 - i] @ x
        wide = [
            _spiral(w, f"{at}.{n}", x, s[:, :k])
            for n, k in (("conv", m.length), ("conv_2d3", 2 * third), ("conv_d3", third))
        ]
        x = (_spiral(w, f"{at}.conv1", x, s[:, :1]) + torch.cat(wide, -1)).relu()
        own = _spiral(w, f"heads.{i}", x, s)
        level = own if level is None else (own + up[3 - i] @ level) / 2
        x = torch.cat([x, level], -1)
    return {"vertices": level, "heatmaps": heatmaps}
