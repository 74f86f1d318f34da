"""Fast and exact computing agree; what fails its check falls back and says so."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from poseig_mm.attribution import acceleration
from poseig_mm.attribution.acceleration import accelerate
from poseig_mm.attribution.methods import path_ig
from poseig_mm.functional.soft_argmax import soft_argmax
from poseig_mm.types import Coordinates


class TinyAdapter:
    """What acceleration asks of an adapter, around a small heatmap model with batch norms."""

    def __init__(self, foldable: bool = True) -> None:
        generator = torch.Generator().manual_seed(0)
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Conv2d(3, 96, 3, 2, 1), nn.BatchNorm2d(96), nn.ReLU(), nn.Conv2d(96, 96, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(96, 5, 3, 1, 1),
        ).eval().requires_grad_(False)  # fmt: skip
        self.model[1].running_var.uniform_(0.5, 2, generator=generator)
        self.foldable = foldable

    def __call__(self, images: Tensor) -> Coordinates:
        return Coordinates(4 * soft_argmax(self.model(images), 10.0))

    def folded(self, images: Tensor) -> Any:
        from poseig_mm.adapters.folding import fold_batch_norm

        twin = copy.copy(self)
        model = fold_batch_norm(self.model, lambda m, x: m(x), images) if self.foldable else None
        if model is None:
            return None
        twin.model = model
        return twin


IMAGES = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(2))


def test_fast_and_exact_maps_agree() -> None:
    """Folding and the bfloat16 backward pass leave the maps at cosine 0.999 or more, joint by joint."""
    adapter: Any = TinyAdapter()
    keypoints = torch.rand(2, 5, 2, generator=torch.Generator().manual_seed(3)) * 40
    fast = accelerate(adapter, IMAGES, backward_dtype="bfloat16")
    assert (fast.folded, fast.backward_dtype, fast.note) == (True, "bfloat16", "")
    assert fast.cosine is not None
    assert fast.cosine > 0.999
    settings: dict[str, Any] = {"quadrature": "midpoint", "nodes": 6}
    a = path_ig(adapter, IMAGES, keypoints, **settings).maps.flatten(2)
    b = path_ig(fast.adapter, IMAGES, keypoints, backward=fast.backward, **settings).maps.flatten(2)
    assert torch.cosine_similarity(a, b, dim=2).min() > 0.999
    assert not torch.equal(a, b)


def test_exact_is_the_model_as_it_is() -> None:
    """compute='exact', and float64 images, change nothing at all."""
    adapter: Any = TinyAdapter()
    for result in (accelerate(adapter, IMAGES, compute="exact"), accelerate(adapter, IMAGES.double())):
        assert result.adapter is adapter
        assert (result.backward, result.folded, result.backward_dtype) == (None, False, "float32")


def test_what_fails_its_check_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folding: a note; a walked gradient that is not good enough in any type: autograd, and the cosine."""
    adapter: Any = TinyAdapter(foldable=False)
    assert "could not be folded" in accelerate(adapter, IMAGES, backward_dtype="float32").note
    monkeypatch.setattr(acceleration, "WANTED_COSINE", 1.1)
    result = accelerate(TinyAdapter(), IMAGES, backward_dtype="bfloat16")  # type: ignore[arg-type]
    assert result.backward is None
    assert result.as_dict()["backward"] == "autograd"
    assert "not walked in bfloat16" in result.note
    assert "not walked in float32" in result.note
    assert result.folded


def test_where_bfloat16_is_too_coarse_the_walk_is_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cosine that float32 reaches and bfloat16 does not."""
    monkeypatch.setattr(acceleration, "WANTED_COSINE", 1 - 1e-6)
    result = accelerate(TinyAdapter(), IMAGES, backward_dtype="bfloat16")  # type: ignore[arg-type]
    assert result.backward is not None
    assert (result.backward.dtype, result.backward_dtype) == (torch.float32, "float32")
    assert "not walked in bfloat16" in result.note
    assert (result.as_dict()["backward"], result.cosine) == ("walk", pytest.approx(1, abs=1e-6))


@pytest.mark.parametrize("pays", [True, False])
def test_autograd_gets_the_layout_it_is_quick_in(monkeypatch: pytest.MonkeyPatch, pays: bool) -> None:
    """Where the walk is taken, channels last; where autograd is, what pays on this torch; the user's model is left
    alone.
    """
    monkeypatch.setattr(acceleration, "channels_last_pays", lambda model, device: pays)
    adapter: Any = TinyAdapter()
    walked = accelerate(adapter, IMAGES)
    monkeypatch.setattr(acceleration, "WANTED_COSINE", 1.1)
    plain = accelerate(adapter, IMAGES)
    weights = [a.adapter.model[0].weight for a in (walked, plain)]  # type: ignore[index]
    last = [weight.is_contiguous(memory_format=torch.channels_last) for weight in weights]
    assert last == [True, pays]
    assert adapter.model[0].weight.is_contiguous()


def test_hardware_decides_when_left_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """'auto' takes bfloat16 where the hardware has it, and float32 elsewhere."""
    for supported in (True, False):
        monkeypatch.setattr(acceleration, "bfloat16_supported", lambda device, answer=supported: answer)
        result = accelerate(TinyAdapter(), IMAGES)  # type: ignore[arg-type]
        assert (result.backward_dtype == "bfloat16") == supported


def test_the_users_model_is_left_alone() -> None:
    """Weights, buffers and layers of the original are the same objects with the same values."""
    adapter: Any = TinyAdapter()
    before = {k: v.clone() for k, v in adapter.model.state_dict().items()}
    accelerate(adapter, IMAGES, backward_dtype="bfloat16")
    assert all(torch.equal(v, before[k]) for k, v in adapter.model.state_dict().items())
    assert isinstance(adapter.model[1], nn.BatchNorm2d)


def test_tensor_float32_is_given_back() -> None:
    """Both switches are set within the context, and are what they were after an error in it."""
    switches = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [s.allow_tf32 for s in switches]
    for allowed in (True, False):
        found = []
        with contextlib.suppress(KeyError), acceleration.tensor_float32(allowed):
            found = [s.allow_tf32 for s in switches]
            raise KeyError
        assert found == [allowed, allowed]
        assert [s.allow_tf32 for s in switches] == before


def test_a_graph_that_cannot_be_walked_falls_back() -> None:
    """A model with a function of its own in Python runs with plain autograd, and the note says why."""

    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            return g

    class Odd(TinyAdapter):
        def __call__(self, images: Tensor) -> Coordinates:
            return Coordinates(Own.apply(super().__call__(images).coords))

    result = accelerate(Odd(), IMAGES, backward_dtype="bfloat16")  # type: ignore[arg-type]
    assert (result.backward, result.backward_dtype) == (None, "float32")
    assert "cannot be walked" in result.note
