"""Where the sample data lie, and what to skip where the wheel is absent."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The folder of the mediapipe wheel; skips where it, or flatbuffers, is not installed."""
    for name in ("mediapipe", "flatbuffers"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: pip install --no-deps mediapipe==0.10.21 flatbuffers")
    from poseig_mediapipe_models.wheel import wheel_dir

    return wheel_dir()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of the sample data; skips where it is absent."""
    path = ROOT.parent / "shared"
    if not path.is_dir():
        pytest.skip(f"sample data not found at {path}")
    return path


@pytest.fixture(scope="session")
def configs() -> Path:
    """The repository's configs; skips where this distribution is tested without the repository."""
    path = ROOT / "configs"
    if not (path / "demo").is_dir():
        pytest.skip(f"no demo configs at {path}")
    return path
