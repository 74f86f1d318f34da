"""Full disks, unwritable directories, Ctrl-C, and what background writing must not hide."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_samples import IDENTITY, make_record

from poseig_mm.errors import StoreError
from poseig_mm.store import MapPolicy, Store, StoreWriter
from poseig_mm.store import writer as writer_module
from poseig_mm.store.map_parts import MapPlan


def files(path: Path) -> set[str]:
    return {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}


def fail(monkeypatch: pytest.MonkeyPatch, name: str, when: str) -> None:
    """Let os.`name` report a full disk on paths (or, for write, files) that hold `when`."""
    original = getattr(os, name)

    def failing(first: Any, *rest: Any, **kwargs: Any) -> Any:
        path = os.readlink(f"/proc/self/fd/{first}") if isinstance(first, int) else str(first)
        if when in path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(first, *rest, **kwargs)

    monkeypatch.setattr(os, name, failing)


@pytest.mark.parametrize("operation", ["write", "fsync", "replace", "open"])
@pytest.mark.parametrize("table", ["maps", "joints", "samples"])
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, table: str) -> None:
    """Wherever the disk fills up: one error with path, cause, free space and the way on; the batch before it is safe,
    of its own no file stays, and the resumed run is whole."""
    writer = StoreWriter(tmp_path, identity=IDENTITY)
    writer.write([make_record("a")])
    writer.flush()
    before = files(tmp_path)
    with monkeypatch.context() as patch:
        fail(patch, operation, f"{table}/.part-r000-00001")
        writer.write([make_record("b")])
        with pytest.raises(StoreError, match=f"cannot write .*{table}/part-r000-00001") as caught:
            writer.flush()
        with pytest.raises(StoreError):
            writer.write([make_record("c")])
    assert caught.value.errno == errno.ENOSPC
    assert "No space left" in str(caught.value)
    assert "MiB free" in str(caught.value)
    assert "--resume" in str(caught.value)
    writer.close("failed")
    assert files(tmp_path) == before
    store = Store(tmp_path)
    assert store.sample_ids == ("a",)
    assert store.run["status"] == "failed"
    with StoreWriter(tmp_path, identity=IDENTITY, resume=True) as writer:
        writer.write([make_record("b")])
    assert Store(tmp_path).sample_ids == ("a", "b")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_really_full_disk(tiny_disk: Path) -> None:
    """On a disk of 400 kB batches fit until one does not; those before it are whole, and temporary files are gone."""
    written = []
    writer = StoreWriter(tiny_disk, identity=IDENTITY)

    def fill() -> None:
        for n in range(100):
            writer.write([make_record(f"{n}", size=(128, 96))])
            writer.flush()
            written.append(f"{n}")

    with pytest.raises(StoreError, match="No space left"):
        fill()
    writer.close("failed")
    assert 0 < len(written) < 10
    assert list(Store(tiny_disk).sample_ids) == written
    assert not [name for name in files(tiny_disk) if ".tmp" in name]


def test_unwritable_work_dir(tmp_path: Path) -> None:
    """A file in the way, or a read-only place: what cannot be created is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot create directory .*file/run"):
        StoreWriter(tmp_path / "file" / "run", identity=IDENTITY)
    with pytest.raises(StoreError, match="cannot create directory"):
        StoreWriter("/proc/run", identity=IDENTITY)


def test_error_in_the_background_comes_up_at_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose last batch was lost does not end as complete."""
    fail(monkeypatch, "replace", "samples/")
    with pytest.raises(StoreError, match="samples/part"), StoreWriter(tmp_path, identity=IDENTITY) as writer:
        writer.write([make_record("a")])
    assert Store(tmp_path).run["status"] == "failed"
    StoreWriter(tmp_path, identity=IDENTITY).close()  # the lock is free


def test_nothing_is_written_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that waited behind the one that failed is not written: what is missing is the end of the run."""
    gate, plan = threading.Event(), MapPolicy.plan

    def gated(*args: Any) -> MapPlan:
        gate.wait(300)
        return plan(*args)

    monkeypatch.setattr(MapPolicy, "plan", gated)
    fail(monkeypatch, "replace", "joints/.part-r000-00000")
    writer = StoreWriter(tmp_path, identity=IDENTITY)
    writer.write([make_record("a")])
    writer.write([replace(make_record("b"), joints=())])  # has no joints file that could fail
    gate.set()
    with pytest.raises(StoreError, match="part-r000-00000"):
        writer.close()
    assert len(Store(tmp_path)) == 0


def test_nothing_can_be_written_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When run.json fails too, the first error is the one that is seen, and the lock is freed."""
    writer = StoreWriter(tmp_path, identity=IDENTITY)
    with monkeypatch.context() as patch:
        fail(patch, "write", str(tmp_path))
        writer.write([make_record("a")])
        with pytest.raises(StoreError, match="maps/part"):
            writer.close()
        writer.close()
    StoreWriter(tmp_path, identity=IDENTITY).close()


def test_ctrl_c(tmp_path: Path) -> None:
    """What was handed over before Ctrl-C is written, the status is 'interrupted', and the run can be resumed."""

    def interrupted() -> None:
        with StoreWriter(tmp_path, identity=IDENTITY) as writer:
            writer.write([make_record("a")])
            writer.write([make_record("b")])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    store = Store(tmp_path)
    assert store.sample_ids == ("a", "b")
    assert store.run["status"] == "interrupted"
    with StoreWriter(tmp_path, identity=IDENTITY, resume=True) as writer:
        assert writer.done == {"a", "b"}
    assert Store(tmp_path).run["status"] == "complete"


def test_an_error_of_the_session_is_not_hidden(tmp_path: Path) -> None:
    """Leaving the block by an error gives status 'failed' and that error."""
    with pytest.raises(ZeroDivisionError), StoreWriter(tmp_path, identity=IDENTITY):
        raise ZeroDivisionError
    assert Store(tmp_path).run["status"] == "failed"


def test_closed_writer(tmp_path: Path) -> None:
    """Nothing can be written after closing; closing again does nothing."""
    writer = StoreWriter(tmp_path, identity=IDENTITY)
    writer.close("interrupted")
    writer.close("complete")
    assert Store(tmp_path).run["status"] == "interrupted"
    with pytest.raises(StoreError, match="closed"):
        writer.write([make_record("a")])


def test_writing_overlaps_computing_and_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`write` returns before the batch is on disk, but not when `queue_size` batches wait already; order is kept."""
    gate, publish = threading.Event(), writer_module.publish_batch

    def slow(*args: Any) -> None:
        gate.wait(300)
        publish(*args)

    monkeypatch.setattr(writer_module, "publish_batch", slow)
    with StoreWriter(tmp_path, identity=IDENTITY, queue_size=2) as writer:
        writer.write([make_record("a")])
        writer.write([make_record("b")])
        assert len(Store(tmp_path)) == 0
        third = threading.Thread(target=writer.write, args=([make_record("c")],))
        third.start()
        time.sleep(0.1)
        assert third.is_alive()
        gate.set()
        third.join(300)
        assert not third.is_alive()
        writer.flush()
        assert Store(tmp_path).sample_ids == ("a", "b", "c")


def test_memory_is_flat_in_the_number_of_samples(tmp_path: Path) -> None:
    """Ten times the samples, each with a map of 24 kB, cost the writer no more than their ids."""

    def grown(samples: int, mode: str) -> int:
        writer = StoreWriter(tmp_path / f"{mode}{samples}", identity=IDENTITY, maps=mode, worst=5)
        base = make_record("x", joints=2)
        tracemalloc.start()
        for first in range(0, samples, 40):
            writer.write([make_map_record(base, n) for n in range(first, first + 40)])
        writer.flush()
        now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        writer.close()
        assert peak < 40 * 24_000 * 12, peak
        return now

    for mode in ("all", "worst"):
        few, many = grown(200, mode), grown(2000, mode)
        assert many - few < 1800 * 250, (few, many)  # bytes an id and its place in the set


def make_map_record(base: Any, number: int) -> Any:
    sample_id = f"{number:08d}"
    return replace(
        base,
        sample_id=sample_id,
        sample={**base.sample, "sample_id": sample_id, "mepe": float(number % 97)},
        joints=[{**row, "sample_id": sample_id} for row in base.joints],
        relations=(),
        maps=np.full((2, 64, 48), 0.5, np.float32),
        display=None,
    )
