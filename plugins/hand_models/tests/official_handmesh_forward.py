"""What the official MobRecon and CMR compute: a plain forward pass over the weights of `official_handmesh`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from official_handmesh import Layout, Weights
from torch import Tensor


def forward(
    model: Layout, w: Weights, images: Tensor, spirals: Sequence[Tensor], up: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Images -> vertices and uv (MobRecon), or vertices and heatmaps (CMR); spirals and matrices finest first."""
    run = _mobrecon if model.kind in ("spiral", "dsconv") else _cmr
    return run(model, w, images, spirals, up)


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
