"""The process that a run lives in: how its threads wait, what it does with freed memory, how much it took.

Importing this loads no torch.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

# glibc's malloc.h; 32 MiB is the largest threshold that it takes
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_BLOCK, KEPT = 32 << 20, 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc to keep up to 2 GiB of freed memory, for the whole process; for programs, not for libraries.

    By default it hands blocks of more than 128 kB to 32 MiB back to the system and gets them again, page by page, for
    every chunk of images: 1,200 to 10,000 page faults an image, 15 to 25 % of a forward pass.

    Returns:
        Whether it was done: where there is no glibc, nothing happens.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; Windows has no main program to look in
        return False
    return bool(set_option(M_MMAP_THRESHOLD, LARGEST_BLOCK) and set_option(M_TRIM_THRESHOLD, KEPT))


def wait_briefly() -> None:
    """Waiting threads spin for some 20 us, then sleep; before torch is loaded, unless the user says otherwise.

    OpenMP's default spins for milliseconds, which beside another busy process has made a run 40 times slower; sleeping
    at once (OMP_WAIT_POLICY=PASSIVE) costs small models a third of their speed.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def peak_memory() -> dict[str, int]:
    """Largest memory of this process so far, in bytes: 'cpu' (resident set) and, where CUDA was used, 'cuda'."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = {"cpu": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        peak["cuda"] = torch.cuda.max_memory_allocated()
    return peak
