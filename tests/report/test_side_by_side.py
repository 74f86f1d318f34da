"""Runs side by side: only what all of them show is compared, with each run's own numbers."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from poseig_mm.report.build import build_report
from poseig_mm.report.side_by_side import side_by_side_section
from poseig_mm.store import Store
from poseig_mm.types import Gallery, Table

from .synthetic import make_store, record


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Store]:
    """Two runs that share persons 1 and 2."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        "first": make_store(folder / "a", [record(i) for i in (0, 1, 2)]),
        "second": make_store(folder / "b", [record(i) for i in (1, 2, 3)]),
    }


def test_only_shared_joints_are_compared(stores: dict[str, Store], tmp_path: Path) -> None:
    """n and mean are those of the joints visible in both runs, by hand."""
    section = side_by_side_section(stores, tmp_path)
    table = section.blocks[0]
    assert isinstance(table, Table)
    shared = stores["first"].joints().filter(pl.col("visible") & pl.col("di").is_finite())
    shared = shared.filter(pl.col("sample_id").is_in(stores["second"].sample_ids))
    assert 0 < len(shared) < len(stores["first"].joints().filter(pl.col("visible")))
    for row in table.rows:
        assert row[1].n == len(shared)
        assert row[1].mean == pytest.approx(shared["epe"].mean())
    assert [row[0] for row in table.rows] == ["first", "second"]
    assert f"same {len(shared)} joints of 2 persons" in section.lead


def test_a_picture_holds_a_panel_of_each_run(stores: dict[str, Store], tmp_path: Path) -> None:
    """One strip a shared joint, its files there, and the page that shows them builds without a failure."""
    section = side_by_side_section(stores, tmp_path)
    gallery = section.blocks[1]
    assert isinstance(gallery, Gallery)
    assert gallery.images
    assert all(path.is_file() for path, _ in gallery.images)
    page = build_report(stores["first"], [section], tmp_path / "page")
    text = page.read_text()
    assert "first and second side by side" in text
    assert "could not be" not in text


def test_runs_without_a_common_joint_say_so(tmp_path: Path) -> None:
    """Nothing is compared, and the section says why."""
    stores = {"a": make_store(tmp_path / "a", [record(0)]), "b": make_store(tmp_path / "b", [record(1)])}
    section = side_by_side_section(stores, tmp_path)
    assert section.blocks == ()
    assert "no visible joint in common" in section.lead
