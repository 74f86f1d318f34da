"""Hashes and versions that a result is stored with."""

from __future__ import annotations

import hashlib
import platform

from poseig_mm import __version__
from poseig_mm.run.about import versions
from poseig_mm.run.identity import digest


def test_a_digest_depends_on_content_alone() -> None:
    """Not on the order of keys; but on that of lists, and on any value."""
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    different = {digest(v) for v in ({"a": 1}, {"a": 2}, {"b": 1}, {"a": [1, 2]}, {"a": [2, 1]}, {"a": None}, None)}
    assert len(different) == 7


def test_a_digest_is_the_same_in_another_process() -> None:
    """Runs are compared by it days later: a number that changes would make every run unresumable."""
    assert digest({"model": "x", "nodes": 50}) == hashlib.sha256(b'{"model": "x", "nodes": 50}').hexdigest()[:16]
    names = {f"name{i}" for i in range(20)}  # their order in a set differs from process to process
    assert digest(names) == digest(sorted(names))
    assert digest([lambda: 1]) == digest([lambda: 2])  # differ in their addresses alone


def test_versions_name_what_is_installed() -> None:
    """Python and our own are always there."""
    found = versions()
    assert (found["python"], found["poseig-mm"]) == (platform.python_version(), __version__)
    assert {"torch", "mmpose", "numpy"} <= found.keys()
