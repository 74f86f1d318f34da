"""A study's row that no table holds costs that row: the run, the other rows and the other studies' stand."""

from __future__ import annotations

from pathlib import Path

import pytest
from studies_of_a_plugin import PLUGIN
from tiny import IDS, run, tables, tiny, write_plugin

from poseig_mm.store import Store


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with studies."""
    return str(write_plugin(tmp_path_factory.mktemp("plugin") / "rows.py", PLUGIN))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_rows_that_make_no_table(
    tiny_files: tiny, tiny_store: Store, tmp_path: Path, plugin: str, batch_size: int
) -> None:
    """A column of two types is the study's failure; the run and the other studies' rows stand."""
    settings = {"studies": ["mixed", "counting"], "samples.batch_size": batch_size}
    store = run(tiny_files, tmp_path / "w", settings, plugins=[plugin])
    assert tables(store) == tables(tiny_store)
    assert len(store.study("counting")) == 16
    if batch_size == 3:
        assert [(f.stage, f.plugin, f.sample_id) for f in store.failures] == [("study", "mixed", "1-2")]
        assert store.study("mixed").rows() == [("1-1", 1), ("2-3", 1)]


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("of", IDS)
def test_a_row_with_a_tensor_costs_that_row(
    tiny_files: tiny, tiny_store: Store, tmp_path: Path, plugin: str, batch_size: int, of: str
) -> None:
    """Its failure stands under its own sample, whoever's rows it was to be written with; all other rows are there."""
    settings = {"studies": [{"type": "tensors", "of": of}, "counting"], "samples.batch_size": batch_size}
    store = run(tiny_files, tmp_path / "w", settings, plugins=[plugin])
    assert tables(store) == tables(tiny_store)
    assert len(store.study("counting")) == 16
    assert [(f.stage, f.plugin, f.sample_id) for f in store.failures] == [("study", "tensors", of)]
    assert "study 'tensors'" in store.failures[0].message
    rows = [(i, x) for i in IDS for x in (1.0, 2.0, 3.0) if (i, x) != (of, 2.0)]
    assert sorted(store.study("tensors").rows()) == rows


def test_a_row_of_the_whole_with_a_tensor_costs_that_row(tiny_files: tiny, tmp_path: Path, plugin: str) -> None:
    """The other rows made of the finished tables are stored, and the run is complete."""
    settings = {"studies": [{"type": "tensors", "of": "", "whole": True}]}
    store = run(tiny_files, tmp_path / "w", settings, plugins=[plugin])
    assert [(f.stage, f.plugin, f.sample_id) for f in store.failures] == [("study", "tensors", "")]
    assert [row for row in store.study("tensors").rows() if row[0] == "all"] == [("all", 0.0), ("all", 2.0)]
    assert store.run["status"] == "complete"
