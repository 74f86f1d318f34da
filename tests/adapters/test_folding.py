"""Folding batch norms: the same function, fewer layers, the original left alone, and refused where it would change
it.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from poseig_mm.adapters import folding
from poseig_mm.adapters.folding import fold_batch_norm

IMAGES = torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))


class Shared(nn.Module):
    """A convolution whose output is read by a batch norm and by something else: must not be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(y) + y


class Twice(nn.Module):
    """A convolution that runs twice, once with the batch norm behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(self.conv(x)))


def randomise(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                if tensor is not None:
                    tensor.data.uniform_(0.5, 2, generator=generator)
    return model.eval()


def forward(model: nn.Module, images: Tensor) -> Tensor:
    out: Tensor = model(images)
    return out


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)),
        (nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6)),
        (nn.ConvTranspose2d(3, 8, 4, 2, 1, bias=False), nn.BatchNorm2d(8)),
        (nn.ConvTranspose2d(3, 6, 4, 2, 1, groups=3), nn.BatchNorm2d(6)),
        (nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, affine=False), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4)),
    ],
)
def test_folded_model_is_the_same_function(layers: tuple[nn.Module, ...]) -> None:
    """Convolutions, grouped and transposed ones: equal outputs, no batch norm left, the original untouched."""
    model = randomise(nn.Sequential(*layers))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    folded = fold_batch_norm(model, forward, IMAGES)
    assert folded is not None
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert torch.allclose(model(IMAGES), folded(IMAGES), atol=1e-5)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(p.requires_grad for p in folded.parameters())


def test_an_output_that_is_also_read_elsewhere_is_noticed() -> None:
    """The comparison of outputs refuses a folding that changes them."""
    assert fold_batch_norm(randomise(Shared()), forward, IMAGES) is None


def test_a_layer_that_runs_twice_is_left_alone() -> None:
    """Folding it would scale both runs."""
    model = randomise(Twice())
    folded = fold_batch_norm(model, forward, IMAGES)
    assert folded is not None
    assert isinstance(folded.norm, nn.BatchNorm2d)
    assert torch.allclose(model(IMAGES), folded(IMAGES), atol=1e-6)


class Operator(nn.Module):
    """Notes whether what it gets is contiguous."""

    def forward(self, x: Tensor) -> Tensor:
        self.contiguous = x.is_contiguous()
        return x * 2


@pytest.mark.parametrize(
    ("place", "gaps", "contiguous"),
    [("mmcv.ops.fake", (), True), ("mmcv.ops.fake", ("mmcv._ext",), False), ("mmcv.cnn.fake", (), False)],
)
def test_compiled_operators_of_mmcv_get_contiguous_tensors(
    monkeypatch: pytest.MonkeyPatch, place: str, gaps: tuple[str, ...], contiguous: bool
) -> None:
    """Also those that inherit from one; with mmcv-lite, and without any, the copy has its channels last."""
    monkeypatch.setattr(folding, "prepare_environment", lambda: gaps)
    base = type("Compiled", (Operator,), {"__module__": place})
    model = randomise(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), type("Own", (base,), {})()))
    folded = fold_batch_norm(model, forward, IMAGES)
    assert folded is not None
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert torch.allclose(model(IMAGES), folded(IMAGES), atol=1e-5)
    assert folded[2].contiguous is contiguous
