"""What a run sets of its process, and what it measures of it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from poseig_mm.run import process

STATM = Path("/proc/self/statm")
LEFT = """
import resource, sys
from poseig_mm.run.process import keep_freed_memory
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
    monkeypatch.setattr(process.ctypes, "CDLL", lambda name: object())
    assert process.keep_freed_memory() is False


def test_peak_memory_is_in_bytes() -> None:
    """A Python process takes more than a few MB and less than a TB."""
    assert 2**22 < process.peak_memory()["cpu"] < 2**40


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "20000"), ({"OMP_WAIT_POLICY": "PASSIVE"}, None), ({"GOMP_SPINCOUNT": "5"}, "5")],
)
def test_threads_wait_briefly_unless_the_user_says(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str | None
) -> None:
    """What is set in the environment holds."""
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    process.wait_briefly()
    assert os.environ.get("GOMP_SPINCOUNT") == expected
