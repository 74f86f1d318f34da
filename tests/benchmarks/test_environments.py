"""Comparing the numbers of two environments: what differs is found, a missing value too."""

from __future__ import annotations

import math

import polars as pl
import pytest

from benchmarks.environments import compare_tables, main
from poseig_mm.store import Store

ROW = {"sample_id": "1", "joint": 0, "joint_name": "nose", "epe": 2.0, "di": 20.0, "fi": 3.0, "li": 4.0}


def largest(*changes: dict[str, object]) -> dict[str, tuple[float, int]]:
    """Of each quantity the largest difference, and how many rows are beyond what is allowed; a row a change."""
    rows = [ROW | {"joint": k} for k in range(len(changes))]
    other = [row | change for row, change in zip(rows, changes, strict=True)]
    return {
        d.quantity.column: (d.largest, len(d.beyond)) for d in compare_tables(pl.DataFrame(rows), pl.DataFrame(other))
    }


def test_equal_tables_do_not_differ() -> None:
    """All rows count."""
    assert largest({}, {}) == dict.fromkeys(("epe", "di", "fi", "li"), (0.0, 0))


def test_errors_are_in_pixels_and_indices_in_shares() -> None:
    """0.005 px is within 0.01 px, 0.02 px is not; 19.9 is within 1 % of 20, 20.5 is not."""
    found = largest({"epe": 2.005, "di": 19.9}, {"epe": 2.02, "di": 20.5})
    assert found["epe"] == (pytest.approx(0.02), 1)
    assert found["di"] == (pytest.approx(0.025), 1)


def test_a_value_that_only_one_has_differs() -> None:
    """NaN in one table; NaN in both is no row."""
    assert largest({"fi": math.nan})["fi"] == (math.inf, 1)
    table = pl.DataFrame([ROW | {"fi": math.nan}])
    (fi,) = [d for d in compare_tables(table, table) if d.quantity.column == "fi"]
    assert (fi.rows, fi.largest) == (0, 0.0)


def test_a_row_that_only_one_has_differs() -> None:
    """In either direction."""
    one, two = pl.DataFrame([ROW]), pl.DataFrame([ROW, ROW | {"joint": 1}])
    for first, other in ((one, two), (two, one)):
        assert [(d.rows, len(d.beyond)) for d in compare_tables(first, other)] == [(2, 1)] * 4


def test_the_command_says_so(tiny_store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 for a run and itself, with the environment of each and a line a quantity."""
    assert main([str(tiny_store.path), str(tiny_store.path)]) == 0
    text = capsys.readouterr().out
    assert text.count("torch 2") == 2
    assert "epe: 10 rows, median 0 px, largest 0 px, 0 beyond 0.01 px" in text
