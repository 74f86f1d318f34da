"""MobRecon and CMR as the official code lays them out: names and shapes, and random weights.

Written from the facts in the plugin's README (github.com/SeanChenxy/HandMesh, MIT); only torch's functions are used,
and where there are two ways to write a thing, another one than the plugin's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
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
