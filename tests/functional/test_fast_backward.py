"""The reduced-precision backward pass: what it changes, what it leaves alone, and that the forward pass is untouched."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from poseig_mm.functional import fast_backward
from poseig_mm.functional.fast_backward import BFloat16Backward

G = torch.Generator().manual_seed(0)


def both(y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of y.sum() exactly, and in the context."""
    (exact,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    with BFloat16Backward():
        (fast,) = torch.autograd.grad(y.sum(), x)
    return exact, fast


def cosine(a: Tensor, b: Tensor) -> float:
    return torch.cosine_similarity(a.flatten().double(), b.flatten().double(), 0).item()


@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_are_reduced_and_close(transposed: bool) -> None:
    """A dense convolution's input gradient is computed in bfloat16: near the exact one, not equal to it, in float32."""
    layer = (nn.ConvTranspose2d if transposed else nn.Conv2d)(160, 160, 3, 2, 1).requires_grad_(False)
    x = torch.randn(2, 160, 9, 7, generator=G, requires_grad=True)
    exact, fast = both(layer(x).square(), x)
    assert fast.dtype == torch.float32
    assert cosine(exact, fast) > 0.9999
    assert not torch.equal(exact, fast)


def test_thin_and_depthwise_convolutions_stay_exact() -> None:
    """Below the threshold nothing is converted: it would cost more than it saves."""
    x = torch.randn(2, 32, 9, 7, generator=G, requires_grad=True)
    for layer in (nn.Conv2d(32, 32, 3, groups=32), nn.Conv2d(32, 16, 1)):
        exact, fast = both(layer.requires_grad_(False)(x).square(), x)
        assert torch.equal(exact, fast)


@pytest.mark.parametrize("kind", ["linear", "attention"])
def test_matrix_products_are_reduced_and_close(kind: str) -> None:
    """Linear layers and attention take their products in bfloat16."""
    x = torch.randn(2, 20, 32, generator=G, requires_grad=True)
    linear = nn.Linear(32, 64).requires_grad_(False)
    y = linear(x).square() if kind == "linear" else (x @ x.transpose(1, 2)).softmax(-1) @ x
    exact, fast = both(y * torch.randn(y.shape, generator=G), x)
    assert cosine(exact, fast) > 0.9999
    assert not torch.equal(exact, fast)


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_in_evaluation_mode_is_its_scale(affine: bool) -> None:
    """Its gradient equals the exact one to rounding, with and without weights."""
    norm = nn.BatchNorm2d(6, affine=affine).eval().requires_grad_(False)
    norm.running_var.uniform_(0.5, 2, generator=G)
    if affine:
        norm.weight.data.uniform_(0.5, 2, generator=G)
    x = torch.randn(2, 6, 5, 4, generator=G, requires_grad=True)
    exact, fast = both(norm(x).square(), x)
    assert torch.allclose(exact, fast, rtol=1e-5)


def test_float64_and_weight_gradients_are_left_alone() -> None:
    """Nothing but a float32 input gradient is touched."""
    layer = nn.Conv2d(160, 160, 3).double().requires_grad_(False)
    x = torch.randn(1, 160, 5, 5, dtype=torch.float64, generator=G, requires_grad=True)
    exact, fast = both(layer(x).square(), x)
    assert torch.equal(exact, fast)
    trained = nn.Conv2d(160, 160, 3)
    y = torch.randn(1, 160, 5, 5, generator=G, requires_grad=True)
    (exact_w,) = torch.autograd.grad(trained(y).sum(), trained.weight)
    with BFloat16Backward():
        fast_w = torch.autograd.grad(trained(y).sum(), (trained.weight, y))[0]
    assert torch.equal(exact_w, fast_w)


def test_another_model_with_the_same_context_gets_its_own_weights() -> None:
    """The kept copies belong to their weights, not to an address that was freed."""
    backward, x = BFloat16Backward(), torch.randn(1, 160, 5, 5, generator=G, requires_grad=True)
    for _ in range(5):
        weight = torch.randn(160, 160, 3, 3, generator=G)
        y = F.conv2d(x, weight).square().sum()
        (exact,) = torch.autograd.grad(y, x, retain_graph=True)
        with backward:
            (fast,) = torch.autograd.grad(y, x)
        assert cosine(exact, fast) > 0.9999
        del weight, y


def test_the_threshold_is_what_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the threshold at infinity even a dense convolution stays exact."""
    monkeypatch.setattr(fast_backward, "PRODUCTS_PER_VALUE", float("inf"))
    layer = nn.Conv2d(160, 160, 3).requires_grad_(False)
    x = torch.randn(2, 160, 9, 7, generator=G, requires_grad=True)
    exact, fast = both(layer(x).square(), x)
    assert torch.equal(exact, fast)
