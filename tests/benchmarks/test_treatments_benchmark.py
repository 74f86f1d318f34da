"""The benchmark of the treatment: what a guess is worth, where its section stands, and all of it on a few figures."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("poseig_synthetic_figures", reason="the plugin of synthetic figures is not installed")

from benchmarks import treatments


def test_of_a_uniform_disc_the_best_guess_is_two_thirds_of_its_radius_off() -> None:
    """`marker`: the wrist lies anywhere within 26 px of the elbow, a little less far at the input's border."""
    errors = treatments.best_guess("marker", 400)
    assert errors.shape == (400,)
    assert 0.9 * 2 / 3 * 26 < errors.mean() < 1.03 * 2 / 3 * 26


def test_of_a_context_the_guess_knows_nothing() -> None:
    """The wrist is on 140 degrees of a circle of 26 px, whatever the joints: the guess is the arc's mean, as linear
    regression finds it.
    """
    angles = np.deg2rad(np.linspace(20, 160, 2001))
    arc = 26 * np.stack([np.cos(angles), np.sin(angles)], 1)
    best = np.linalg.norm(arc - arc.mean(0), axis=1).mean()
    assert treatments.best_guess("context", 400).mean() == pytest.approx(best, rel=0.06)


def test_the_section_stands_between_its_markers(tmp_path: Path) -> None:
    """Written twice it stands there once, and the rest of the page is as it was."""
    page = tmp_path / "page.md"
    page.write_text("\n".join(["# Before", treatments.BEGIN, treatments.END, "# After", ""]))
    result = {
        "causes": {"before": ("mark", "why"), "after": ("own", "because")},
        "errors": {
            "before": {"with": [1.0] * 9, "without": [20.0] * 9},
            "treated": {"with": [1.0] * 9, "without": [5.0] * 9},
            "random_places": {"with": [1.0] * 9, "without": [10.0] * 9},
        },
        "guess": [4.0] * 9,
        "iterations": 7,
    }
    for _ in range(2):
        treatments.write(page, treatments.section({"both": result}, "Today."))
    text = page.read_text()
    assert text.startswith("# Before\n")
    assert text.endswith("# After\n")
    assert (text.count(treatments.BEGIN), text.count("Today.")) == (1, 1)
    assert "Not measured: `marker`, `context`, `mirror`, `chain`." in text
    (row,) = [line for line in text.splitlines() if line.startswith("| both |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:3] == ["both", "`mark`", "`own`"]
    means = [float(cell.split()[0]) for cell in cells[3:]]
    assert means == [1.0, 1.0, 1.0, 20.0, 5.0, 10.0, -5.0, 0.5, 4.0, 7.0]
    assert treatments.part_between_markers(page)[1:-1] == treatments.section({"both": result}, "Today.")
    assert treatments.part_between_markers(tmp_path / "none.md") == [treatments.BEGIN, treatments.END]


def test_one_variant_from_end_to_end(tmp_path: Path, mmpose_ready: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few figures, one step an arm: the model that reads the mark is diagnosed, treated, and shown them without."""
    monkeypatch.setattr(treatments, "DIAGNOSED", ("left_wrist", "right_wrist"))
    options = argparse.Namespace(
        iterations=1, batch=2, figures=12, persons=12, checkpoints=treatments.checkpoints(), work_dir=tmp_path,
        attribution={"quadrature": "midpoint", "nodes": 16},
    )  # fmt: skip
    result = treatments.treat("both", options)
    assert result["causes"]["before"][0] == "mark"
    assert set(result["errors"]) == set(treatments.ARMS)
    assert all(len(errors[name]) == 12 for errors in result["errors"].values() for name in ("with", "without"))
    assert np.nanmean(result["errors"]["before"]["without"]) > 3 * np.nanmean(result["errors"]["before"]["with"])
    assert "left_wrist" in result["verdict"]
