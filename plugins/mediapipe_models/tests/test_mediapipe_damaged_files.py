"""A `.tflite` file that is damaged or something else: a CheckpointError, whatever the bytes."""

from __future__ import annotations

import contextlib
import functools
import random
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from poseig_mediapipe_models.network import load_network
from poseig_mediapipe_models.tflite import read_tflite
from poseig_mediapipe_models.wheel import load_schema, network_file

from poseig_mm.errors import CheckpointError

pytestmark = pytest.mark.usefixtures("wheel")
OUTPUT = ("landmarks",)


@functools.cache
def whole() -> bytes:
    """The smallest of the wheel's networks."""
    return network_file("hand_lite").read_bytes()


@functools.cache
def structure() -> tuple[int, ...]:
    """Where bytes other than weights stand: the last part of the file, and its head."""
    return (*range(64), *range(len(whole()) - 60_000, len(whole())))


def refused(content: bytes, folder: Path, message: str) -> None:
    (folder / "bad.tflite").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_tflite(folder / "bad.tflite")


def test_other_formats_are_named(tmp_path: Path) -> None:
    """As at every door: what was got and what was expected."""
    refused(b"", tmp_path, "an empty file; expected a TensorFlow Lite network")
    refused(b"<!doctype html>", tmp_path, "an HTML page")
    refused(b"version https://git-lfs.github.com/spec/v1\n", tmp_path, "a git-LFS pointer")
    refused(b"\x08\x07\x12\x07pytorch", tmp_path, "an ONNX model")
    with pytest.raises(CheckpointError, match="is a folder"):
        read_tflite(tmp_path)


@pytest.mark.parametrize("length", [8, 9, 100, 10_000, 1_000_000])
def test_a_truncated_file(length: int, tmp_path: Path) -> None:
    """Half a download."""
    refused(whole()[:length], tmp_path, "it is damaged or not a TensorFlow Lite network|more than the file|subgraphs")


def test_a_list_longer_than_the_file(tmp_path: Path) -> None:
    """The number of tensors set to a thousand million: following it would take hours."""
    schema = load_schema()
    subgraph = schema.Model.GetRootAsModel(whole(), 0).Subgraphs(0)
    at = subgraph._tab.Vector(subgraph._tab.Offset(4)) - 4
    (count,) = struct.unpack_from("<I", whole(), at)
    assert count == subgraph.TensorsLength()
    refused(
        whole()[:at] + struct.pack("<I", 10**9) + whole()[at + 4 :], tmp_path, "list Tensors has 1000000000 elements"
    )


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.integers(0, 2**32), st.integers(1, 30))
def test_changed_bytes(tmp_path: Path, seed: int, changes: int) -> None:
    """In the structure of the file: read all the same, or refused."""
    rng, content = random.Random(seed), bytearray(whole())
    for place in rng.choices(structure(), k=changes):
        content[place] = rng.randrange(256)
    (tmp_path / "bad.tflite").write_bytes(content)
    with contextlib.suppress(CheckpointError):
        load_network("hand_lite", OUTPUT, str(tmp_path / "bad.tflite"))
