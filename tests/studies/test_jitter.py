"""Jitter over the frames of a video: what it measures, on known motions, and that a planted jump is named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from tiny import run, tiny

from poseig_mm.errors import ConfigError
from poseig_mm.store import Store
from poseig_mm.studies.jitter.rows import JitterSettings, evidence_of, jitter_table, joint_summary, jumps_of, size_of
from poseig_mm.studies.jitter.section import jitter_section

JUMP, CUT = 4, 8  # frames of the video below


def rows(
    x: Sequence[float], frames: Sequence[int] | None = None, track: str = "1", **more: Any
) -> list[dict[str, Any]]:
    """One joint that moves along x, of a person of 100 px."""
    about = {"video": "a.mp4", "track": track, "joint": 0, "joint_name": "nose", "y": 5.0, "size": 100.0, "near": 0.5}
    still = {"evidence_x": 0.0, "evidence_y": 0.0}
    return [{**about, **still, "frame": t, "x": v} for t, v in zip(frames or range(len(x)), x, strict=True)]


def test_a_constant_speed_is_no_jitter() -> None:
    """The second difference of a straight line is 0, whatever the frames' distance; at its ends it is unknown."""
    table = jitter_table(pl.DataFrame(rows([0.0, 3.0, 6.0, 9.0], [0, 2, 4, 6])), JitterSettings())
    assert table["jitter"].to_list()[1:3] == [0.0, 0.0]
    assert [math.isnan(v) for v in table["jitter"]] == [True, False, False, True]
    assert table["step"].to_list()[1:] == [3.0] * 3
    assert jumps_of(table) == []


def test_white_noise_has_the_jitter_that_theory_says() -> None:
    """Noise of standard deviation s in x and y: half the second difference is Rayleigh with s sqrt(1.5)."""
    random = np.random.default_rng(0)
    points = random.normal(0, 2.0, (4000, 2))
    given = [{**row, "y": float(y)} for row, y in zip(rows(points[:, 0].tolist()), points[:, 1], strict=True)]
    (summary,) = joint_summary(jitter_table(pl.DataFrame(given), JitterSettings()))
    assert summary["mean"] == pytest.approx(2.0 * math.sqrt(1.5) * math.sqrt(math.pi / 2), rel=0.03)
    assert summary["n"] == 3998


def test_a_lasting_jump_is_one_and_a_spike_is_two() -> None:
    """To another place and on: one jump; there and back: two; 9 px of a person of 100 px are none."""
    lasting = jitter_table(pl.DataFrame(rows([0.0] * 4 + [30.0] * 4)), JitterSettings())
    assert [(r["frame"], r["step"]) for r in jumps_of(lasting)] == [(4, 30.0)]
    assert lasting["jitter"].to_list()[1:7] == [0, 0, 15, 15, 0, 0]
    spike = jitter_table(pl.DataFrame(rows([0.0] * 4 + [30.0] + [0.0] * 3)), JitterSettings())
    assert [r["frame"] for r in jumps_of(spike)] == [4, 5]
    assert joint_summary(spike)[0] | {"mean": 0.0} == {
        "joint_name": "nose", "n": 6, "mean": 0.0, "median": 7.5, "largest": 30.0, "frame": 4, "jumps": 2
    }  # fmt: skip
    small = jitter_table(pl.DataFrame(rows([0.0] * 4 + [9.0] * 4)), JitterSettings())
    assert jumps_of(small) == []


def test_nothing_is_compared_over_a_gap_or_a_cut() -> None:
    """A frame without the person, and another person, have no step."""
    gap = jitter_table(pl.DataFrame(rows([0.0, 0.0, 50.0, 50.0], [0, 1, 3, 4])), JitterSettings())
    assert [math.isnan(v) for v in gap["step"]] == [True, False, True, False]
    cut = pl.DataFrame([*rows([0.0, 0.0], [0, 1]), *rows([50.0, 50.0], [2, 3], track="2")])
    assert jumps_of(jitter_table(cut, JitterSettings())) == []
    assert jumps_of(jitter_table(gap, JitterSettings())) == []


def test_where_the_evidence_is() -> None:
    """Centre of mass, and the share within a radius; nothing of a map that is none."""
    values = np.zeros((5, 7))
    values[2, 1], values[2, 5] = 1.0, 3.0
    assert evidence_of(values, np.array([5.0, 2.0]), 1.0) == ((4.0, 2.0), 0.75)
    assert evidence_of(values, np.array([3.0, 2.0]), 1.0)[1] == 0.0
    (x, _), near = evidence_of(values * math.nan, np.array([3.0, 2.0]), 1.0)
    assert math.isnan(x)
    assert math.isnan(near)
    assert math.isnan(size_of(np.array([[1.0, 1.0]])))


@pytest.fixture(scope="module")
def store(tiny_files: tiny, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A video at rest, in which one frame has a bar drawn into it, then a cut to another picture at rest."""
    folder = tmp_path_factory.mktemp("video")
    one, two = (cv2.imread(str(tiny_files.folder / f"{i}.png")) for i in (1, 2))
    jump = one.copy()
    jump[20:80, 40:70] = 255
    two = np.clip(two.astype(np.int64) // 3, 0, 255).astype(np.uint8)  # darker, so that it is a cut
    frames = [one] * JUMP + [jump] + [one] * (CUT - JUMP - 1) + [two] * 4
    writer = cv2.VideoWriter(str(folder / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (120, 100))  # type: ignore[attr-defined]
    for frame in frames:
        writer.write(frame)
    writer.release()
    settings = {"samples.images": str(folder / "v.avi"), "studies": ["jitter"], "report.enabled": True}
    return run(tiny_files, folder / "w", settings)


def test_the_planted_jump_is_named_and_the_cut_is_not(store: Store) -> None:
    """All that moves is the frame with the bar: the joints that are predicted elsewhere there jump there and back."""
    assert store.failures == ()
    assert len(store) == CUT + 4
    places = store.joints().with_columns(frame=pl.col("image_id").cast(pl.Int64)).sort("frame", "joint")
    before, at = (places.filter(frame=t).select("pred_x", "pred_y").to_numpy() for t in (JUMP - 1, JUMP))
    scale = 1.25 * 120 / 64  # px of the picture an input px: the whole picture is the box
    steps = scale * np.linalg.norm(at - before, axis=1)
    table = jitter_table(store.study("jitter"), JitterSettings())
    size = float(table.filter(track="1")["size"][0])
    jumped = {int(k) for k in np.flatnonzero(steps > 0.1 * size)}
    assert len(jumped) > 3
    found = jumps_of(table)
    assert {(r["joint"], r["frame"]) for r in found} == {(k, t) for k in jumped for t in (JUMP, JUMP + 1)}
    for row in found:
        assert row["step"] == pytest.approx(steps[row["joint"]], rel=0.01)
    still = table.filter(~pl.col("frame").is_in([JUMP - 1, JUMP, JUMP + 1]) & pl.col("jitter").is_finite())
    assert still["jitter"].max() == 0.0
    assert table.select("track", "frame").filter(track="2")["frame"].min() == CUT
    assert any(f"another scene begins at frame {CUT}" in note for note in store.run["notes"])


def test_the_section_says_so(store: Store) -> None:
    """The longest jump in words, with where its evidence moved; tables, lines over time and maps."""
    section = jitter_section(store, "jitter", JitterSettings())
    assert section is not None
    longest = jumps_of(jitter_table(store.study("jitter"), JitterSettings()))[0]
    assert f"{longest['joint_name']} at frame {longest['frame']} ({longest['step']:.0f} px)" in section.lead
    assert "2 persons followed" in section.lead
    if math.isfinite(longest["moved"]):
        assert f"the evidence moved {longest['moved']:.0f} px" in section.lead
    first: Any = section.blocks[0]
    assert first.rows[0][:4] == (longest["frame"], "1", longest["joint_name"], longest["step"])
    assert [getattr(block, "name", "") for block in section.blocks[2:]] == ["jitter", "jumps"]
    page = (store.path / "report" / "index.html").read_text()
    assert "Jitter: which joints tremble or jump?" in page
    assert "gone or cannot be read" not in page  # the frame stands in the picture's place


@pytest.mark.parametrize("settings", [{}, {"samples.images": "1.png"}])
def test_other_runs_are_refused(tiny_files: tiny, tmp_path: Path, settings: dict[str, str]) -> None:
    """A data set and pictures have no time."""
    given = {key: str(tiny_files.folder / name) for key, name in settings.items()}
    with pytest.raises(ConfigError, match="study 'jitter' is about the frames of a video"):
        run(tiny_files, tmp_path / "w", {**given, "studies": ["jitter"]})
