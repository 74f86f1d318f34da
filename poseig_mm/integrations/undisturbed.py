"""Doing something in the middle of somebody's training, and leaving no trace of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..seeding import random_states_kept


@contextmanager
def undisturbed() -> Iterator[None]:
    """Gradients on and autocast off within; afterwards all generators of random numbers stand where they stood.

    Of Python, NumPy and torch (CPU and every CUDA device in use).  So do torch's switches for the whole process (type
    of new tensors, deterministic algorithms, cuDNN, threads) and the working directory.

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
        _switches_kept(),
        random_states_kept(),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cuda", enabled=False),
        torch.autocast("cpu", enabled=False),
    ):
        yield


@contextmanager
def _switches_kept() -> Iterator[None]:
    place, dtype, threads = os.getcwd(), torch.get_default_dtype(), torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn
    flags = (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32)
    try:
        yield
    finally:
        os.chdir(place)
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = flags
