"""What was changed behind the store's back is noticed: a bit of a map, a study's part, a format of the future."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from store_samples import IDENTITY, make_record

from poseig_mm.errors import StoreError
from poseig_mm.store import Store, StoreWriter

MANIFEST = "poseig_mm.part"
KINDS = {"maps": Store.map, "signed": Store.signed_map, "displays": Store.display}


def _run(path: Path, maps: str = "all", resume: bool = False) -> list[str]:
    """A run of three batches with a study; the ids that it computed."""
    computed = []
    with StoreWriter(path, identity=IDENTITY, maps=maps, resume=resume) as writer:
        for sample_id in ("a", "b", "c"):
            if sample_id not in writer.done:
                computed.append(sample_id)
                record = make_record(sample_id)
                writer.write_study("s", [{"sample_id": sample_id, "x": 1.0}])
                assert record.maps is not None
                writer.write([type(record)(**{**vars(record), "signed": np.asarray(record.maps, np.float32)})])
    return computed


def _flip_last_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("maps", ["all", "worst", "pooled"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_noticed_when_it_is_read(tmp_path: Path, kind: str, maps: str) -> None:
    """By name, each time; the other samples are read; resuming reads no maps, and computes that one again where its
    samples file is deleted, as the message says.
    """
    _run(tmp_path, maps)
    (path, *_) = sorted((tmp_path / kind).iterdir())
    _flip_last_bit(path)
    store = Store(tmp_path)
    for _ in range(2):
        written = f"{kind}/{path.name}: it does not have the content that was written"
        with pytest.raises(StoreError, match=rf"{written}; delete samples/part-r000-00000\.parquet"):
            KINDS[kind](store, "a")
    assert KINDS[kind](store, "b") is not None
    assert _run(tmp_path, maps, resume=True) == []
    (tmp_path / "samples" / "part-r000-00000.parquet").unlink()
    assert _run(tmp_path, maps, resume=True) == ["a"]
    assert KINDS[kind](Store(tmp_path), "a") is not None


def test_maps_of_runs_without_their_checksum_are_read_as_before(tmp_path: Path) -> None:
    """Nothing is known of their content."""
    _run(tmp_path)
    for path in (tmp_path / "samples").iterdir():
        manifest, frame = json.loads(pl.read_parquet_metadata(path)[MANIFEST]), pl.read_parquet(path)
        for name, entry in manifest["files"].items():
            if name.endswith("safetensors"):
                manifest["files"][name] = [entry[0], None]
        frame.write_parquet(path, metadata={MANIFEST: json.dumps(manifest)})
    _flip_last_bit(sorted((tmp_path / "maps").iterdir())[0])
    assert Store(tmp_path).map("a") is not None
    assert _run(tmp_path, resume=True) == []


@pytest.mark.parametrize("later", [2, "2", 1.5, None])
def test_a_later_format_is_refused(tmp_path: Path, later: object) -> None:
    """By the reader and by a writer that would go on with it: what to do stands in the message."""
    _run(tmp_path)
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["store"]["format"] == 1
    run["store"]["format"] = later
    (tmp_path / "run.json").write_text(json.dumps(run))
    with pytest.raises(StoreError, match="later version"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="later version"):
        StoreWriter(tmp_path, identity=IDENTITY, resume=True)


def test_a_study_part_that_was_deleted_is_noticed(tmp_path: Path) -> None:
    """A failure that says how many; resuming computes its sample again, and then nothing is missing."""
    _run(tmp_path)
    (tmp_path / "studies" / "s" / "part-r000-00001.parquet").unlink()
    store = Store(tmp_path)
    assert ["study 's': 1 of its parts are gone" in f.message for f in store.failures] == [True]
    assert store.study("s")["sample_id"].to_list() == ["a", "c"]
    assert len(store) == 3
    assert _run(tmp_path, resume=True) == ["b"]
    assert sorted(Store(tmp_path).study("s")["sample_id"]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "cell",
    [
        torch.zeros(3),
        object(),
        [object()],
        {"a": object()},
        {},
        np.array([object()]),
        "text",
        lambda: 0,
        Path("x"),
    ],
    ids=lambda cell: type(cell).__name__,
)
def test_a_cell_that_no_table_holds_costs_its_row(tmp_path: Path, cell: object) -> None:
    """It is refused when it is given, while its sample is known; rows before, beside and after it are stored."""
    with StoreWriter(tmp_path, identity=IDENTITY) as writer:
        writer.write_study("s", [{"sample_id": "a", "x": 1.0}])
        with pytest.raises(StoreError, match="study 's'"):
            writer.write_study("s", [{"sample_id": "b", "x": 2.0}, {"sample_id": "b", "x": cell}])
        writer.write_study("s", [{"sample_id": "c", "x": 3.0}])
        writer.write([make_record(i) for i in "abc"])
    assert Store(tmp_path).study("s")["x"].to_list() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "row", ["text", None, 3, ["x"], {"sample_id": torch.zeros(2)}, {"sample_id": ["b"]}, {"sample_id": 3}]
)
def test_what_is_no_row_costs_itself(tmp_path: Path, row: object) -> None:
    """Neither the run nor another sample's rows."""
    with StoreWriter(tmp_path, identity=IDENTITY) as writer:
        with pytest.raises(StoreError, match="expected a dict"):
            writer.write_study("s", [row, {"sample_id": "b", "x": 2.0}])  # type: ignore[list-item]
        writer.write([make_record("b")])
    assert Store(tmp_path).study("s")["x"].to_list() == [2.0]


def test_one_bad_row_of_many_is_found_soon(tmp_path: Path) -> None:
    """Of 20 000 rows all but the two bad ones are stored; tried one by one that would take hours."""
    rows: list[dict[str, object]] = [{"x": float(i)} for i in range(20_000)]
    rows[7], rows[19_000] = {"x": torch.zeros(2)}, {"x": "text"}
    with StoreWriter(tmp_path, identity=IDENTITY) as writer:
        writer.write([make_record("b")])
        with pytest.raises(StoreError, match="column 'x'"):
            writer.write_study("s", rows, replace_all=True)
    assert Store(tmp_path).study("s")["x"].sum() == sum(range(20_000)) - 7 - 19_000
