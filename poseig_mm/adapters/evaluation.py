"""Whether a model in evaluation mode evaluates: the same image gives the same, twice, and whatever is beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ..checks import Check
from ..seeding import random_states_kept
from .base import CoordinateAdapter

# Of `CoordinateAdapter.threshold` (one heatmap pixel), how far coordinates may be apart.  The same pass twice runs the
# same kernels; another size of batch runs others, whose float32 or TF32 a sharp soft-argmax enlarges.
TWICE, IN_A_BATCH = 1e-3, 0.05
BATCH = 4  # images


def evaluation_check(adapter: CoordinateAdapter, images: Tensor) -> Check:
    """The coordinates of an image computed twice, and in a batch with others.

    Args:
        adapter: of the run; where `one_image`, bound to the image's person, and no batch is tried.
        images: (B, C, H, W) normalised network input; the first is the one that is looked at.  Other images are made of
            it where there are none.
    """
    image = images[:1]
    others = images[1:BATCH] if len(images) > 1 else image.flip(-1)
    watch = _Watch(adapter)
    with adapter.frozen(), torch.no_grad(), random_states_kept(), _buffers_kept(adapter.model) as changed_buffers:
        alone = adapter(image).coords
        twice = _apart(adapter(image).coords, alone)
        batched = 0.0 if adapter.one_image else _apart(adapter(torch.cat([image, others])).coords[:1], alone)
        changed = changed_buffers()
        bad = bool(changed) or twice > TWICE * adapter.threshold or batched > IN_A_BATCH * adapter.threshold
        if bad:
            with watch:
                adapter(image if adapter.one_image else torch.cat([image, others]))
    batch = "" if adapter.one_image else f", alone and in a batch of {1 + len(others)}"
    if not bad:
        return Check("evaluation", "ok", f"the same image gives the same coordinates twice{batch}")
    found = [f"run twice, the same image gives coordinates {twice:.3g} {adapter.unit} apart"]
    if batch:
        found.append(f"alone and in a batch of {1 + len(others)}, {batched:.3g} {adapter.unit} apart")
    if changed:
        found.append(f"every pass changes {', '.join(changed[:3])}{' ...' if len(changed) > 3 else ''}")
    return Check(
        "evaluation",
        "warning",
        "; ".join([*found, *watch.found]),
        "A part of the model goes on training in evaluation mode: predictions, errors and maps hang on chance, or on "
        "which images are together. Let its forward() heed self.training",
    )


class _Watch(TorchDispatchMode):
    """While it is entered: which modules run operators that draw, or norm a batch by its own statistics."""

    def __init__(self, adapter: CoordinateAdapter) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._model, self._hooks = adapter.model, list[Any]()
        self._running = [f"{type(adapter.head).__name__}.forward"]  # called as it is, so that no hook sees it
        self.found: list[str] = []

    def __enter__(self) -> Any:
        for name, module in self._model.named_modules():
            label = f"{name or 'the model'} ({type(module).__name__})"
            self._hooks.append(module.register_forward_pre_hook(lambda *_, label=label: self._running.append(label)))
            self._hooks.append(module.register_forward_hook(lambda *_: self._running.pop() and None))
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for hook in self._hooks:
            hook.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        what = ""
        if torch.Tag.nondeterministic_seeded in func.tags:
            what = "draws random numbers"
        elif "batch_norm" in func.__name__ and args[0].shape[0] > 1:  # instance norms come as a batch of one
            names = [argument.name for argument in func._schema.arguments]
            if "training" in names and {**dict(zip(names, args, strict=False)), **given}["training"]:
                what = "norms by the statistics of the batch"
        if what and (note := f"{self._running[-1]} {what}") not in self.found:
            self.found.append(note)
        return func(*args, **given)


@contextmanager
def _buffers_kept(model: torch.nn.Module) -> Iterator[Callable[[], list[str]]]:
    """Afterwards buffers are what they were; gives a function that names those that differ now."""
    buffers = {name: (buffer, buffer.clone()) for name, buffer in model.named_buffers()}
    try:
        yield lambda: [
            name for name, (now, before) in buffers.items() if not torch.equal(now.nan_to_num(), before.nan_to_num())
        ]
    finally:
        for now, before in buffers.values():
            now.copy_(before)


def _apart(coords: Tensor, others: Tensor) -> float:
    """The largest distance of a joint; joints without coordinates count nothing."""
    distances = torch.linalg.vector_norm(coords - others, dim=-1)
    return float(distances.nan_to_num(0.0).max()) if distances.numel() else 0.0
