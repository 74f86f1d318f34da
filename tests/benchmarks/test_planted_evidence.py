"""The benchmark of known evidence: where the evidence lies, what is scored, what is kept; all of it on two figures."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from polars.testing import assert_frame_equal

pytest.importorskip("poseig_synthetic_figures", reason="the plugin of synthetic figures is not installed")

from poseig_synthetic_figures.planting import MARK_OFFSET, MARK_SIZE

from benchmarks import planted_evidence
from benchmarks.planted import causes, figures, maps, page
from benchmarks.planted.results import stored
from poseig_mm.store import Store

FAST = {"quadrature": "midpoint", "nodes": 2, "compute": "exact"}


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory, mmpose_ready: None) -> argparse.Namespace:
    """Of the command line, with random weights for a checkpoint."""
    import torch

    from poseig_mm.adapters.build_model import build_model

    folder = tmp_path_factory.mktemp("planted")
    torch.manual_seed(0)
    model = build_model(figures.config_of("marker", length=1))
    for name in ("marker", "swap"):
        torch.save({"state_dict": model.state_dict(), "meta": {}}, folder / f"{name}_heatmap.pth")
    return argparse.Namespace(
        figures=2, runs=1, persons=2, split="test", checkpoints=folder, work_dir=folder / "work", variants=["marker"]
    )


@pytest.fixture(scope="module")
def case(options: argparse.Namespace) -> figures.Case:
    """Two figures with a mark."""
    return figures.Case("marker", 2, "test", options.checkpoints / "marker_heatmap.pth")


def test_the_evidence_lies_where_the_mark_was_put(case: figures.Case) -> None:
    """In the input's frame: its middle at the wrist plus the planted offset, its sides the mark's and 2 px on
    either.
    """
    for sample, pixels in zip(case.samples, case.evidence, strict=True):
        y, x = np.nonzero(pixels)
        middle = np.array([x.min() + x.max(), y.min() + y.max()]) / 2
        wanted = sample.keypoints[figures.JOINT].numpy() + MARK_OFFSET
        assert np.abs(middle - wanted).max() < 1.0
        for side in (np.ptp(x) + 1, np.ptp(y) + 1):
            assert abs(side - (MARK_SIZE + 2 * figures.DILATION)) <= 1.5


def test_without_the_evidence_only_its_pixels_differ(case: figures.Case) -> None:
    """Removed is the mark and nothing else (the blur of the drawing reaches a pixel or two beyond it)."""
    for sample, other, pixels in zip(case.samples, case.without, case.evidence, strict=True):
        differs = (sample.image - other.image).abs().amax(0).numpy() > 0.2
        assert differs.any()
        assert not (differs & ~pixels).any()


def test_a_map_of_the_evidence_has_full_marks(case: figures.Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its inverse none; a figure whose evidence is covered has no score but a reason."""
    import torch

    from poseig_mm.types import Attribution

    given = torch.full((2, 17, *case.evidence[0].shape), math.nan)
    given[0, figures.JOINT] = torch.from_numpy(case.evidence[0]).float()
    given[1, figures.JOINT] = 1 - torch.from_numpy(case.evidence[1]).float()
    nothing = torch.full((2, 17), math.nan)
    made = Attribution(given, *[nothing] * 5, nothing > 0, torch.zeros(2, 17, dtype=torch.int64), (("",) * 17,) * 2)
    monkeypatch.setattr(maps, "maps_of", lambda *_: made)
    first, second = maps.score(case, "blur IG")
    assert [first[name] for name in maps.SCORES] == [1.0, 1.0, 1.0]
    assert [second[name] for name in maps.SCORES] == [0.0, 0.0, 0.0]
    monkeypatch.setattr(case, "reasons", ["evidence covered", ""])
    monkeypatch.setattr(case, "evidence", [np.zeros_like(case.evidence[0]), case.evidence[1]])
    covered = maps.score(case, "blur IG")[0]
    assert covered["reason"] == "evidence covered"
    assert all(math.isnan(covered[name]) for name in maps.SCORES)
    assert maps.means([covered, first, second])["mass"].mean == 0.5


def test_a_ratio_is_of_the_sums() -> None:
    """Mean error without over mean error with, of figures that are not left out."""
    rows: list[dict[str, Any]] = [
        {"figure": "a", "reason": "", "epe": 1.0, "epe_without": 12.0},
        {"figure": "b", "reason": "", "epe": 3.0, "epe_without": 8.0},
        {"figure": "c", "reason": "wrist covered", "epe": 100.0, "epe_without": 1.0},
    ]
    found = maps.used(rows)
    assert (found["epe"].mean, found["epe_without"].mean, found["ratio"].mean) == (2.0, 10.0, 5.0)


def test_two_figures_from_end_to_end(
    options: argparse.Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every method has its scores, a diagnosis its cause; nothing is computed twice; the page holds it all."""
    real = causes.diagnose
    monkeypatch.setattr(causes, "diagnose", lambda *a, **k: real(*a, **k, attribution=FAST))
    planted_evidence.measure_maps("marker", options)
    planted_evidence.measure_causes("swap", options)
    for name in ("score", "removal"):
        monkeypatch.setattr(maps, name, lambda *_: pytest.fail("computed twice"))
    monkeypatch.setattr(causes, "diagnose", lambda *_, **__: pytest.fail("computed twice"))
    planted_evidence.measure_maps("marker", options)
    planted_evidence.measure_causes("swap", options)
    store = Store(options.work_dir / "test" / "runs" / "swap-0")
    again = causes.rows_of(store, "swap", "test")
    assert_frame_equal(again, store.study("shortcuts"), check_dtypes=False, rel_tol=1e-2, abs_tol=1e-2)  # float16 maps
    rows = stored(options.work_dir / "test" / "maps" / "marker-blur-IG.json")
    assert [r["reason"] for r in rows] == ["", ""]
    assert all(0 < r["auroc"] < 1 and 0 < r["mass"] < 1 for r in rows)
    assert abs(rows[0]["area"] - 11 * 11 / (96 * 128)) < 0.003

    monkeypatch.setattr(page, "DOCS", tmp_path)
    text = page.write(options.work_dir, options.checkpoints, figures=False).read_text()
    for method in maps.METHODS:
        assert f"| marker | {method} |" in text
    assert "| swap | left_right |" in text
    assert "2 persons, fewer than 8" in text  # what the study said
