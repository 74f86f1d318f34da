"""Coordinates are differentiable with respect to the image: autograd against finite differences in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_models import FAMILIES, SHARED, adapters, needs_shared, random_images, tiny_adapter
from tiny import session, write_run

from poseig_mm.adapters.base import CoordinateAdapter
from poseig_mm.adapters.build_model import build_model
from poseig_mm.adapters.select import select_adapter
from poseig_mm.errors import ConfigError
from poseig_mm.store import Store

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


class First(torch.nn.Module):
    """A backbone that begins with an operation on its input, or on a part of it."""

    def __init__(self, inner: torch.nn.Module, operation: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.inner, self.operation = inner, operation

    def forward(self, x: torch.Tensor) -> Any:
        return self.inner(self.operation(x))


def _through_a_view(x: torch.Tensor) -> torch.Tensor:
    x.flatten(1)[:, ::2].mul_(0.5)
    return x


IN_PLACE = {
    "relu": (torch.nn.ReLU(inplace=True), torch.nn.ReLU()),
    "a product": (lambda x: x.mul_(0.5), lambda x: x * 0.5),
    "through a view": (_through_a_view, lambda x: _through_a_view(x.clone())),
}


@pytest.mark.parametrize("what", IN_PLACE)
@pytest.mark.parametrize("family", ["heatmap-msra", "regression"])
def test_a_model_may_change_its_input_in_place(what: str, family: str) -> None:
    """Coordinates, decoding, gradient and agreement are those of the same model that does not; images stay as they are.

    Without a copy torch refuses a gradient; and without a gradient to refuse, the caller's images would be halved.
    """
    images, found = random_images(), []
    for operation in IN_PLACE[what]:
        adapter = tiny_adapter(family)
        adapter.model.backbone = First(adapter.model.backbone, operation)
        x = images.clone()
        with adapter.frozen():
            twice = [adapter.predict(x) for _ in range(2)]
            agreement = adapter.calibrate(x)
            leaf = x.requires_grad_()
            coords = adapter(leaf).coords
            (gradient,) = torch.autograd.grad(coords.sum(), leaf)
        assert torch.equal(x, images)
        assert torch.equal(*twice)
        found.append([*twice, coords.detach(), gradient, torch.tensor(agreement.share_within)])
    for with_copy, expected in zip(*found, strict=True):
        assert torch.equal(with_copy, expected)


def _one_of_many_views(x: torch.Tensor) -> torch.Tensor:
    parts = x.unbind(1)
    parts[0].relu_()
    return torch.stack(parts, 1)


def _after_it_was_saved(x: torch.Tensor) -> torch.Tensor:
    y = x.exp()
    return y.mul_(2)


@pytest.mark.parametrize("operation", [_one_of_many_views, _after_it_was_saved])
@pytest.mark.parametrize("method", ["path_ig", "gradient"])
def test_what_has_no_gradient_is_said_once(
    tmp_path: Path, operation: Callable[..., torch.Tensor], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that overwrites what its gradient is made of ends the run with what to do, not each person by itself."""
    made, first = write_run(tmp_path), First(torch.nn.Identity(), operation)
    running = session(made, tmp_path / "w", {"attribution.method": method})
    built = running._adapter()
    built.model.backbone = First(built.model.backbone, first.operation)
    monkeypatch.setattr(running, "_adapter", lambda: built)
    with pytest.raises(ConfigError, match=r"in place .*inplace=False"):
        running.run()
    assert not Store(tmp_path / "w").failures
