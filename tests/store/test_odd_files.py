"""Files of a work dir that hold something else than was written, and a work dir or a file system that gives out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from store_samples import IDENTITY, make_record

from poseig_mm.errors import StoreError
from poseig_mm.store import Store, StoreWriter
from poseig_mm.store.run_file import read_run
from poseig_mm.types import Failure

KEYS = ("identity", "store", "counts", "versions", "timings", "keypoints", "agreement", "model", "dataset", "settings",
        "plugins", "failures", "indices", "notes", "resumes", "status")  # fmt: skip


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """A finished run of one sample."""
    with StoreWriter(tmp_path / "w", identity=IDENTITY) as writer:
        writer.write([make_record("a")])
    return tmp_path / "w"


@pytest.mark.parametrize("key", KEYS)
def test_null_in_run_json_is_as_if_nothing_stood_there(work_dir: Path, key: str) -> None:
    """Nothing is made of it but what is made of a run.json without that key; reading and resuming go on."""
    path = work_dir / "run.json"
    content = json.loads(path.read_text())
    content.pop(key, None)
    path.write_text(json.dumps(content))
    without = read_run(path)
    path.write_text(json.dumps({**content, key: None}))
    assert read_run(path) == without
    if key == "store":  # nobody knows which columns the tables should have
        with pytest.raises(StoreError, match="no column"):
            Store(work_dir).joints()
    else:
        assert Store(work_dir).joints().height == 3
    if key not in ("identity", "store"):  # without them nobody knows which run it is
        StoreWriter(work_dir, identity=IDENTITY, resume=True).close()
        assert Store(work_dir).run["status"] == "complete"


@pytest.mark.parametrize("key", KEYS)
def test_another_kind_of_value_in_run_json_is_named(work_dir: Path, key: str) -> None:
    """File and key, what it is and what it should be: never a traceback."""
    path = work_dir / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: 0.5}))
    for read in (lambda: Store(work_dir), lambda: StoreWriter(work_dir, identity=IDENTITY, resume=True)):
        with pytest.raises(
            StoreError, match=rf"run\.json: {key!r} is 0\.5; expected (an object|a list|a whole number|a text|names)"
        ):
            read()


ODD = [
    "not json",
    "3",
    "[1, 2]",
    "null",
    '{"stage": "sample"}',
    '{"stage": "sample", "message": "m", "colour": "red"}',
    '{"stage": 3, "message": "m"}',
    '{"stage": "sample", "message": ["m"]}',
    "[" * 100_000,
    "\x00\x01",
]


@pytest.mark.parametrize("line", ODD, ids=range(len(ODD)))
def test_lines_that_are_no_failures_are_counted(tmp_path: Path, line: str) -> None:
    """And said, once, also when the run is resumed; failures before and after them are there, empty lines are none."""
    with StoreWriter(tmp_path, identity=IDENTITY) as writer:
        writer.record_failure(Failure("sample", "first"))
        with (tmp_path / "failures.jsonl").open("a") as file:
            file.write(f"{line}\n\n{line}\n")
        writer.record_failure(Failure("sample", "second"))
    said = "lines in failures.jsonl that are no failures, and are passed over: 2"
    assert [f.message for f in Store(tmp_path).failures] == ["first", "second", said]
    for _ in range(2):
        StoreWriter(tmp_path, identity=IDENTITY, resume=True).close()
        assert sorted(f.message for f in Store(tmp_path).failures) == ["first", said, "second"]


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("again", [True, False], ids=["another in its place", "nothing in its place"])
def test_a_work_dir_that_is_gone_is_not_called_safe(tmp_path: Path, moved: bool, again: bool) -> None:
    """Neither by a batch nor at the end, however it went; and no run ends as complete without what it wrote."""
    for finish in (lambda w: w.write([make_record("b")]) or w.flush(), lambda w: w.close()):
        work_dir = tmp_path / "w"
        writer = StoreWriter(work_dir, identity=IDENTITY)
        writer.write([make_record("a")])
        writer.flush()
        work_dir.rename(tmp_path / "elsewhere") if moved else shutil.rmtree(work_dir)
        if again:
            (work_dir / "samples").mkdir(parents=True)
        with pytest.raises(StoreError, match="was deleted or moved while the run wrote into it") as error:
            finish(writer)
        assert "safe" not in str(error.value)
        writer.close("failed")
        assert not (work_dir / "run.json").exists() or Store(work_dir).run["status"] == "failed"
        for folder in (work_dir, tmp_path / "elsewhere"):
            shutil.rmtree(folder, ignore_errors=True)


def test_a_work_dir_deleted_between_two_checks(tmp_path: Path) -> None:
    """A file whose directory is gone: the message of that file says so."""
    writer = StoreWriter(tmp_path / "w", identity=IDENTITY)
    shutil.rmtree(tmp_path / "w")
    with pytest.raises(StoreError, match=r"failures\.jsonl: its directory is gone") as error:
        writer.record_failure(Failure("sample", "m"))
    assert "safe" not in str(error.value)
    writer._lock.release()


@pytest.fixture
def disk_without_inodes(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for few files."""
    disk = tmp_path / "disk"
    disk.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=50m,nr_inodes=25", "tmpfs", str(disk)]
    if subprocess.run(line, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_without_inodes(disk_without_inodes: Path) -> None:
    """The message does not stop at the megabytes that are free."""
    writer = StoreWriter(disk_without_inodes, identity=IDENTITY)

    def fill() -> None:
        for n in range(20):
            writer.write([make_record(str(n))])
            writer.flush()

    with pytest.raises(StoreError, match="all 25 inodes are in use"):
        fill()
    writer.close("failed")
    assert len(Store(disk_without_inodes)) > 0


@pytest.mark.parametrize(
    ("files", "said"), [((1000, 0), "all 1000 inodes are in use"), ((1000, 3), "MiB free there"), ((0, 0), "MiB free")]
)
def test_what_is_free_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Any, said: str) -> None:
    """A file system that counts no inodes (0 of 0) has not run out of them."""
    found = SimpleNamespace(f_files=files[0], f_favail=files[1], f_bavail=1000, f_frsize=2**20, f_blocks=1, f_bfree=1)
    monkeypatch.setattr("poseig_mm.store.atomic.os.statvfs", lambda path: found)
    monkeypatch.setattr(os, "replace", _full)
    with pytest.raises(StoreError, match=said):
        StoreWriter(tmp_path, identity=IDENTITY)


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")
