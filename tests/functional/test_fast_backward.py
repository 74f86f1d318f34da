"""Walking autograd's graph: in float32 it is autograd, in bfloat16 it is near it, and the forward pass is untouched."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_versions import needs_walk

from poseig_mm.errors import AttributionError
from poseig_mm.functional import fast_backward
from poseig_mm.functional.fast_backward import FastBackward, autograd_backward


class SqueezeExcite(nn.Module):
    """A gate a channel: a broadcast product of two branches."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


class Pieces(nn.Module):
    """Splits, a branch that is not used, a broadcast sum, and joined again."""

    def forward(self, x: Tensor) -> Tensor:
        a, b, _ = x.split([2, 3, x.shape[1] - 5], 1)
        return torch.cat([a.relu(), b + a.mean(1, keepdim=True), b - 0.5 * b.flip(2)], 1)


def conv(*args: Any, **kwargs: Any) -> nn.Module:
    return nn.Conv2d(*args, **kwargs)


def layers() -> dict[str, nn.Module]:
    """Small modules from (N, 6, 12, 10), one for every kind of node that is treated by itself, and some that are not."""
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
        "transposed": nn.Sequential(
            nn.ConvTranspose2d(6, 6, 4, 2, 1), nn.ReLU6(), nn.ConvTranspose2d(6, 3, 4, 2, 1, groups=3)
        ),
        "padded": nn.Sequential(nn.ConstantPad2d((1, 0, 2, 1), 0.0), conv(6, 4, 3), nn.ConstantPad2d((-1, 2, 0, -1), 0.0)),
        "pooled": nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.GELU(), nn.AvgPool2d(2), nn.Upsample(scale_factor=2)),
        "gated": nn.Sequential(SqueezeExcite(), nn.Upsample(scale_factor=2, mode="bilinear")),
        "pieces": Pieces(),
        "batch norm": nn.Sequential(norm, conv(6, 6, 1), nn.BatchNorm2d(6, affine=False)),
        "linear": nn.Sequential(nn.Flatten(2), nn.Linear(120, 7), nn.Tanh(), nn.LayerNorm(7)),
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


@needs_walk
@pytest.mark.parametrize("name", list(layers()))
def test_in_full_precision_it_is_autograd(name: str) -> None:
    """Each kind of node gives what autograd gives, for images that differ, and for one cotangent after the other."""
    x, y, cotangent = forward(layers()[name], torch.float64)
    walked = FastBackward(torch.float64)(y, x)
    for scale in (1.0, -2.0):
        expected = torch.autograd.grad(y, x, scale * cotangent, retain_graph=True)[0]
        found = walked(scale * cotangent)
        assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12)
        assert not found.requires_grad


@needs_walk
@pytest.mark.parametrize("name", list(layers()))
def test_in_bfloat16_it_is_near(name: str) -> None:
    """The gradient is float32, near the exact one, and of the inputs' shape."""
    x, y, cotangent = forward(layers()[name])
    found = FastBackward()(y, x)(cotangent)
    assert (found.dtype, found.shape) == (torch.float32, x.shape)
    assert cosine(found, autograd_backward(y, x)(cotangent)) > 0.9995


@needs_walk
@pytest.mark.parametrize("name", ["dense", "transposed", "strided depth-wise", "linear", "attention"])
def test_products_are_reduced(name: str) -> None:
    """What is made of products does run in bfloat16: it is not the exact gradient."""
    x, y, cotangent = forward(layers()[name])
    assert not torch.equal(FastBackward()(y, x)(cotangent), autograd_backward(y, x)(cotangent))


@needs_walk
def test_an_image_s_gradient_is_its_own() -> None:
    """A cotangent of the second image alone leaves the others at zero, and is what that image gives by itself."""
    x, y, cotangent = forward(layers()["dense"], torch.float64)
    cotangent[[0, 2]] = 0
    found = FastBackward(torch.float64)(y, x)(cotangent)
    assert found[[0, 2]].abs().max() == 0
    assert torch.allclose(found, torch.autograd.grad(y, x, cotangent)[0])


@needs_walk
def test_another_model_gets_its_own_weights() -> None:
    """The kept copies belong to their weights, not to an address that was freed."""
    backward, x = FastBackward(), torch.randn(1, 16, 5, 5, requires_grad=True)
    for _ in range(5):
        weight = torch.randn(16, 16, 3, 3)
        y = F.conv2d(x, weight).square()
        assert cosine(backward(y, x)(torch.ones_like(y)), autograd_backward(y, x)(torch.ones_like(y))) > 0.9999
        del weight, y


@needs_walk
def test_weights_are_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second forward pass of the same layer uses the copy that the first one made."""
    backward, layer = FastBackward(), nn.Conv2d(6, 6, 3).requires_grad_(False)
    for _ in range(2):
        x = torch.randn(1, 6, 5, 5, requires_grad=True)
        y = layer(x)
        backward(y, x)(torch.ones_like(y))
        copies = list(backward._weights.values())
        assert [kept is layer.weight for kept, _ in copies] == [True]
        monkeypatch.setattr(Tensor, "detach", lambda self: pytest.fail("converted again"))
    monkeypatch.undo()


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 2 * g


@needs_walk
def test_what_cannot_be_walked_is_an_error() -> None:
    """A function written in Python, outputs without a graph, and outputs that do not depend on the inputs."""
    x, other = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    with pytest.raises(AttributionError, match=r"Doubled.*cannot be walked"):
        FastBackward()(Doubled.apply(x).sum(), x)
    with pytest.raises(AttributionError, match="no graph"):
        FastBackward()(torch.ones(2), x)
    with pytest.raises(AttributionError, match="do not depend"):
        FastBackward()(2 * other, x)


def test_a_torch_that_hides_its_graph_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says what this torch lacks, not an attribute that some object does not have."""
    monkeypatch.setattr(fast_backward, "walk_unavailable", lambda: "torch 2.0 keeps shapes to itself")
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(AttributionError, match=r"cannot be walked here: torch 2.0 keeps"):
        FastBackward()(2 * x, x)
