"""The built-in adapter of heatmap heads fits TransPose: coordinates, gradients, attribution, acceleration."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from poseig_mm import attribute, load_adapter
from poseig_mm.attribution.acceleration import accelerate
from poseig_mm.functional.torch_features import walk_unavailable


@pytest.fixture
def images() -> Tensor:
    """Two network inputs, float64."""
    return torch.randn(2, 3, 64, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def test_heatmaps_are_read_like_any_others(model: Any, images: Tensor) -> None:
    """MMPose's head, so the built-in adapter: expectation of softmax(beta heatmap), 4 px a heatmap pixel."""
    adapter = load_adapter(model)
    assert adapter.name == "heatmap"
    adapter.beta = 3.0
    with torch.no_grad():
        found = adapter(images).coords
        maps = model.head.forward(model.extract_feat(images))
    weights = (3.0 * maps).flatten(2).softmax(-1).reshape(maps.shape)
    x = (weights.sum(2) * torch.arange(12.0).double()).sum(-1) * 4
    y = (weights.sum(3) * torch.arange(16.0).double()).sum(-1) * 4
    assert torch.allclose(found, torch.stack([x, y], -1), atol=1e-9)
    assert found.std(0).min() > 0.01  # coordinates depend on the image


def test_a_sharp_beta_agrees_with_the_models_own_decoding(model: Any, images: Tensor) -> None:
    """Calibration finds a beta with which all joints lie within a heatmap pixel of MMPose's argmax."""
    agreement = load_adapter(model).calibrate(images)
    assert agreement.n == 10
    assert agreement.good


def test_gradients_are_those_of_finite_differences(model: Any, images: Tensor) -> None:
    """Along random directions, every coordinate, through attention: central differences in float64."""
    adapter = load_adapter(model)
    x = images[:1].clone().requires_grad_()
    direction = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    step = 1e-6
    with adapter.frozen():
        coords = adapter(x).coords.flatten()
        slopes = [(torch.autograd.grad(c, x, retain_graph=True)[0] * direction).sum() for c in coords]
        with torch.no_grad():
            ahead, behind = (adapter(x + s * direction).coords.flatten() for s in (step, -step))
    expected = (ahead - behind) / (2 * step)
    assert expected.abs().min() > 1e-4
    assert torch.allclose(torch.stack(slopes), expected, rtol=1e-5, atol=1e-7)


def test_attribution_is_complete(model: Any) -> None:
    """What the signed maps sum to is what the target gains along the path; more nodes, less residual."""
    blobs = torch.randn(1, 3, 8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    images = F.interpolate(blobs, scale_factor=8, mode="bilinear")  # on white noise hundreds of nodes would be needed
    adapter = load_adapter(model)
    with torch.no_grad():
        truth = adapter(images).coords + 6.0
    coarse, fine = (
        attribute(adapter, images, truth, quadrature="midpoint", nodes=n, signed=True, dtype=torch.float64)
        for n in (8, 256)
    )
    assert fine.signed is not None
    gained = fine.target_end - fine.target_start
    assert gained.abs().max() > 0.05
    assert torch.allclose(fine.signed.sum((2, 3)), gained, atol=2e-3)
    assert fine.residual.max() < 0.1 * coarse.residual.max()
    assert fine.maps.amax((2, 3)).flatten().tolist() == pytest.approx([1.0] * 5)


@pytest.mark.skipif(walk_unavailable() is not None, reason=str(walk_unavailable()))
def test_the_fast_backward_pass_walks_through_attention(model: Any, images: Tensor) -> None:
    """Batch norms are folded, and the bfloat16 backward pass gives the exact gradients' direction."""
    adapter = load_adapter(model.float())
    with adapter.frozen():
        found = accelerate(adapter, images.float(), backward_dtype="bfloat16")
    assert found.folded
    assert found.note == ""
    assert found.backward_dtype == "bfloat16"
    assert found.cosine is not None
    assert found.cosine > 0.999
