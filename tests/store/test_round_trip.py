"""What is written is what is read."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import IDENTITY, NAN, joint_row, make_record

from poseig_mm.errors import ConfigError, StoreError
from poseig_mm.store import SampleRecord, Store, StoreWriter, joints_schema, rows_to_frame
from poseig_mm.types import Failure, JointGroups

FIXED = [
    *(
        "sample_id",
        "image_id",
        "instance_id",
        "joint",
        "joint_name",
        "group",
        "visible",
        "gt_x",
        "gt_y",
        "pred_x",
        "pred_y",
    ),
    *("epe", "epe_soft", "unit", "reason", "target_start", "target_end", "residual", "residual_rel"),
    *("map_error", "converged", "evaluations"),
]


def test_store_loads_no_torch() -> None:
    """The report and `--help` pay for imports."""
    code = "import sys, poseig_mm.store; sys.exit('torch' in sys.modules or 'mmengine' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_columns_of_joints(tmp_path: Path) -> None:
    """The fixed names in their fixed order; z only in 3D; an index after unit; Float64 numbers, no nulls."""
    assert list(joints_schema()) == FIXED
    three = list(joints_schema(3, ["mine"]))
    assert [c for c in three if c not in FIXED] == ["gt_z", "pred_z", "mine"]
    assert three.index("gt_z") == three.index("gt_y") + 1
    assert three.index("mine") == three.index("unit") + 1 == three.index("reason") - 1
    with StoreWriter(tmp_path, identity=IDENTITY, dimensions=3, indices=["mine"]) as writer:
        writer.write([make_record("a", dimensions=3, indices=["mine"])])
    table = Store(tmp_path).joints()
    assert table.columns == three
    assert table.null_count().sum_horizontal().item() == 0
    assert table["mine"].is_nan().to_list() == [False, True, False]


def test_relation_indices(tmp_path: Path) -> None:
    """A relation index is a column after the joints' names."""
    record = make_record("a")
    relations = [{**row, "mine": 2.0 * row["other"]} for row in record.relations]
    with StoreWriter(tmp_path, identity=IDENTITY, relations=["mine"]) as writer:
        with pytest.raises(StoreError, match="`relations`: column 'mine' is missing"):
            writer.write([record])
        writer.write([replace(record, relations=relations)])
    assert Store(tmp_path).relations()["other", "mine"].rows() == [(0, 0.0), (1, 2.0), (2, 4.0)]
    with pytest.raises(StoreError, match="name of another column of `relations`"):
        StoreWriter(tmp_path, identity=IDENTITY, relations=["other"])


def test_an_index_with_the_name_of_a_column() -> None:
    """It would overwrite what is there."""
    for names in (["epe"], ["x", "x"], ["residual"]):
        with pytest.raises(StoreError, match="name of another column"):
            joints_schema(2, names)


finite = st.floats(allow_nan=True, allow_infinity=True)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    kinds: dict[Any, st.SearchStrategy[Any]] = {
        pl.Float64(): finite | st.integers(-9, 9) | finite.map(np.float64),
        pl.Int32(): st.integers(-(2**31), 2**31 - 1) | st.integers(0, 9).map(np.int64),
        pl.Boolean(): st.booleans() | st.booleans().map(np.bool_),
        pl.String(): text,
    }
    return {name: draw(kinds[kind]) for name, kind in joints_schema().items()}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(rows(), min_size=1, max_size=3))
def test_rows_come_back_as_they_were(rows: list[dict[str, Any]]) -> None:
    """Any row that fits the schema, through Parquet bytes: NaN stays NaN, text and order stay."""
    import io

    from poseig_mm.store.parts import encode_table

    frame = pl.read_parquet(io.BytesIO(encode_table(rows_to_frame("joints", rows, joints_schema()))))
    assert frame.schema == joints_schema()
    for got, row in zip(frame.iter_rows(named=True), rows, strict=True):
        for name, value in row.items():
            assert got[name] == value or (math.isnan(got[name]) and math.isnan(value))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(text.filter(lambda t: t != "__metadata__"), min_size=1, max_size=5, unique=True))
def test_any_sample_id(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    """Ids are keys of maps and pictures too: spaces, slashes, quotes, the empty one."""
    path = tmp_path_factory.mktemp("ids [*]")
    with StoreWriter(path, identity=IDENTITY) as writer:
        writer.write([make_record(i) for i in ids])
    store = Store(path)
    assert list(store.sample_ids) == ids == store.joints()["sample_id"].unique(maintain_order=True).to_list()
    for i in ids:
        expected = make_record(i)
        found, picture = store.map(i), store.display(i)
        assert found is not None
        assert expected.maps is not None
        np.testing.assert_allclose(found, expected.maps, rtol=5e-4)
        np.testing.assert_array_equal(picture, expected.display)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"epe": None}, "column 'epe': expected Float64, got NoneType"),
        ({"epe": True}, "column 'epe'"),
        ({"epe": "1"}, "column 'epe'"),
        ({"joint": 1.5}, "column 'joint': expected Int32"),
        ({"joint": 2**31}, "column 'joint'"),
        ({"visible": 1}, "column 'visible': expected Boolean"),
        ({"reason": None}, "column 'reason': expected String"),
        ({"reason": "\udc80"}, "column 'reason'"),
        ({"mine": 1.0}, "unknown column 'mine'"),
        ({"epe": ...}, "column 'epe' is missing"),
        ({"sample_id": "b"}, "sample 'a' has a row whose sample_id is 'b'"),
    ],
)
def test_a_row_that_does_not_fit_names_the_column(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    """It is refused at once, and the writer goes on."""
    row = {k: v for k, v in (joint_row("a", 0) | change).items() if v is not ...}
    with StoreWriter(tmp_path, identity=IDENTITY) as writer:
        with pytest.raises(StoreError) as caught:
            writer.write([replace(make_record("a"), joints=[row])])
        assert named in str(caught.value)
        writer.write([make_record("a")])
    assert len(Store(tmp_path)) == 1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"maps": np.zeros((3, 8))}, r"maps of sample 'a'.*\(K, H, W\).*got float64 \(3, 8\)"),
        ({"maps": np.zeros((3, 8, 6), int)}, "maps of sample 'a'.*got int64"),
        ({"maps": [[0.0]]}, "got list"),
        ({"display": np.zeros((8, 6, 3))}, "display of sample 'a'.*uint8"),
        ({"display": np.zeros((8, 6), np.uint8)}, "display of sample 'a'"),
    ],
)
def test_arrays_of_another_kind(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    """Shape and type are checked before anything is written."""
    with StoreWriter(tmp_path, identity=IDENTITY) as writer, pytest.raises(StoreError, match=named):
        writer.write([replace(make_record("a"), **change)])


def test_accuracy_of_float16_maps(tmp_path: Path) -> None:
    """Half precision keeps a map in [0, 1] to 2^-11 of each value (2^-25 below 6e-5), and NaN is NaN; float32 is
    exact.
    """
    values = np.concatenate([np.geomspace(1e-9, 1, 59), [0.0]]).astype(np.float32).reshape(1, 6, 10)
    maps = np.concatenate([values, np.full_like(values, NAN)])
    for dtype in ("float16", "float32"):
        with StoreWriter(tmp_path / dtype, identity=IDENTITY, maps_dtype=dtype) as writer:
            writer.write([replace(make_record("a"), maps=maps[:, ::-1])])  # not contiguous
        found = Store(tmp_path / dtype).map("a")
        assert found is not None
        assert found.dtype == np.float32
        assert np.isnan(found[1]).all()
        if dtype == "float32":
            np.testing.assert_array_equal(found, maps[:, ::-1])
        else:
            np.testing.assert_allclose(found[0], values[0, ::-1], rtol=2**-11, atol=2**-25)
            assert (tmp_path / dtype / "maps" / "part-r000-00000.safetensors").stat().st_size < 2 * maps.size + 200


def test_pooled_maps(tmp_path: Path) -> None:
    """Each 4 x 4 block is its mean, blocks at the edge the mean of what they have; run.json says the factor."""
    record = make_record("a", size=(8, 6))
    with StoreWriter(tmp_path, identity=IDENTITY, maps="pooled", maps_dtype="float32") as writer:
        writer.write([record])
    store = Store(tmp_path)
    found = store.map("a")
    assert found is not None
    assert record.maps is not None
    assert found.shape == (3, 2, 2)
    np.testing.assert_allclose(found[0, 0, 0], record.maps[0, :4, :4].mean(), rtol=1e-6)
    np.testing.assert_allclose(found[2, 1, 1], record.maps[2, 4:, 4:].mean(), rtol=1e-6)
    assert np.isnan(found[1]).all()
    assert store.run["store"]["pool_factor"] == 4


def test_worst_keeps_the_maps_of_largest_error(tmp_path: Path) -> None:
    """Over batches and a resume, files beyond the N worst are deleted, pictures too; NaN goes first; rows all stay."""
    errors = {"a": 3.0, "b": 9.0, "c": NAN, "d": 5.0, "e": 1.0, "f": 7.0, "g": 8.0, "h": 2.0}
    ids = list(errors)
    for resume, part in ((False, ids[:4]), (True, ids[4:])):
        with StoreWriter(tmp_path, identity=IDENTITY, maps="worst", worst=3, resume=resume) as writer:
            for i in part:
                writer.write([make_record(i, mepe=errors[i])])
                writer.flush()
                assert len(list((tmp_path / "maps").iterdir())) <= 3
                assert len(writer._policy._kept) <= 3
    store = Store(tmp_path)
    assert [i for i in ids if store.map(i) is not None] == ["b", "f", "g"]
    assert [i for i in ids if store.display(i) is not None] == ["b", "f", "g"]
    assert len(list((tmp_path / "maps").iterdir())) == len(list((tmp_path / "displays").iterdir())) == 3
    assert len(store.joints()) == 24
    assert store.has_maps


def test_no_maps(tmp_path: Path) -> None:
    """`none` stores rows and pictures; samples without maps are fine in `all` too."""
    with StoreWriter(tmp_path / "none", identity=IDENTITY, maps="none") as writer:
        writer.write([make_record("a")])
    store = Store(tmp_path / "none")
    assert not store.has_maps
    assert store.map("a") is None
    assert store.display("a") is not None
    with StoreWriter(tmp_path / "all", identity=IDENTITY) as writer:
        writer.write([replace(make_record("a"), maps=None, display=None), make_record("b")])
    store = Store(tmp_path / "all")
    assert store.map("a") is None
    assert store.display("a") is None
    assert store.map("b") is not None
    assert store.samples()["maps_file"].to_list() == [None, "maps/part-r000-00000.safetensors"]


@pytest.mark.parametrize("options", [{"maps": "wurst"}, {"maps": "worst", "worst": 0}, {"maps_dtype": "int8"}])
def test_unknown_options(tmp_path: Path, options: dict[str, Any]) -> None:
    """An unknown option is an error before anything is created."""
    with pytest.raises(ConfigError):
        StoreWriter(tmp_path / "x", identity=IDENTITY, **options)
    assert not (tmp_path / "x").exists()


def test_empty_store(tmp_path: Path) -> None:
    """A run without samples has tables with all columns and no row."""
    StoreWriter(tmp_path, identity=IDENTITY).close()
    store = Store(tmp_path)
    assert list(store.joints().schema.items()) == list(joints_schema().items())
    assert len(store.samples()) == len(store.relations()) == len(store) == 0
    assert not store.has_maps
    assert store.groups is None


def test_a_directory_that_is_no_store(tmp_path: Path) -> None:
    """The reader says what it expected; so does asking for what is not there."""
    with pytest.raises(StoreError, match=r"expected run\.json"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="not a directory"):
        Store(tmp_path / "absent")
    with StoreWriter(tmp_path, identity=IDENTITY) as writer:
        writer.write_study("errors", [{"a": 1}], replace_all=True)
    with pytest.raises(StoreError, match="did you mean 'errors'"):
        Store(tmp_path).study("error")
    with pytest.raises(StoreError, match="no sample 'a'"):
        Store(tmp_path).map("a")


def test_studies(tmp_path: Path) -> None:
    """Rows of samples go with their batch, in one file; rows of a sample that was not written are dropped; a whole
    study is replaced by its next version; types widen over parts."""
    with StoreWriter(tmp_path, identity=IDENTITY) as writer:
        writer.write_study("s", [{"sample_id": "a", "x": np.int64(1)}])
        writer.write_study("s", [{"sample_id": "failed", "x": 5}])
        writer.write([make_record("a")])
        writer.write_study("s", [{"sample_id": "b", "x": 2.5, "y": "t"}])
        writer.write_study("empty", [])
        writer.write([make_record("b")])
        writer.write_study("s", [{"sample_id": "never written", "x": 5}])
        for n in (1, 2):
            writer.write_study("w", pl.DataFrame({"n": [n]}), replace_all=True)
        for bad in ("../x", "", ".x", "a/b"):
            with pytest.raises(StoreError, match="study name"):
                writer.write_study(bad, [])
        for values in ((1, "x"), (True, 1), (1.5, True), ("x", None, 2)):
            with pytest.raises(StoreError, match="study 'm', column 'a'"):
                writer.write_study("m", [{"a": value} for value in values], replace_all=True)
    store = Store(tmp_path)
    assert store.studies == ("m", "s", "w")
    assert store.study("m").rows() == [("x",), (None,)]  # of the last; the rows that fit are kept
    assert store.study("s").rows() == [("a", 1.0, None), ("b", 2.5, "t")]
    assert store.study("w").rows() == [(2,)]
    assert len(list((tmp_path / "studies" / "s").iterdir())) == 2
    with StoreWriter(tmp_path, identity=IDENTITY, resume=True) as writer:
        writer.write_study("w", [], replace_all=True)
    assert Store(tmp_path).studies == ("m", "s")
    path = tmp_path / "studies" / "w" / "part-r000-all.parquet"
    path.write_bytes(b"PAR1 damaged")
    assert Store(tmp_path).studies == ("m", "s")
    assert "study 'w'" in Store(tmp_path).failures[0].message


def test_run_json(tmp_path: Path) -> None:
    """Defaults are all there; later values win at the top level; what JSON lacks is converted; the store keeps its
    keys.
    """
    with StoreWriter(tmp_path, identity=IDENTITY) as writer:
        early = Store(tmp_path).run
        assert early["status"] == "running"
        writer.update_run(
            versions={"numpy": np.__version__}, seeds={"a": np.int64(3)}, peak_memory={"ram": np.float32("inf")}
        )
        writer.update_run(seeds={"b": (1, Path("x"))}, counts={"persons": 99, "asked": 7}, timings={"total": NAN})
        writer.write([make_record("a"), make_record("ü", joints=1)])
        for key in ("identity", "failures", "store"):
            with pytest.raises(StoreError, match=f"'{key}' is kept by the store"):
                writer.update_run(**{key: 1})
        with pytest.raises(StoreError, match="unknown status 'fine'"):
            writer.update_run(status="fine")
        writer.close("interrupted", notes=["n"])
    run = Store(tmp_path).run
    assert early.keys() >= {
        *("status", "versions", "config_hash", "identity", "plugins", "seeds", "counts", "failures", "timings"),
        "peak_memory",
    }
    assert run["status"] == "interrupted"
    assert run["seeds"] == {"b": [1, "x"]}
    assert run["peak_memory"] == {"ram": None}
    assert run["timings"] == {"total": None}
    assert run["counts"] == {"persons": 2, "joints": 2, "skipped": 1, "failed": 0, "asked": 7}
    assert run["notes"] == ["n"]
    with StoreWriter(tmp_path, identity=IDENTITY, resume=True) as writer:
        assert writer.run["seeds"] == run["seeds"]
        assert writer.run["status"] == "running"


def test_many_failures_stay_readable(tmp_path: Path) -> None:
    """run.json holds the first thousand and the counts by stage; the reader has all."""
    with StoreWriter(tmp_path, identity=IDENTITY) as writer:
        for n in range(1005):
            writer._run_file._note(Failure("sample", str(n)))  # as record_failure, without 1005 flushes
        writer.record_failure(Failure("index", "last\nline", sample_id="a"))
    store = Store(tmp_path)
    assert len(store.run["failures"]) == 1000
    assert store.run["failure_counts"] == {"total": 1006, "by_stage": {"index": 1, "sample": 1005}}
    assert store.failures == (Failure("index", "last\nline", sample_id="a"),)


def test_groups(tmp_path: Path) -> None:
    """Joint names, groups and chain come back from run.json."""
    with StoreWriter(tmp_path, identity=IDENTITY) as writer:
        keypoints = {
            "names": ("a", "b"),
            "groups": ("g", ""),
            "parents": (-1, 0),
            "skeleton": ((0, 1),),
            "derived": True,
        }
        writer.update_run(keypoints=keypoints)
    assert Store(tmp_path).groups == JointGroups(("a", "b"), ("g", ""), (-1, 0), (), ((0, 1),), True)


def test_lazy_scan_reads_what_is_asked(tmp_path: Path) -> None:
    """Filters and columns go down to the parts."""
    with StoreWriter(tmp_path, identity=IDENTITY) as writer:
        for i in ("a", "b", "c"):
            writer.write([make_record(i)])
    found = Store(tmp_path).scan_joints().filter(pl.col("sample_id") == "b").select("joint", "visible").collect()
    assert found.rows() == [(0, True), (1, False), (2, True)]


def test_a_reader_keeps_what_it_saw(tmp_path: Path) -> None:
    """A store opened while a run goes on shows the batches committed then."""
    with StoreWriter(tmp_path, identity=IDENTITY) as writer:
        writer.write([make_record("a")])
        writer.flush()
        store = Store(tmp_path)
        writer.write([make_record("b")])
        writer.flush()
        assert len(store.joints()) == 3
        assert len(Store(tmp_path).joints()) == 6


def test_records_are_plain() -> None:
    """Only id, sample row and joint rows are needed."""
    record = SampleRecord("a", {}, [])
    assert record.maps is None
    assert record.relations == ()
