"""What a second writer does with a work dir that holds something."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from store_samples import IDENTITY, make_record

from poseig_mm.errors import StoreError
from poseig_mm.store import Store, StoreWriter
from poseig_mm.types import Failure


def write_run(path: Path, *batches: tuple[str, ...], rank: int = 0, resume: bool = False, **options: object) -> None:
    with StoreWriter(path, rank=rank, identity=IDENTITY, resume=resume, **options) as writer:  # type: ignore[arg-type]
        for batch in batches:
            writer.write([make_record(i) for i in batch])


def test_another_identity_is_refused_with_every_differing_key(tmp_path: Path) -> None:
    """The message names the keys that differ with old and new value, also one that is new, and no equal one."""
    write_run(tmp_path, ("a",))
    with pytest.raises(StoreError) as caught:
        StoreWriter(tmp_path, identity={**IDENTITY, "model": "m2", "seed": "7"}, resume=True)
    text = str(caught.value)
    assert "model: was 'm1', now 'm2'" in text
    assert "seed: was None, now '7'" in text
    assert "config:" not in text
    assert Store(tmp_path).sample_ids == ("a",)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"maps": "pooled"}, "store.maps: was 'all', now 'pooled'"),
        ({"dimensions": 3}, "store.dimensions: was 2, now 3"),
        ({"indices": ["x"]}, "store.indices: was [], now ['x']"),
    ],
)
def test_other_store_settings_are_refused(tmp_path: Path, options: dict[str, object], named: str) -> None:
    """Parts of one run have the same columns and the same kind of maps."""
    write_run(tmp_path, ("a",))
    with pytest.raises(StoreError, match="Differing") as caught:
        StoreWriter(tmp_path, identity=IDENTITY, resume=True, **options)  # type: ignore[arg-type]
    assert named in str(caught.value)


def test_results_are_not_overwritten_without_resume(tmp_path: Path) -> None:
    """A work dir with results is refused, and left as it was."""
    write_run(tmp_path, ("a",))
    with pytest.raises(StoreError, match=r"already holds results.*--resume"):
        StoreWriter(tmp_path, identity=IDENTITY)
    assert Store(tmp_path).run["status"] == "complete"


def test_a_run_without_results_starts_anew(tmp_path: Path) -> None:
    """A run that failed before its first batch does not ask for --resume, and leaves nothing behind."""
    with StoreWriter(tmp_path, identity={"model": "wrong"}) as writer:
        writer.record_failure(Failure("sample", "old"))
        writer.write_study("old", [{"a": 1}], replace_all=True)
    write_run(tmp_path, ("a",))
    store = Store(tmp_path)
    assert store.failures == ()
    assert store.studies == ()
    assert store.run["identity"] == IDENTITY


def test_temporary_files_are_cleaned(tmp_path: Path) -> None:
    """Also those of a file that will not be written again; files of other people stay."""
    write_run(tmp_path, ("a",))
    left = [tmp_path / "maps" / ".part-r000-00001.safetensors.tmp", tmp_path / "studies/w/.part-r000-all.parquet.tmp"]
    left[1].parent.mkdir()
    mine = tmp_path / "maps" / "notes.txt"
    for path in (*left, mine):
        path.write_text("")
    write_run(tmp_path, resume=True)
    assert [path.exists() for path in (*left, mine)] == [False, False, True]


def test_resume_in_an_empty_directory_begins(tmp_path: Path) -> None:
    """--resume may always be given, also the first time."""
    write_run(tmp_path / "new" / "run", ("a",), resume=True)
    assert Store(tmp_path / "new" / "run").sample_ids == ("a",)


def test_results_without_run_json_are_not_resumed(tmp_path: Path) -> None:
    """Nobody knows whose they are."""
    write_run(tmp_path, ("a",))
    (tmp_path / "run.json").unlink()
    with pytest.raises(StoreError, match=r"run\.json is missing"):
        StoreWriter(tmp_path, identity=IDENTITY, resume=True)


def test_run_json_that_is_not_json(tmp_path: Path) -> None:
    """Reader and resuming writer say which file is damaged."""
    write_run(tmp_path, ("a",))
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(StoreError, match=r"run\.json"):
        StoreWriter(tmp_path, identity=IDENTITY, resume=True)
    with pytest.raises(StoreError, match=r"run\.json"):
        Store(tmp_path)


def test_a_done_sample_is_not_written_again(tmp_path: Path) -> None:
    """A row can't come in twice, neither from a resumed run nor within one batch."""
    write_run(tmp_path, ("a",))
    with StoreWriter(tmp_path, identity=IDENTITY, resume=True) as writer:
        assert writer.done == {"a"}
        with pytest.raises(StoreError, match="'a' would be written twice"):
            writer.write([make_record("a")])
        with pytest.raises(StoreError, match="'b' would be written twice"):
            writer.write([make_record("b"), make_record("b")])
        writer.write([make_record("b")])
    assert Store(tmp_path).samples()["sample_id"].to_list() == ["a", "b"]


@pytest.mark.parametrize("table", ["samples", "joints", "relations", "maps"])
def test_a_truncated_file_makes_its_part_absent(tmp_path: Path, table: str) -> None:
    """A part one of whose files is cut off does not count: the reader leaves it out and says so, a resuming writer
    records it and has its samples computed again."""
    write_run(tmp_path, ("a", "b"), ("c",))
    suffix = "safetensors" if table == "maps" else "parquet"
    damaged = tmp_path / table / f"part-r000-00000.{suffix}"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    store = Store(tmp_path)
    assert store.sample_ids == ("c",)
    assert set(store.joints()["sample_id"]) == set(store.relations()["sample_id"]) == {"c"}
    assert damaged.name in store.failures[0].message
    write_run(tmp_path, ("a", "b"), resume=True)
    store = Store(tmp_path)
    assert sorted(store.sample_ids) == ["a", "b", "c"]
    assert len(store.joints()) == 9
    assert len(store.failures) == store.run["failure_counts"]["total"] == 1
    assert damaged.name in store.run["failures"][0]["message"]


def test_a_changed_byte_in_a_table_is_found(tmp_path: Path) -> None:
    """Same size, other content: the checksum tells."""
    write_run(tmp_path, ("a",))
    path = tmp_path / "joints" / "part-r000-00000.parquet"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    assert len(Store(tmp_path)) == 0
    assert "content" in Store(tmp_path).failures[0].message


def test_deleted_maps_do_not_take_the_rows_along(tmp_path: Path) -> None:
    """maps/ and displays/ may be deleted to save space; a missing joints file may not."""
    write_run(tmp_path, ("a",), ("b",))
    for name in ("maps/part-r000-00000.safetensors", "displays/part-r000-00000.safetensors"):
        (tmp_path / name).unlink()
    store = Store(tmp_path)
    assert store.sample_ids == ("a", "b")
    assert store.map("a") is None
    assert store.display("a") is None
    assert store.map("b") is not None
    assert store.failures == ()
    (tmp_path / "joints" / "part-r000-00001.parquet").unlink()
    assert Store(tmp_path).sample_ids == ("a",)


def test_ranks_are_read_as_one_and_resumed_with_another_number(tmp_path: Path) -> None:
    """Three ranks write; one alone goes on, knows all that is done, and numbers its parts after its own."""
    write_run(tmp_path, ("a",), ("b",))
    for rank, batch in ((1, ("c", "d")), (2, ("e",))):
        with StoreWriter(tmp_path, rank=rank, identity=IDENTITY, resume=True) as writer:
            writer.record_failure(Failure("sample", f"of rank {rank}"))
            writer.write([make_record(i) for i in batch])
    (tmp_path / "joints" / "part-r002-00007.parquet").write_bytes(b"left over")
    with StoreWriter(tmp_path, identity=IDENTITY, resume=True) as writer:
        assert writer.done == set("abcde")
        writer.write([make_record("f")])
    store = Store(tmp_path)
    assert store.sample_ids == ("a", "b", "f", "c", "d", "e")
    assert store.joints()["sample_id"].unique(maintain_order=True).to_list() == list(store.sample_ids)
    assert sorted(p.name for p in (tmp_path / "samples").iterdir()) == [
        *(f"part-r000-0000{n}.parquet" for n in range(3)),
        "part-r001-00000.parquet",
        "part-r002-00000.parquet",
    ]
    assert not (tmp_path / "joints" / "part-r002-00007.parquet").exists()
    assert {f.message for f in store.failures} == {"of rank 1", "of rank 2"}
    assert store.run["counts"]["persons"] == 6


def test_ranks_at_work_are_not_in_each_others_way(tmp_path: Path) -> None:
    """A rank that opens late takes neither the parts nor the unfinished files of a living one for left-overs."""
    late = tmp_path / "joints" / "part-r001-00001.parquet"
    with StoreWriter(tmp_path, rank=1, identity=IDENTITY) as one:
        one.write([make_record("a")])
        one.flush()
        late.write_bytes(b"being written by rank 1")
        with StoreWriter(tmp_path, rank=0, identity=IDENTITY) as zero:
            assert late.exists()
            zero.write([make_record("b")])
    assert Store(tmp_path).sample_ids == ("b", "a")


def test_a_sample_of_two_ranks_counts_once(tmp_path: Path) -> None:
    """Samplers that pad give a sample to two ranks; tables, studies and maps hold it once."""
    with (
        StoreWriter(tmp_path, rank=0, identity=IDENTITY) as zero,
        StoreWriter(tmp_path, rank=1, identity=IDENTITY) as one,
    ):
        for writer, ids in ((zero, "ab"), (one, "bc")):
            writer.write_study("st", [{"sample_id": i, "rank": writer.rank} for i in ids])
            writer.write([make_record(i) for i in ids])
    store = Store(tmp_path)
    assert store.sample_ids == ("a", "b", "c")
    for table in (store.joints(), store.samples(), store.relations()):
        assert table["sample_id"].unique(maintain_order=True).to_list() == ["a", "b", "c"]
    assert len(store.joints()) == len(store.relations()) == 9
    assert store.study("st").rows() == [("a", 0), ("b", 0), ("c", 1)]


def test_failures_of_samples_that_are_tried_again_are_forgotten(tmp_path: Path) -> None:
    """Resuming keeps the failures of the run and of samples with rows, and does not pile up the same ones."""
    for resume in (False, True, True):
        with StoreWriter(tmp_path, identity=IDENTITY, resume=resume) as writer:
            writer.record_failure(Failure("plugin", "of no sample", plugin="p"))
            if not resume:
                writer.record_failure(Failure("index", "row is there", sample_id="a"))
                writer.record_failure(Failure("sample", "was tried again, and works now", sample_id="b"))
            writer.write([make_record("b" if resume else "a")] if "b" not in writer.done else [])
            writer.record_failure(Failure("sample", "fails again", sample_id="c"))
    messages = sorted(f.message for f in Store(tmp_path).failures)
    assert messages == ["fails again", "of no sample", "row is there"]
    assert Store(tmp_path).run["failure_counts"]["total"] == 3
    assert Store(tmp_path).run["counts"] == {"persons": 2, "joints": 4, "skipped": 0, "failed": 1}


def test_a_failure_line_torn_by_a_kill(tmp_path: Path) -> None:
    """The torn line is passed over; the next one begins on a line of its own."""
    with StoreWriter(tmp_path, identity=IDENTITY) as writer:
        writer.record_failure(Failure("sample", "first"))
        with (tmp_path / "failures.jsonl").open("a") as file:
            file.write('{"stage": "sam')
        writer.record_failure(Failure("sample", "second"))
    assert [f.message for f in Store(tmp_path).failures] == ["first", "second"]


def test_two_writers_of_one_rank(tmp_path: Path) -> None:
    """The second is refused and told who has it, in the same process as in another; closing frees it."""
    code = f"from poseig_mm.store import StoreWriter; StoreWriter({str(tmp_path)!r}, identity={IDENTITY}, resume=True)"
    with StoreWriter(tmp_path, identity=IDENTITY):
        with pytest.raises(StoreError, match=f"another process is writing.*pid: {os.getpid()}"):
            StoreWriter(tmp_path, identity=IDENTITY, resume=True)
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert other.returncode == 1
        assert f"pid: {os.getpid()}" in other.stderr
        StoreWriter(tmp_path, rank=1, identity=IDENTITY, resume=True).close()
    StoreWriter(tmp_path, identity=IDENTITY, resume=True).close()


def test_a_worker_that_outlives_the_writer_does_not_keep_the_lock(tmp_path: Path) -> None:
    """Data loader workers are forked from the process that writes."""
    code = (
        "import os, sys, time\nfrom poseig_mm.store import StoreWriter\n"
        f"writer = StoreWriter({str(tmp_path)!r}, identity={IDENTITY})\n"
        "pid = os.fork()\n"
        "if pid == 0:\n    os.close(1); os.close(2); time.sleep(600); os._exit(0)\n"
        "print(pid, flush=True)\nos.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    worker = int(done.stdout)
    try:
        os.kill(worker, 0)  # it lives
        StoreWriter(tmp_path, identity=IDENTITY, resume=True).close()
    finally:
        os.kill(worker, 9)


def no_locks(descriptor: int, operation: int) -> None:
    """What `flock` says on some network file systems."""
    raise OSError(errno.ENOTSUP, "no locks here")


def test_lock_where_the_file_system_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without flock a file with the holder's pid decides: it is free once that process is gone, but not if it may live
    on another host.
    """
    monkeypatch.setattr("fcntl.flock", no_locks)
    with StoreWriter(tmp_path, identity=IDENTITY), pytest.raises(StoreError, match=f"another.*{os.getpid()}"):
        StoreWriter(tmp_path, identity=IDENTITY)
    code = (
        "import errno, fcntl, os\nfrom poseig_mm.store import StoreWriter\n"
        "def no_locks(descriptor, operation): raise OSError(errno.ENOTSUP, 'no locks here')\n"
        f"fcntl.flock = no_locks\nwriter = StoreWriter({str(tmp_path)!r}, identity={IDENTITY}, resume=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False, timeout=300)
    (left,) = tmp_path.glob(".lock-r000.soft")
    StoreWriter(tmp_path, identity=IDENTITY, resume=True).close()
    subprocess.run([sys.executable, "-c", code], check=False, timeout=300)
    left.write_text(left.read_text().replace(socket.gethostname(), "elsewhere"))
    with pytest.raises(StoreError, match=r"another process is writing.*elsewhere"):
        StoreWriter(tmp_path, identity=IDENTITY, resume=True)
