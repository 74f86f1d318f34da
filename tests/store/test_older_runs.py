"""Work dirs of earlier versions say less in run.json; they open, are reported and compared as before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from store_samples import make_record
from synthetic_store import COLUMNS, make_store, record

from poseig_mm.comparison import comparison_sections
from poseig_mm.errors import StoreError
from poseig_mm.indices import describe_index
from poseig_mm.indices.builtin import BUILTIN_INDICES
from poseig_mm.store import SAMPLES_SCHEMA, SampleRecord, Store, StoreWriter, batch, joints_schema
from poseig_mm.store.older_runs import filled_in
from poseig_mm.store.schema import LATER
from poseig_mm.summary.measures import Measure, measures


def age(store: Store) -> Store:
    """The same run as version 0.1 wrote it."""
    path = store.path / "run.json"
    run = json.loads(path.read_text())
    del run["store"]["indices"], run["store"]["relations"]
    run["store"] |= {"extra_indices": [], "extra_relations": []}
    run["indices"] = [
        {key: index[key] for key in ("name", "title", "unit", "kind")} | {"title": f"{index['title']} index"}
        for index in map(describe_index, (index() for index in BUILTIN_INDICES))
    ]
    path.write_text(json.dumps(run))
    return Store(store.path)


def test_built_in_indices_are_filled_in_as_they_describe_themselves() -> None:
    """Whatever title an older version wrote; a run that says nothing has all four."""
    described = [describe_index(index()) for index in BUILTIN_INDICES]
    old = [{"name": d["name"], "title": "Other", "unit": "", "kind": d["kind"]} for d in described]
    assert filled_in({"indices": old})["indices"] == described
    assert filled_in({})["indices"] == described
    assert filled_in({"indices": described})["indices"] == described


def test_an_old_run_shows_the_same_measures(tmp_path: Path) -> None:
    """Titles, meanings and values of no preference; and it can be compared with a new one."""
    new = make_store(tmp_path / "new", [record(i) for i in range(3)])
    old = age(make_store(tmp_path / "old", [record(i) for i in range(3)]))
    shown = measures(old, old.joints())
    assert shown == measures(new, new.joints())
    assert shown[2] == Measure("fi", "FI", "", "foreground: 1 no preference for the person, more is more", 1.0)
    titles = [section.title for section in comparison_sections({"new": new, "old": old}, tmp_path / "pictures")]
    assert "Differences between runs" in titles


def test_an_empty_old_run_has_its_columns(tmp_path: Path) -> None:
    """They were in every table."""
    with StoreWriter(tmp_path, identity={}):
        pass
    old = age(Store(tmp_path))
    assert [name for name in old.joints().columns if name in ("di", "fi", "li")] == ["di", "fi", "li"]
    assert old.relations().columns[-1] == "ri"


def test_an_old_run_is_taken_up(tmp_path: Path) -> None:
    """By a writer with the columns that it has."""
    age(make_store(tmp_path, [record(0)]))
    options = {"indices": ["di", "fi", "li"], "relations": ["ri"]}
    with StoreWriter(tmp_path, identity={"model": "abc"}, resume=True, **options) as writer:  # type: ignore[arg-type]
        writer.write([record(1)])
    assert len(Store(tmp_path)) == 2


def test_a_run_begun_without_errors_goes_on_without_them(tmp_path: Path) -> None:
    """Its tables have no such columns: a resumed run adds rows of the same ones; a new run has them."""
    errors = ["map_error_2px", "di_error"]
    with StoreWriter(tmp_path / "old", identity={}, indices=["di"]) as writer:
        writer.write([make_record("a", indices=["di"])])
    with StoreWriter(tmp_path / "old", identity={}, indices=["di"], errors=errors, resume=True) as writer:
        assert writer.errors == ()
        writer.write([make_record("b", indices=["di"])])
    old = Store(tmp_path / "old").joints()
    assert (old["sample_id"].n_unique(), set(errors) & set(old.columns)) == (2, set())
    with StoreWriter(tmp_path / "new", identity={}, indices=["di"], errors=errors) as writer:
        assert writer.errors == tuple(errors)
    with StoreWriter(tmp_path / "new", identity={}, indices=["di"], errors=errors, resume=True) as writer:
        assert writer.errors == tuple(errors)
    assert Store(tmp_path / "new").joints().columns[-2:] == errors


def without_later(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row, or a schema, as earlier versions had it."""
    return {name: value for name, value in row.items() if name not in LATER}


def write_as_before(path: Path, *records: SampleRecord, **options: Any) -> None:
    """One part, as a version wrote it that did not know of padding."""
    with pytest.MonkeyPatch.context() as patch, StoreWriter(path, identity={}, **COLUMNS, **options) as writer:
        patch.setattr(batch, "SAMPLES_SCHEMA", without_later(SAMPLES_SCHEMA))
        patch.setattr(writer, "_schemas", {name: without_later(s) for name, s in writer._schemas.items()})
        writer.write(
            [
                replace(r, sample=without_later(r.sample), joints=[without_later(row) for row in r.joints])
                for r in records
            ]
        )


def test_a_column_that_an_old_run_lacks_is_unknown(tmp_path: Path) -> None:
    """NaN, never zero nor null; all else is what it was, and the parts of a resumed run stand beside it."""
    write_as_before(tmp_path, record(0), record(1))
    old = Store(tmp_path)
    assert old.joints().columns == list(joints_schema(2, COLUMNS["indices"]))
    assert old.samples().columns == list(SAMPLES_SCHEMA)
    assert old.samples()["padding"].is_nan().all()
    assert old.joints()["mass_in_padding"].is_nan().all()
    assert old.scan_joints().collect().equals(old.joints())
    with StoreWriter(tmp_path, identity={}, resume=True, **COLUMNS) as writer:
        writer.write([record(2)])
    new = Store(tmp_path)
    assert new.samples()["padding"].is_nan().to_list() == [True, True, False]
    assert new.samples()["padding"][2] == 0
    assert new.joints().drop(LATER, strict=False)[: len(old.joints())].equals(old.joints().drop(LATER, strict=False))


def test_a_column_that_all_runs_have_is_missed(tmp_path: Path) -> None:
    """Only those of later versions may be absent."""
    make_store(tmp_path, [record(0)])
    path = next((tmp_path / "samples").glob("*.parquet"))
    manifest = {k: v for k, v in pl.read_parquet_metadata(path).items() if k.startswith("poseig_mm")}
    pl.read_parquet(path).drop("seconds", "padding").write_parquet(path, metadata=manifest)
    with pytest.raises(StoreError, match="no column 'seconds'"):
        Store(tmp_path).samples()


def test_indices_of_a_run_of_before_are_over_the_whole_input() -> None:
    """That was the only definition; a run that says which it has keeps it."""
    for given, over in (({}, "input"), ({"indices_over": "image"}, "image"), ({"indices_over": "input"}, "input")):
        attribution = filled_in({"settings": {"attribution": given}})["settings"]["attribution"]
        assert attribution["indices_over"] == over
