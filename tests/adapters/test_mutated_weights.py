"""Mutated files of weights: read or refused, never a crash, never another error, never a call."""

from __future__ import annotations

import contextlib
import functools
import pickle
from pathlib import Path
from random import Random

import weight_files
from call_watch import watched
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poseig_mm.adapters.checkpoints import read_checkpoint
from poseig_mm.adapters.weights_file import read_bytes_file, read_pickle_file, read_torch_file
from poseig_mm.errors import CheckpointError


def opened(path: Path) -> None:
    """By each door; a CheckpointError is what may come, and tensors that come are inside their storages."""
    for read in (
        read_torch_file,
        read_checkpoint,
        lambda path: read_pickle_file(path, "arrays", lambda module, name: None, str),
        lambda path: read_bytes_file(path, "tflite", "a network", lambda content: content[2**40]),
    ):
        with contextlib.suppress(CheckpointError):
            found = read(path)  # type: ignore[operator]
            if read is read_checkpoint:
                for value in found[0].values():
                    value.clone()


@functools.cache
def import_all(folder: Path) -> None:
    """What has to be imported for the files as they were."""
    for content in weight_files.weight_files().values():
        (folder / "seed.pth").write_bytes(content)
        opened(folder / "seed.pth")


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.sampled_from(sorted(weight_files.MUTATED)), st.integers(0, 2**64))
def test_a_mutated_file_is_read_or_refused(tmp_path: Path, name: str, seed: int) -> None:
    """Bytes, opcodes and entries; `benchmarks.fuzz` does the same for minutes."""
    path = tmp_path / "w.pth"
    import_all(tmp_path)
    path.write_bytes(weight_files.MUTATED[name](Random(seed)))
    weight_files.flown.clear()
    with watched(tmp_path) as calls:
        opened(path)
    assert calls == weight_files.flown == []


def test_the_canary_would_fly(tmp_path: Path) -> None:
    """By pickle itself; so does the audit hook see calls, and a file written elsewhere."""
    weight_files.flown.clear()
    with watched(tmp_path / "inside") as calls:
        pickle.loads(weight_files.weight_files()["pickle"])
        (tmp_path / "outside").write_text("")
    assert weight_files.flown == ["fly"]
    assert any(call.startswith("pickle.find_class") for call in calls)
    assert calls[-1].startswith("open") and "outside" in calls[-1]  # noqa: PT018
