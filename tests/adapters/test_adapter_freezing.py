"""A model comes back as it was: flags, weights, gradients; also after an error."""

from __future__ import annotations

import pytest
import torch
from adapter_models import random_images, tiny_adapter
from torch import nn

from poseig_mm.adapters.freezing import frozen

pytestmark = pytest.mark.usefixtures("mmpose_ready")


def mixed_model() -> nn.Module:
    """Partly in training mode, partly frozen, with a gradient somewhere."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Dropout(0.5), nn.Conv2d(4, 2, 1)))
    model.train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    model[2][1].bias.grad = torch.ones(2)
    return model


def flags(model: nn.Module) -> tuple[list[bool], list[bool]]:
    return [m.training for m in model.modules()], [p.requires_grad for p in model.parameters()]


@pytest.mark.parametrize("fails", [False, True])
def test_flags_come_back_one_by_one(fails: bool) -> None:
    """Inside: all in evaluation mode, no parameter wants a gradient.  After, also after an error: each as before."""
    model = mixed_model()
    before = flags(model)
    assert len(set(before[0])) == len(set(before[1])) == 2  # really mixed
    try:
        with frozen(model):
            assert not any(flags(model)[0])
            assert not any(flags(model)[1])
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert fails
    assert flags(model) == before
    assert torch.equal(model[2][1].bias.grad, torch.ones(2))


def test_frozen_may_be_nested() -> None:
    """Leaving the inner context leaves the outer one as it is."""
    model = mixed_model()
    before = flags(model)
    with frozen(model):
        with frozen(model):
            pass
        assert not any(flags(model)[0])
        assert not any(flags(model)[1])
    assert flags(model) == before


def test_modules_own_train_method_is_not_called() -> None:
    """Some backbones freeze, fuse or merge layers in `train()`: the flags are set without it, going in and out."""

    class Meddling(nn.Linear):
        def train(self, mode: bool = True) -> Meddling:
            raise AssertionError("train() was called")

    layer = Meddling(2, 2)
    with frozen(layer):
        assert not layer.training
    assert layer.training


def test_an_attribution_leaves_the_model_alone() -> None:
    """Forward and backward inside `adapter.frozen()` on a model in training mode: weights and statistics stay, bit for
    bit, no parameter has a gradient, and the next forward is in training mode again."""
    adapter = tiny_adapter("heatmap-msra")
    adapter.model.train()
    before = {k: v.clone() for k, v in adapter.model.state_dict().items()}
    x = random_images(2).requires_grad_()
    with adapter.frozen():
        adapter(x).coords.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
    assert all(torch.equal(v, before[k]) for k, v in adapter.model.state_dict().items())
    assert all(p.grad is None for p in adapter.model.parameters())
    assert adapter.model.backbone.training


def test_a_batch_norm_takes_gradients_of_any_memory_order() -> None:
    """The same gradient, laid out as a transformer's tokens are, gives the same result; torch 2.13 alone gives
    another.
    """
    norm = torch.nn.BatchNorm2d(8)
    x = torch.randn(1, 8, 5, 6, requires_grad=True)
    given = torch.randn(1, 8, 5, 6)
    tokens = given.flatten(2).permute(0, 2, 1).contiguous().permute(0, 2, 1).unflatten(2, (5, 6))
    assert torch.equal(tokens, given)
    assert not tokens.is_contiguous()
    with frozen(norm):
        plain, permuted = (torch.autograd.grad(norm(x), x, g)[0] for g in (given, tokens))
    assert torch.allclose(plain, permuted)
    assert not norm._forward_hooks
