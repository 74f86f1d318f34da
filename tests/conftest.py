"""Shared fixtures: where the sample data lie, and the environment MMPose needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SHARED = Path(__file__).parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"sample data not found at {SHARED}")


@pytest.fixture(scope="session")
def mmpose_ready() -> None:
    """MMPose can be imported in this process."""
    from poseig_mm.compat import prepare_environment

    prepare_environment()
