"""Doing something in the middle of somebody's training, and leaving no trace of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..seeding import random_states_kept


@contextmanager
def undisturbed() -> Iterator[None]:
    """Gradients on and autocast off within; afterwards all generators of random numbers stand where they stood.

    Of Python, NumPy and torch (CPU and every CUDA device in use).

    >>> torch.manual_seed(0) is not None
    True
    >>> before = torch.get_rng_state()
    >>> with torch.no_grad(), undisturbed():
    ...     torch.is_grad_enabled(), len(torch.randn(3))
    (True, 3)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    with (
        random_states_kept(),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cuda", enabled=False),
        torch.autocast("cpu", enabled=False),
    ):
        yield
