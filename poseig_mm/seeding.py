"""Draws that hang on a hash of what is drawn, never on order or batch, and the guard of all random states.

torch is loaded by what needs it.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def stable_hash(text: str) -> int:
    """CRC-32 of the text, in [0, 2^32): the same in every process and version.

    >>> stable_hash('7-1')
    2945544402
    """
    return zlib.crc32(text.encode())


def generator_of(*parts: str | int) -> torch.Generator:
    """A CPU generator seeded by the stable hash of `parts`, e.g. a run's seed, a sample's id and a joint.

    >>> import torch
    >>> a, b, c = (torch.rand(1, generator=generator_of(0, '7-1', name)).item() for name in ('nose', 'nose', 'hip'))
    >>> a == b, a == c
    (True, False)
    """
    import torch

    return torch.Generator().manual_seed(stable_hash("/".join(map(str, parts))))


def noise_generator(seed: int, draw: int, cell: int) -> torch.Generator:
    """A CPU generator for one draw of noise at one cell of a path.

    Its seed is Python's hash of three numbers, which no version has changed since 3.8 (that of a text would differ from
    process to process).

    >>> noise_generator(0, 1, 2).initial_seed()
    2187946392326065592
    """
    import torch

    return torch.Generator().manual_seed(hash((seed, draw, cell)) % 2**63)


@contextmanager
def random_states_kept(seed: int | None = None) -> Iterator[None]:
    """Afterwards all generators stand where they stood: of Python, NumPy and torch (CPU and every CUDA device in use).

    Args:
        seed: what all of them begin with inside; None: as they stand.

    >>> import torch
    >>> before = torch.get_rng_state()
    >>> with random_states_kept(3):
    ...     first = torch.rand(2), random.random()
    >>> with random_states_kept(3):
    ...     bool((torch.rand(2) == first[0]).all()), random.random() == first[1]
    (True, True)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    import torch

    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  # the old generator is what libraries use
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices):
            if seed is not None:
                random.seed(seed)
                np.random.seed(seed)  # noqa: NPY002
                for generator in (torch.default_generator, *(torch.cuda.default_generators[i] for i in devices)):
                    generator.manual_seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
