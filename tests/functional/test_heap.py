"""Freed memory that is kept is not faulted in again; where there is no glibc, nothing happens."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from poseig_mm.functional import heap

FAULTS = """
import resource, sys
import torch
from poseig_mm.functional.heap import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def chunk():
    return [torch.ones(2_000_000) for _ in range(12)]  # 8 MB each
chunk()
before = faults()
for _ in range(5):
    chunk()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is not glibc's")
def test_a_chunk_of_tensors_is_faulted_in_once() -> None:
    """The second to sixth time its memory is there, while by default it comes from the system again."""
    freed, kept = (
        int(subprocess.run([sys.executable, "-c", FAULTS, word], capture_output=True, text=True, check=True).stdout)
        for word in ("free", "keep")
    )
    assert freed > 5000
    assert kept < freed / 5


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A C library without the option."""
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: object())
    assert heap.keep_freed_memory() is False
