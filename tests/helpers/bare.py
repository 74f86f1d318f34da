"""A Python in which torch, numpy and their own needs are all that is installed, for tests of what needs no more."""

from __future__ import annotations

import os
import subprocess
import sys

from tiny import ROOT

__all__ = ["run_bare"]

NOTHING_ELSE = """
import importlib, importlib.util, pkgutil, re, sys
from importlib.metadata import requires

allowed, left = {"poseig_mm", "benchmarks"}, ["torch", "numpy"]
while left:  # they and what they need themselves
    name = left.pop()
    if name not in allowed:
        allowed.add(name)
        try:
            wanted = [r for r in requires(name) or [] if "extra ==" not in r]
        except Exception:
            wanted = []
        left += [re.match(r"[A-Za-z0-9_.-]+", r).group().lower().replace("-", "_") for r in wanted]

class OthersAreAbsent:
    def __init__(self, finders):
        self.finders = finders
    def find_spec(self, name, path=None, target=None):
        for finder in self.finders:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                installed = "site-packages" in (spec.origin or "") + " ".join(spec.submodule_search_locations or ())
                ours = name.split(".")[0] in allowed | {"torchgen", "functorch"}
                return spec if ours or not installed else None

sys.meta_path = [OthersAreAbsent(sys.meta_path)]
"""


def run_bare(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in such a Python, in the repository's root; `importlib` and `sys` are imported already."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    line = [sys.executable, "-c", NOTHING_ELSE + code]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, env=environment)
