"""Files of a work dir that were edited, or come from somebody else: a StoreError or a failure, never another error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from store_samples import IDENTITY, make_record

from poseig_mm.errors import StoreError
from poseig_mm.store import Store, StoreWriter
from poseig_mm.store.parts import file_entry
from poseig_mm.types import Failure

KEYPOINTS = {"names": ["a", "b"], "groups": ["x", "y"], "parents": [-1, 0], "skeleton": [[0, 1]]}
MANIFEST = "poseig_mm.part"
ODD_LINE = "lines in failures.jsonl that are no failures, and are passed over: 1"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Of two parts, a study, and a failure."""
    path = tmp_path / "run"
    with StoreWriter(path, identity=IDENTITY, indices=("di",)) as writer:
        writer.update_run(keypoints=KEYPOINTS, timings={"total": 1.0})
        for name in ("a", "b"):
            writer.write([make_record(name, indices=("di",))])
        writer.write_study("toy", [{"group": "x", "mean": 0.5}], replace_all=True)
        writer.record_failure(Failure("index", "it broke"))
    return path


def edit(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """run.json."""
    content = json.loads((run / "run.json").read_text())
    change(content)
    (run / "run.json").write_text(json.dumps(content))


@pytest.mark.parametrize("key", ["store", "identity", "counts", "model", "dataset", "timings", "settings", "versions"])
@pytest.mark.parametrize("value", ["x", [1], 3])
def test_what_is_an_object_stays_one(run: Path, key: str, value: Any) -> None:
    """The key is named, with what was got and expected."""
    edit(run, lambda content: content.update({key: value}))
    with pytest.raises(StoreError, match=rf"run\.json: '{key}' is .*; expected an object; restore it"):
        Store(run)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("indices", [3]), ("indices", [{}]), ("indices", {"name": "di"}), ("notes", [{}]), ("plugins", ["x"])),
        *(("resumes", "x"), ("resumes", 1.5), ("keypoints", [])),
        *(("keypoints", {**KEYPOINTS, name: value})  # type: ignore[misc]
          for name in KEYPOINTS for value in (None, "ab", [0], [[0]], [["a", "b"]], [[0, 2]])),
        *(("keypoints", {**KEYPOINTS, "sigmas": value}) for value in ("x", ["0.1"], [None])),
        *(("keypoints", {**KEYPOINTS, "parents": value}) for value in ([-2, 0], [-1, 2], [-1, 0.0], [-1])),
    ],
)  # fmt: skip
def test_what_readers_rely_on_is_checked(run: Path, key: str, value: Any) -> None:
    """Also that joints fit together."""
    edit(run, lambda content: content.update({key: value}))
    with pytest.raises(StoreError, match=rf"'{key}' is "):
        Store(run)


def test_names_of_columns_are_texts(run: Path) -> None:
    """Those of the tables."""
    edit(run, lambda content: content["store"].update(indices=[["di"]]))
    with pytest.raises(StoreError, match=r"'store.indices' is .*expected a list of texts"):
        Store(run)


@pytest.mark.parametrize("key", ["store", "identity", "counts", "indices", "keypoints", "resumes", "timings", "model"])
def test_null_is_missing(run: Path, key: str) -> None:
    """The run can be read; `groups` are None where there are no keypoints."""
    edit(run, lambda content: content.update({key: None}))
    assert len(Store(run)) == 2
    assert (Store(run).groups is None) == (key == "keypoints")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 100_000, '{"identity": ' + "[" * 100_000])
def test_a_tree_too_deep_for_python(run: Path, text: str) -> None:
    """In run.json an error; a line of failures.jsonl is passed over."""
    with (run / "failures.jsonl").open("a") as file:
        file.write(f"{text}\n")
    assert [f.message for f in Store(run).failures if f.message != ODD_LINE] == ["it broke"]
    (run / "run.json").write_text(text)
    with pytest.raises(StoreError, match=r"cannot read .*run\.json"):
        Store(run)


def test_not_a_number_in_run_json(run: Path) -> None:
    """JSON knows none: it is null, and the run can be resumed."""
    edit(run, lambda content: content.update(timings={"total": float("nan")}, extra=[float("inf")]))
    with StoreWriter(run, identity=IDENTITY, indices=("di",), resume=True) as writer:
        assert writer.run["timings"] == {"total": None}
        assert sorted(writer.done) == ["a", "b"]


@pytest.mark.parametrize("line", [{"stage": ["x"]}, {"message": None}, {"error": {}}, {"sample_id": 3}, {"more": "x"}])
def test_failures_are_texts(run: Path, line: dict[str, Any]) -> None:
    """A line of something else is passed over, and counted."""
    with (run / "failures.jsonl").open("a") as file:
        file.write(json.dumps({"stage": "x", "message": "y", **line}) + "\n")
    assert [f.message for f in Store(run).failures] == ["it broke", ODD_LINE]


def vouched(run: Path, path: Path) -> None:
    """The manifest says of a changed file what is true of it."""
    samples = run / "samples" / path.name
    manifest = json.loads(pl.read_parquet_metadata(samples)[MANIFEST])
    manifest["files"][path.relative_to(run).as_posix()] = file_entry(path.read_bytes())
    pl.read_parquet(samples).write_parquet(samples, metadata={MANIFEST: json.dumps(manifest)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop("di"), "it has no column 'di'"),
        (lambda frame: frame.rename({"epe": "x"}), "it has no column 'epe'"),
        (lambda frame: frame.with_columns(joint=pl.lit("x")), "column 'joint' is of type String; expected Int32"),
        (lambda frame: frame.with_columns(epe=pl.lit([1.0])), r"column 'epe' is of type List\(Float64\)"),
    ],
)
def test_a_table_of_other_columns(run: Path, change: Any, message: str) -> None:
    """The part is named, and what takes it back."""
    path = run / "joints" / "part-r000-00001.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    vouched(run, path)
    with pytest.raises(StoreError, match=rf"part-r000-00001\.parquet: .*{message}.*delete .*samples.*--resume"):
        Store(run).joints()
    assert len(Store(run).samples()) == 2


def test_a_table_that_is_damaged_and_vouched_for(run: Path) -> None:
    """Polars may panic on it."""
    path = run / "joints" / "part-r000-00000.parquet"
    content = bytearray(path.read_bytes())
    for i in range(len(content) - 200, len(content) - 12, 3):
        content[i] ^= 0xFF
    path.write_bytes(content)
    vouched(run, path)
    with pytest.raises(StoreError, match=r"cannot read .*part-r000-00000\.parquet"):
        Store(run).joints()


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.with_columns(sample_id=pl.lit([1])),
        lambda frame: frame.with_columns(n_visible=pl.lit("x")),
        lambda frame: frame.with_columns(mepe=pl.lit(None, dtype=pl.Float64)),
        lambda frame: frame.with_columns(maps_file=pl.lit(3)),
        lambda frame: frame.drop("mepe"),
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_samples_of_other_columns_do_not_count(run: Path, change: Any, resume: bool) -> None:
    """A failure, and its person is computed again."""
    path = run / "samples" / "part-r000-00000.parquet"
    change(pl.read_parquet(path)).write_parquet(path, metadata=pl.read_parquet_metadata(path))
    assert Store(run).sample_ids == ("b",)
    assert any("part-r000-00000 does not count" in f.message for f in Store(run).failures)
    if resume:
        with StoreWriter(run, identity=IDENTITY, indices=("di",), resume=True) as writer:
            assert sorted(writer.done) == ["b"]


@pytest.mark.parametrize("manifest", [{}, [], {"files": []}, {"files": {"x": 3}}, {"files": {"x": [1e999, 2]}}, None])
def test_a_manifest_of_another_shape_does_not_count(run: Path, manifest: Any) -> None:
    """Whatever stands in its place."""
    path = run / "samples" / "part-r000-00000.parquet"
    pl.read_parquet(path).write_parquet(path, metadata={MANIFEST: json.dumps(manifest)})
    assert Store(run).sample_ids == ("b",)


def test_a_study_that_is_damaged(run: Path) -> None:
    """Its head can be read, and its rows cannot."""
    path = run / "studies" / "toy" / "part-r000-all.parquet"
    content = bytearray(path.read_bytes())
    content[4:40] = b"\xff" * 36
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"cannot read .*toy.*delete it, and --resume"):
        Store(run).study("toy")


def test_the_copy_of_the_config_is_not_run(run: Path, tmp_path: Path) -> None:
    """Opened, resumed, reported and compared: it is Python, and nobody asked for it."""
    from poseig_mm.comparison.compare import compare
    from poseig_mm.report.build import build_report
    from poseig_mm.report.plugin import poseig_report_sections

    mark = tmp_path / "ran"
    (run / "config.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    with StoreWriter(run, identity=IDENTITY, indices=("di",), resume=True):
        pass
    store = Store(run)
    build_report(store, poseig_report_sections(store, {}))  # type: ignore[arg-type]
    compare([run, run], tmp_path / "comparison")
    assert not mark.exists()
    exec((run / "config.py").read_text())
    assert mark.exists()
