"""Coordinates are differentiable with respect to the image: autograd against finite differences in float64."""

from __future__ import annotations

import pytest
import torch
from adapter_models import FAMILIES, SHARED, adapters, needs_shared, random_images, tiny_adapter

from poseig_mm.adapters.base import CoordinateAdapter
from poseig_mm.adapters.build_model import build_model
from poseig_mm.adapters.select import select_adapter

pytestmark = pytest.mark.usefixtures("mmpose_ready")
D = torch.float64
STEP = 1e-8  # so small that hardly a ReLU's kink lies within it; float64 leaves about 1e-6 of relative accuracy


def relative_error(adapter: CoordinateAdapter, images: torch.Tensor) -> float:
    """Autograd's directional derivatives of one mixture of all coordinates, against central differences.

    Three random directions over all pixels; relative to the largest of them.
    """
    adapter.model.double()
    generator = torch.Generator().manual_seed(5)
    x = images.clone().requires_grad_()
    with adapter.frozen():
        coords = adapter(x).coords
        weights = torch.randn(coords.shape, generator=generator, dtype=D)
        (gradient,) = torch.autograd.grad((coords * weights).sum(), x)
        assert torch.equal(x, images)  # the leaf itself is not changed
        slopes, differences = [], []
        for _ in range(3):
            direction = torch.randn(images.shape, generator=generator, dtype=D)
            ahead, behind = (adapter(images + s * STEP * direction).coords for s in (1, -1))
            differences.append(((ahead - behind) * weights).sum().item() / (2 * STEP))
            slopes.append((gradient * direction).sum().item())
    assert max(map(abs, slopes)) > 1e-3  # the image matters
    return max(abs(a - b) for a, b in zip(slopes, differences, strict=True)) / max(map(abs, slopes))


@pytest.mark.parametrize("family", FAMILIES)
def test_autograd_equals_finite_differences(family: str) -> None:
    """Every family, with random weights: relative error below 1e-5."""
    assert relative_error(tiny_adapter(family), random_images(1, dtype=D)) < 1e-5


@needs_shared
def test_autograd_equals_finite_differences_on_a_trained_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the trained model, whose head is a user's own subclass."""
    monkeypatch.syspath_prepend(str(SHARED / "weights"))
    name = SHARED / "weights" / "simplepose_coco_256x192.py"
    model = build_model(name, SHARED / "weights" / "simplepose_mobilenetv2_coco_256x192.pth")
    images = torch.randn(1, 3, 256, 192, generator=torch.Generator().manual_seed(0), dtype=D)
    assert relative_error(select_adapter(model, adapters())(model), images) < 1e-5


@pytest.mark.parametrize("family", ["heatmap-msra", "regression", "simcc"])
def test_every_joint_has_a_gradient_of_its_own(family: str) -> None:
    """The gradients of two joints differ, are finite and are not zero; no parameter collects one."""
    adapter = tiny_adapter(family)
    x = random_images(1).requires_grad_()
    with adapter.frozen():
        coords = adapter(x).coords
        first, second = (torch.autograd.grad(coords[0, k].sum(), x, retain_graph=True)[0] for k in (0, 1))
    assert first.isfinite().all()
    assert first.abs().max() > 0
    assert not torch.allclose(first, second)
    assert all(p.grad is None for p in adapter.model.parameters())
