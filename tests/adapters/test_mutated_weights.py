"""Mutated files of weights: read or refused, never a crash, never another error, never a call."""

from __future__ import annotations

import contextlib
import functools
import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch_archives import changed

from poseig_mm.adapters.checkpoints import read_checkpoint
from poseig_mm.adapters.weights_file import read_bytes_file, read_pickle_file, read_torch_file
from poseig_mm.errors import CheckpointError

CALLED = {"os.mkdir", "os.system", "os.remove", "os.rename", "os.posix_spawn", "subprocess.Popen", "compile"}
events: list[str] | None = None


def fly() -> None:
    """What the canary's pickle calls."""
    assert events is not None
    events.append("fly")


class Bird:
    """Its pickle calls `fly`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return fly, ()


def watch(event: str, args: tuple[Any, ...]) -> None:
    """Python's audit hook: what is called while `events` is a list."""
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if events is not None and (event in CALLED or writes):
        events.append(event)


sys.addaudithook(watch)


@functools.cache
def samples() -> dict[str, bytes]:
    """A file of each format, with a canary where it can hold one."""
    content = {"state_dict": OrderedDict(a=torch.ones(3, 2), b=torch.zeros(4, dtype=torch.float16)),
               "meta": {"x": np.arange(3.0), "names": {0: "nose"}, "canary": Bird()}}  # fmt: skip
    zipped, legacy = io.BytesIO(), io.BytesIO()
    torch.save(content, zipped)
    torch.save(content, legacy, _use_new_zipfile_serialization=False)
    arrays = {"x": np.arange(4), "y": [1, (2, "a")], "canary": Bird()}
    return {
        "zip": zipped.getvalue(),
        "legacy": legacy.getvalue(),
        "safetensors": save({"a": torch.ones(3), "b": torch.zeros(2, 2)}),
        "pickle": pickle.dumps(arrays, 2),
        "old pickle": pickle.dumps(arrays, 0),
        "new pickle": pickle.dumps(arrays, 5),
    }


Edits = list[tuple[str, float, int]]
edits = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "insert", "double", "truncate"]), st.floats(0, 1), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def mutated(content: bytes, changes: Edits, other: bytes) -> bytes:
    """With a byte set, some cut out, put in of another format, or doubled, or the end cut off."""
    for kind, where, value in changes:
        i = int(where * len(content))
        if kind == "set":
            content = content[:i] + bytes([value]) + content[i + 1 :]
        elif kind == "cut":
            content = content[:i] + content[i + value :]
        elif kind == "insert":
            content = content[:i] + other[value : 2 * value + 1] + content[i:]
        elif kind == "double":
            content = content[: i + value] + content[i:]
        else:
            content = content[: max(1, i)]
    return content


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[None]:
    """Calls are listed in `events`."""
    global events
    for content in samples().values():  # what has to be imported is
        (tmp_path / "w.pth").write_bytes(content)
        opened(tmp_path / "w.pth")
    events = []
    yield
    events = None


def opened(path: Path) -> None:
    """By each door; a CheckpointError is what may come."""
    for read in (
        read_torch_file,
        read_checkpoint,
        lambda path: read_pickle_file(path, "arrays", lambda module, name: None, str),
        lambda path: read_bytes_file(path, "tflite", "a network", lambda content: content[2**40]),
    ):
        with contextlib.suppress(CheckpointError):
            read(path)  # type: ignore[operator]


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.sampled_from(sorted(samples())), st.sampled_from(sorted(samples())), edits)
def test_a_mutated_file_is_read_or_refused(
    watched: None, tmp_path: Path, name: str, other: str, changes: Edits
) -> None:
    """Never a crash, never another error, never a call."""
    path = tmp_path / "w.pth"
    path.write_bytes(mutated(samples()[name], changes, samples()[other]))
    assert events is not None
    events.clear()
    opened(path)
    assert events == []


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(edits, st.sampled_from(["pickle", "old pickle", "new pickle"]))
def test_a_mutated_pickle_inside_an_archive(watched: None, tmp_path: Path, changes: Edits, other: str) -> None:
    """Its checksum is right, so that the pickle itself is read; tensors that come of it are inside their storages."""
    path = tmp_path / "inner.pth"
    path.write_bytes(samples()["zip"])
    changed(path, lambda n, c: mutated(c, changes, samples()[other]) if n.endswith(".pkl") else c)
    assert events is not None
    events.clear()
    with contextlib.suppress(CheckpointError):
        weights, _ = read_checkpoint(path)
        for value in weights.values():
            value.clone()
    assert events == []


def test_the_canary_would_fly(watched: None) -> None:
    """By pickle itself; so does the audit hook see a call."""
    pickle.loads(samples()["pickle"])
    assert events is not None
    assert events[-1] == "fly"
