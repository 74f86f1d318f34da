"""Walking autograd's graph: in float32 it is autograd, in bfloat16 it is near it, and the forward pass is untouched."""

from __future__ import annotations

import copy
import gc
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poseig_mm.errors import AttributionError
from poseig_mm.functional import torch_features
from poseig_mm.functional.fast_backward import FastBackward
from poseig_mm.functional.graph_walk import nodes_between, peak_elements
from poseig_mm.functional.linearise import autograd_backward


class SqueezeExcite(nn.Module):
    """A gate a channel: a broadcast product of two branches."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


class Pieces(nn.Module):
    """Splits, a branch that is not used, a broadcast sum, and joined again."""

    def forward(self, x: Tensor) -> Tensor:
        a, b, _ = x.split([2, 3, x.shape[1] - 5], 1)
        return torch.cat([a.relu(), b + a.mean(1, keepdim=True), b - 0.5 * b.flip(2)], 1)


class Residual(nn.Module):
    """Sums of branches with and without gates: cotangents are shared, added up, and changed in between."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = (x + self.a(x.relu())).relu()
        z = y + self.b(y) + y.sigmoid()
        return torch.cat([z.relu(), F.relu6(z + x), z], 1)


def conv(*args: Any, **kwargs: Any) -> nn.Module:
    return nn.Conv2d(*args, **kwargs)


def layers() -> dict[str, nn.Module]:
    """Small modules from (N, 6, 12, 10), one for every kind of node that is treated by itself, and some that are
    not.
    """
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6)
    norm.running_var.uniform_(0.5, 2)
    norm.weight.data.uniform_(0.5, 2)
    return {
        "dense": nn.Sequential(conv(6, 8, 3, 1, 1), nn.ReLU(), conv(8, 4, 1)),
        "strided": nn.Sequential(conv(6, 8, 3, 2, 1), nn.LeakyReLU(0.1), conv(8, 8, 5, 2, 2, dilation=1)),
        "dilated, grouped": conv(6, 12, 3, padding=2, dilation=2, groups=3),
        "depth-wise": nn.Sequential(conv(6, 6, 3, 1, 1, groups=6), nn.SiLU(), conv(6, 6, 3, 1, 0, groups=6)),
        "strided depth-wise": nn.Sequential(
            conv(6, 6, 3, 2, 1, groups=6), nn.Hardswish(), conv(6, 6, (3, 2), (1, 2), groups=6)
        ),
        "strided point-wise": nn.Sequential(conv(6, 8, 1, 2), nn.ReLU(), conv(8, 4, 1, (2, 1), groups=2)),
        "transposed": nn.Sequential(
            nn.ConvTranspose2d(6, 6, 4, 2, 1), nn.ReLU6(), nn.ConvTranspose2d(6, 3, 4, 2, 1, groups=3)
        ),
        "padded": nn.Sequential(
            nn.ConstantPad2d((1, 0, 2, 1), 0.0), conv(6, 4, 3), nn.ConstantPad2d((-1, 2, 0, -1), 0.0)
        ),
        "pooled": nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.GELU(), nn.AvgPool2d(2), nn.Upsample(scale_factor=2)),
        "gated": nn.Sequential(SqueezeExcite(), nn.Upsample(scale_factor=2, mode="bilinear")),
        "pieces": Pieces(),
        "batch norm": nn.Sequential(norm, conv(6, 6, 1), nn.BatchNorm2d(6, affine=False)),
        "linear": nn.Sequential(nn.Flatten(2), nn.Linear(120, 7), nn.Tanh(), nn.LayerNorm(7)),
        "residual": Residual(),
        "attention": nn.Sequential(nn.Flatten(2), nn.TransformerEncoderLayer(120, 4, 32, batch_first=True)),
    }  # fmt: skip


def forward(module: nn.Module, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Three images that differ, their outputs, and a cotangent."""
    random = torch.Generator().manual_seed(1)
    module = copy.deepcopy(module).eval().to(dtype).requires_grad_(False)
    x = torch.randn(3, 6, 12, 10, generator=random, dtype=torch.float64).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    y = module(x).square()
    return x, y, torch.randn(y.shape, generator=random, dtype=torch.float64).to(dtype)


def cosine(a: Tensor, b: Tensor) -> float:
    return torch.cosine_similarity(a.flatten().double(), b.flatten().double(), 0).item()


@pytest.mark.parametrize("name", list(layers()))
def test_in_full_precision_it_is_autograd(name: str) -> None:
    """Each kind of node gives what autograd gives, for images that differ, and for one cotangent after the other."""
    x, y, cotangent = forward(layers()[name], torch.float64)
    walked = FastBackward(torch.float64)(y, x)
    for scale in (1.0, -2.0):
        expected = torch.autograd.grad(y, x, scale * cotangent, retain_graph=True)[0]
        (found,) = walked(scale * cotangent[None])
        assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12)
        assert not found.requires_grad


@pytest.mark.parametrize("name", list(layers()))
def test_a_torch_that_hides_its_graph_is_watched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same gradients where nodes do not show what their outputs were (torch < 2.5)."""
    monkeypatch.setattr(torch_features, "shows_output_types", lambda node: False)
    x, y, cotangent = forward(layers()[name], torch.float64)
    (found,), (expected,) = (way(y, x)(cotangent[None]) for way in (FastBackward(torch.float64), autograd_backward))
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", list(layers()))
def test_in_single_precision_it_is_autograd(name: str) -> None:
    """Convolutions with prepared weights too, which double precision does not take; the rest as above."""
    x, y, cotangent = forward(layers()[name])
    (found,), (expected,) = (way(y, x)(cotangent[None]) for way in (FastBackward(torch.float32), autograd_backward))
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", list(layers()))
def test_stacked_cotangents_go_through_together(name: str, dtype: torch.dtype) -> None:
    """Each gets the gradient that it gets alone; alone, the same bits every time."""
    wide = torch.float64 if dtype is torch.float64 else torch.float32
    x, y, cotangent = forward(layers()[name], wide)
    some = torch.stack([cotangent, -2 * cotangent, cotangent.roll(1, 0)])
    pull_back = FastBackward(dtype)(y, x)
    stacked = pull_back(some)
    alone = torch.cat([pull_back(c[None]) for c in some])
    assert torch.equal(alone, torch.cat([pull_back(c[None]) for c in some]))
    assert stacked.shape == (3, *x.shape)
    if dtype is torch.bfloat16:
        assert min(cosine(a, b) for a, b in zip(stacked, alone, strict=True)) > 0.9999
    else:
        tolerance = 1e-9 if dtype is torch.float64 else 1e-5
        assert torch.allclose(stacked, alone, rtol=tolerance, atol=tolerance * alone.abs().max().item())


@pytest.mark.parametrize("name", list(layers()))
def test_the_cotangent_is_left_as_it_is(name: str) -> None:
    """What is changed in place is the walk's own memory: neither the caller's cotangent nor the forward pass."""
    x, y, cotangent = forward(layers()[name])
    given, before = cotangent[None].clone(), (y.detach().clone(), x.detach().clone())
    for _ in range(2):
        FastBackward(torch.float32)(y, x)(given)
    assert torch.equal(given[0], cotangent)
    assert all(torch.equal(a, b) for a, b in zip((y, x), before, strict=True))


def test_a_gate_keeps_what_autograd_keeps() -> None:
    """Places where the derivative is 0 although the activation's edge is met: 0, -0, and ReLU6's 6."""
    values = torch.tensor([-1.0, -0.0, 0.0, 1e-30, 3.0, 6.0, 7.0]).reshape(1, 1, 1, 7)
    for activation in (nn.ReLU(), nn.ReLU6(), nn.Threshold(0.5, 0.0)):
        x = values.clone().requires_grad_()
        y = activation(x * 1.0) * 1.0
        cotangent = torch.full_like(y, 2.5)
        found = FastBackward(torch.float32)(y, x)(cotangent[None])
        assert torch.equal(found, autograd_backward(y, x)(cotangent[None]))


def test_the_memory_of_the_widest_place_is_known() -> None:
    """From 1 number to 40, twice, where a sum holds its operands: what is live there at one time."""
    x = torch.zeros(10, requires_grad=True)
    y = (x.repeat(4).relu() * 2.0).sum()
    assert peak_elements(nodes_between(y, x, {})) == 80


@pytest.mark.parametrize("name", list(layers()))
def test_in_bfloat16_it_is_near(name: str) -> None:
    """The gradient is float32, near the exact one, and of the inputs' shape."""
    x, y, cotangent = forward(layers()[name])
    found = FastBackward()(y, x)(cotangent[None])[0]
    assert (found.dtype, found.shape) == (torch.float32, x.shape)
    assert cosine(found, autograd_backward(y, x)(cotangent[None])[0]) > 0.9995


@pytest.mark.parametrize("name", ["dense", "transposed", "strided depth-wise", "linear", "attention"])
def test_products_are_reduced(name: str) -> None:
    """What is made of products does run in bfloat16: it is not the exact gradient."""
    x, y, cotangent = forward(layers()[name])
    assert not torch.equal(FastBackward()(y, x)(cotangent[None])[0], autograd_backward(y, x)(cotangent[None])[0])


def test_an_image_s_gradient_is_its_own() -> None:
    """A cotangent of the second image alone leaves the others at zero, and is what that image gives by itself."""
    x, y, cotangent = forward(layers()["dense"], torch.float64)
    cotangent[[0, 2]] = 0
    found = FastBackward(torch.float64)(y, x)(cotangent[None])[0]
    assert found[[0, 2]].abs().max() == 0
    assert torch.allclose(found, torch.autograd.grad(y, x, cotangent)[0])


def test_another_model_gets_its_own_weights() -> None:
    """The kept copies belong to their weights, not to an address that was freed."""
    backward, x = FastBackward(), torch.randn(1, 16, 5, 5, requires_grad=True)
    for _ in range(5):
        weight = torch.randn(16, 16, 3, 3)
        y = F.conv2d(x, weight).square()
        assert (
            cosine(backward(y, x)(torch.ones_like(y)[None])[0], autograd_backward(y, x)(torch.ones_like(y)[None])[0])
            > 0.9999
        )
        del weight, y


@pytest.mark.parametrize("layer", [nn.Conv2d(6, 6, 3), nn.Conv2d(6, 6, 3, 2), nn.ConvTranspose2d(6, 6, 3)])
def test_weights_are_prepared_once(layer: nn.Module) -> None:
    """A second forward pass of the same layer uses what the first one made of the weight."""
    backward, prepared = FastBackward(), []
    layer.requires_grad_(False)
    for _ in range(2):
        x = torch.randn(1, 6, 5, 5, requires_grad=True)
        y = layer(x)
        backward(y, x)(torch.ones_like(y)[None])
        ((owner, made),) = backward._convolution._made.values()
        assert owner() is layer.weight
        prepared.append(made)
    assert prepared[0] is prepared[1]


def test_a_weight_that_is_gone_is_forgotten() -> None:
    """Weights that each forward pass makes anew do not pile up."""
    backward, weight = FastBackward(), torch.randn(6, 6, 3, 3)
    for _ in range(5):
        x = torch.randn(1, 6, 5, 5, requires_grad=True)
        y = F.conv2d(x, 2 * weight)
        backward(y, x)(torch.ones_like(y)[None])
        del y
    gc.collect()
    assert len(backward._convolution._made) <= 1


def test_one_weight_in_several_uses() -> None:
    """Convolutions of other strides, and transposed ones, that share a weight."""
    weight = torch.randn(6, 6, 3, 3)
    x = torch.randn(1, 6, 9, 9, requires_grad=True)
    y = F.conv2d(x, weight, padding=1).sum() + F.conv2d(x, weight, stride=2).square().sum()
    y = (y + F.conv_transpose2d(x, weight).square().sum() + F.conv2d(x, weight, padding=4).square().sum())[None]
    ones = torch.ones(1, 1)
    found, expected = FastBackward(torch.float32)(y, x)(ones), autograd_backward(y, x)(ones)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 2 * g


def test_what_cannot_be_walked_is_an_error() -> None:
    """A function written in Python, outputs without a graph, and outputs that do not depend on the inputs."""
    x, other = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    with pytest.raises(AttributionError, match=r"Doubled.*cannot be walked"):
        FastBackward()(Doubled.apply(x).sum(), x)
    with pytest.raises(AttributionError, match="no graph"):
        FastBackward()(torch.ones(2), x)
    with pytest.raises(AttributionError, match="do not depend"):
        FastBackward()(2 * other, x)
