"""Shared fixtures: where the sample data lie, and the environment MMPose needs."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tiny import tiny

    from poseig_mm.store import Store

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# How long an example takes says how busy the machine is.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

SHARED = Path(__file__).parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"sample data not found at {SHARED}")


@pytest.fixture(scope="session")
def mmpose_ready() -> None:
    """MMPose can be imported in this process."""
    from poseig_mm.compat import prepare_environment

    prepare_environment()


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory, mmpose_ready: None) -> tiny:
    """Files of a tiny run (see tiny.py), with settings that make it fast; not to be changed."""
    from tiny import write_run

    made = write_run(tmp_path_factory.mktemp("tiny"))
    gc.freeze()  # MMPose's data sets collect garbage when they load: half a second of each run, for modules that stay
    return made


@pytest.fixture(scope="session")
def tiny_store(tiny_files: tiny, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A finished run over `tiny_files`."""
    from tiny import run

    return run(tiny_files, tmp_path_factory.mktemp("work") / "plain")


@pytest.fixture
def main(tiny_files: tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`main(*options)`: the command line in this process on the tiny files, work dir 'w', nothing installed."""
    monkeypatch.setattr("poseig_mm.plugin.registry.entry_points", lambda group: ())

    from poseig_mm import cli

    def call(*options: object, config: object = tiny_files.config, weights: object = tiny_files.weights) -> int:
        given = [config, weights, "--work-dir", tmp_path / "w", "--device", "cpu", *options]
        return cli.main([str(o) for o in given])

    return call
