"""Maps of runs: how alike they are, and pictures of the same joint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic_store import make_store, record

from poseig_mm.comparison.runs import Runs, match
from poseig_mm.comparison.side_by_side import map_correlations, maps_section
from poseig_mm.report.build import build_report
from poseig_mm.store import Store
from poseig_mm.types import Gallery


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Persons 1 and 2; the second run's maps are the squares of the first's."""
    folder = tmp_path_factory.mktemp("runs")
    plain = [record(i) for i in (1, 2)]
    squared = [replace(r, maps=None if r.maps is None else r.maps**2) for r in plain]
    return match({"first": make_store(folder / "a", plain), "second": make_store(folder / "b", squared)})


def test_correlations_are_scipys(runs: Runs) -> None:
    """Of each joint, over its pixels as they are stored."""
    found, remarks = map_correlations(runs)
    assert remarks == {}
    assert len(found) == len(runs.first)
    row = found.row(0, named=True)
    joint = runs.first.row(0, named=True)["joint"]
    maps = [store.map(row["sample_id"]) for store in runs.stores.values()]
    a, b = (m[joint].astype(np.float64).ravel() for m in maps if m is not None)
    assert row["pearson"] == pytest.approx(stats.pearsonr(a, b).statistic)
    assert row["spearman"] == pytest.approx(stats.spearmanr(a, b).statistic)
    assert row["pearson"] < 0.99


def test_equal_maps_correlate_fully(tmp_path: Path) -> None:
    """1 in both kinds."""
    found, _ = map_correlations(match({n: make_store(tmp_path / n, [record(1)]) for n in ("a", "b")}))
    for kind in ("pearson", "spearman"):
        assert found[kind].to_numpy() == pytest.approx(1.0)


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    """Maps of another size, or not kept: no correlation, and why."""
    plain = make_store(tmp_path / "a", [record(1), record(2)])
    pooled = make_store(tmp_path / "b", [record(1), record(2)], maps="pooled")
    nothing = make_store(tmp_path / "c", [record(1), record(2)], maps="none")
    found, remarks = map_correlations(match({"plain": plain, "pooled": pooled, "nothing": nothing}))
    assert len(found) == 0
    assert "maps of 2 persons not compared (of different sizes)" in remarks["pooled"]
    assert "maps of 2 persons not compared (not kept)" in remarks["nothing"]


def test_a_picture_holds_a_panel_of_each_run(runs: Runs, tmp_path: Path) -> None:
    """One strip a joint, its files there, and the page that shows them builds without a failure."""
    section = maps_section(runs, tmp_path / "pictures")
    (gallery,) = [block for block in section.blocks if isinstance(block, Gallery)]
    assert gallery.images
    assert all(path.is_file() for path, _ in gallery.images)
    text = build_report(next(iter(runs.stores.values())), [section], tmp_path / "page").read_text()
    assert "Rank correlation" in text
    assert "could not be" not in text


def test_without_maps_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    """The section says so."""
    stores: dict[str, Store] = {n: make_store(tmp_path / n, [record(1)], maps="none") for n in ("a", "b")}
    section = maps_section(match(stores), tmp_path / "pictures")
    assert section.blocks == ()
    assert "nothing to look at" in section.lead
