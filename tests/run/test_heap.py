"""Freed memory that is kept stays with the process; where there is no glibc, nothing happens."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from poseig_mm.run import heap

STATM = Path("/proc/self/statm")
LEFT = """
import resource, sys
from poseig_mm.run.heap import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
before = resident()
blocks = [bytearray(10 << 20) for _ in range(20)]
del blocks
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or not STATM.exists(), reason="needs glibc's malloc, and /proc")
def test_freed_blocks_stay_with_the_process() -> None:
    """Of 200 MiB in blocks that hold an image's activations nearly all; by default the system gets them back."""
    freed, kept = (
        int(subprocess.run([sys.executable, "-c", LEFT, word], capture_output=True, text=True, check=True).stdout)
        for word in ("free", "keep")
    )
    assert freed < 50
    assert kept > 150


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A C library without the option."""
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: object())
    assert heap.keep_freed_memory() is False
