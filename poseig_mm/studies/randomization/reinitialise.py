"""Which layers a model runs, in which order, and giving some of them new weights for a while.

torch is loaded here: studies import this inside their functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ...seeding import random_states_kept, stable_hash

KINDS: dict[str, tuple[type[nn.Module], ...]] = {  # nn.ConvTranspose2d is not an nn.Conv2d: it is never among them
    "conv": (nn.Conv2d,),
    "linear": (nn.Conv2d, nn.Linear, nn.MultiheadAttention),
}


def layers_in_order(model: nn.Module, run: Callable[[], Any], kinds: tuple[type[nn.Module], ...]) -> list[str]:
    """Names of the layers of some kinds, in the order in which a forward pass first reaches them.

    Args:
        model: left as it is.
        run: makes one forward pass of it; layers that the pass does not reach are not listed.
        kinds: classes of layers.  A layer inside one that is listed (the projections of attention) is not listed
            itself.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.ConvTranspose2d(4, 4, 1), nn.Conv2d(4, 1, 1))
    >>> layers_in_order(model, lambda: model(torch.zeros(1, 3, 2, 2)), KINDS['conv'])
    ['0', '3']
    """
    reached: dict[str, None] = {}
    inner = {id(m) for part in model.modules() if isinstance(part, kinds) for m in part.modules() if m is not part}

    def watch(name: str) -> Callable[..., None]:
        return lambda *_: reached.setdefault(name)

    layers = [(name, m) for name, m in model.named_modules() if isinstance(m, kinds) and id(m) not in inner]
    hooks = [m.register_forward_hook(watch(name)) for name, m in layers]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return list(reached)


@contextmanager
def preserved(model: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """Within it these layers may be given other weights; afterwards, also after an error, they hold the old bytes.

    Parameters stay the same objects with the same `requires_grad`; their buffers are kept too.
    """
    layers = [model.get_submodule(name) for name in names]
    tensors = {id(t): t for layer in layers for t in (*layer.parameters(), *layer.buffers())}
    kept = [(tensor, tensor.detach().clone()) for tensor in tensors.values()]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, before in kept:
                tensor.copy_(before)


def reinitialise(model: nn.Module, name: str, seed: int = 0) -> None:
    """Give a layer new weights in place, by its own `reset_parameters()`.

    They depend on the seed, the layer's name and shape, and the device's kind alone: the same for every sample and
    order. The state of all random generators is left as it was.  Batch norms around the layer keep their trained
    statistics.
    """
    layer = model.get_submodule(name)
    with random_states_kept(stable_hash(f"{seed} {name}")):
        if isinstance(layer, nn.MultiheadAttention):
            layer.out_proj.reset_parameters()  # its own reset leaves the output's weights as they are
            layer._reset_parameters()
        else:
            layer.reset_parameters()  # type: ignore[operator]  # a Conv2d or Linear has one
