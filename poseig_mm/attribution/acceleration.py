"""Making a model's passes cheaper without changing its maps, and proving it on the run's own samples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import AttributionError
from ..functional.fast_backward import FastBackward
from ..functional.linearise import Backward, autograd_backward, in_place_is_said
from ..functional.torch_features import bfloat16_supported, channels_last_pays

if TYPE_CHECKING:
    from ..adapters.base import CoordinateAdapter


WANTED_COSINE = 0.999  # between a joint's input gradients, fast and exact
CHECKED_JOINTS = 6


@dataclass(frozen=True)
class Acceleration:
    """What attribution runs on.

    `adapter` gives the same coordinates as the one it was made from; `backward` takes its gradients; None: plain
    autograd does.
    """

    adapter: CoordinateAdapter
    backward: FastBackward | None = None
    folded: bool = False
    backward_dtype: str = "float32"
    cosine: float | None = None  # lowest over the joints checked; None where nothing had to be checked
    note: str = ""

    def bound(self, adapter: CoordinateAdapter) -> Acceleration:
        """The same for an adapter that `bind` gave: its persons, the fast model."""
        return self if adapter is self.adapter else replace(self, adapter=adapter.around(self.adapter.model))

    def as_dict(self) -> dict[str, Any]:
        """For run.json."""
        return {
            "folded_batch_norm": self.folded,
            "backward": "autograd" if self.backward is None else "walk",
            "backward_dtype": self.backward_dtype,
            "cosine_to_exact": self.cosine,
            "note": self.note,
        }


def accelerate(
    adapter: CoordinateAdapter, images: Tensor, *, compute: str = "fast", backward_dtype: str = "auto"
) -> Acceleration:
    """The fastest way to the same maps, checked on a few images.

    'fast': a copy of the model with batch norms folded, channels last, and a backward pass of our own (`FastBackward`),
    its matrix products in bfloat16 where the hardware has it.  What fails its check is left out, and `note` says so:
    folding, where it changes the outputs; bfloat16, and then the backward pass, where a joint's input gradient has a
    cosine below 0.999 to the exact one.

    Args:
        adapter: inside its `frozen()`; its model is not changed.
        images: (B, C, H, W) real, normalised.
        compute: 'fast' or 'exact' (float32, the model as it is).
        backward_dtype: 'auto', 'float32', or 'bfloat16' (also where the hardware has none).
    """
    if compute == "exact" or images.dtype is not torch.float32 or not len(images):
        return Acceleration(adapter)
    twin = adapter.folded(images[:1])
    fast = adapter if twin is None else twin
    reduced = backward_dtype == "bfloat16" or (backward_dtype == "auto" and bfloat16_supported(images.device))
    exact, cosine, notes = _gradients(adapter, images, autograd_backward).flatten(1).double(), None, []
    if twin is None:
        notes.append("batch norms could not be folded")
    for dtype in (torch.bfloat16, torch.float32) if reduced else (torch.float32,):
        backward, name = FastBackward(dtype), str(dtype).removeprefix("torch.")
        try:
            walked = _gradients(fast, images, backward).flatten(1).double()
        except (AttributionError, RuntimeError) as error:
            notes.append(f"the backward pass is autograd's, in float32: {error}")  # a graph that cannot be walked
            break
        cosine = _lowest_cosine(exact, walked)
        if cosine >= WANTED_COSINE:
            return Acceleration(fast, backward, twin is not None, name, cosine, "; ".join(notes))
        notes.append(
            f"the backward pass is not walked in {name}: a joint's gradient has cosine {cosine:.4f} to autograd's"
        )
    if twin is not None and not channels_last_pays(twin.model, images.device):
        twin.model.to(memory_format=torch.contiguous_format)
    return Acceleration(fast, None, twin is not None, "float32", cosine, "; ".join(notes))


@contextmanager
def tensor_float32(allowed: bool) -> Iterator[None]:
    """Whether a GPU may round factors of float32 products and convolutions to 10 bits, as torch's default is.

    Both switches are what they were afterwards, also after an error; a CPU has neither.

    >>> with tensor_float32(False):
    ...     torch.backends.cudnn.allow_tf32
    False
    """
    switches: tuple[Any, ...] = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [s.allow_tf32 for s in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = allowed
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.allow_tf32 = value


def _lowest_cosine(exact: Tensor, fast: Tensor) -> float:
    """Of rows (joints, N).  A joint that depends on nothing in either (the root of coordinates relative to it) agrees.

    >>> a, b = torch.tensor([[0.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    >>> round(_lowest_cosine(a, b), 6), _lowest_cosine(a, b.flip(0)), _lowest_cosine(a[:1], b[:1])
    (0.6, 0.0, 1.0)
    """
    flat = ~(exact.any(1) | fast.any(1))
    return torch.cosine_similarity(exact, fast, dim=1).masked_fill(flat, 1.0).min().item()


def _gradients(adapter: CoordinateAdapter, images: Tensor, backward: Backward) -> Tensor:
    """Input gradients of some joints' coordinates, (joints, B, C, H, W), each scaled to maximum 1."""
    x = images.detach().clone().requires_grad_()
    with torch.enable_grad(), in_place_is_said():
        coords = adapter(x).coords
    joints = range(0, coords.shape[1], max(1, coords.shape[1] // CHECKED_JOINTS))
    pull_back, gradients = backward(coords, x), []
    for k in joints:
        cotangent = torch.zeros_like(coords)
        cotangent[:, k] = 1
        (gradient,) = pull_back(cotangent[None])
        gradients.append(gradient / gradient.abs().amax().clamp_min(1e-30))
    return torch.stack(gradients)
