"""Baselines: a linear model's shares by hand, a whole run, and what the section says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tiny import IDS, run, tiny, write_run

from poseig_mm.errors import ConfigError
from poseig_mm.functional import path_attribution
from poseig_mm.functional.maps import person_of
from poseig_mm.store import Store
from poseig_mm.studies.baselines.study import BASELINES, PAINTINGS, Baselines
from poseig_mm.types import Finding, Gallery, Picture, Sample, Table

SIDE = 40
LOW, HIGH = (-2.0,), (3.0,)  # of the one channel; the image is 0 everywhere


class LinearContext:
    """T of every joint is the sum of the pixels, so that a straight path's map is exactly |x - x'|."""

    unit = "px"
    groups = SimpleNamespace(keypoint_names=("a", "b"), group_of=("", ""))
    adapter = SimpleNamespace(pixel_range=lambda: (LOW, HIGH))

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """Both joints at x = y = the mean of the pixels."""
        return images.mean((1, 2, 3))[:, None, None].expand(-1, 2, 2)

    def attribute(self, sample: Sample, *, image: torch.Tensor, joints: list[str], **changes: Any) -> Any:
        """As the run would."""
        settings = {k: changes[k] for k in ("path", "path_settings", "quadrature", "nodes")}
        if settings["path"] == "linear":
            settings["path_settings"] = {"black": LOW, "white": HIGH, **settings["path_settings"]}
        asked = torch.tensor([[name in joints for name in self.groups.keypoint_names]])
        made = path_attribution(
            lambda x: x.sum((1, 2, 3))[:, None, None].expand(-1, 2, 2),
            image[None],
            torch.zeros(1, 2, 2),
            joints=asked,
            likelihood=lambda coords, reference: coords[..., 0],
            **settings,
        )
        return person_of(made, 0)


def finding(mask: torch.Tensor | None, visible: bool = True) -> Finding:
    """A black-and-white world: one person of two joints."""
    sample = Sample(
        sample_id="7-1", image_id="7", instance_id="1", image_path="",
        image=torch.zeros(1, SIDE, SIDE, dtype=torch.float64),
        display=np.full((SIDE, SIDE, 3), 128, np.uint8), keypoints=torch.tensor([[3.0, 4.0], [20.0, 9.0]]),
        visible=torch.tensor([visible, visible]), mask=mask, mask_source="instance", inverse_warp=np.eye(2, 3),
        pixels=torch.tensor([[3.0, 4.0], [20.0, 9.0]]),
    )  # fmt: skip
    attribution: Any = SimpleNamespace(reasons=("" if visible else "not_visible",) * 2)
    return Finding(sample, attribution, torch.zeros(2, 2), torch.zeros(2, 2), {}, ("", ""), 0.0)


def left_quarter() -> torch.Tensor:
    """A mask of a quarter of the input."""
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[:, : SIDE // 4] = True
    return mask


def rows_of(study: Baselines, found: Finding) -> dict[tuple[str, str], dict[str, Any]]:
    """(painting, baseline) -> row."""
    rows = study.sample_rows(found, LinearContext())  # type: ignore[arg-type]
    return {(row["painting"], row["baseline"]): dict(row) for row in rows}


def test_the_shares_of_a_linear_model() -> None:
    """|x - x'| is 2 and 3 outside (black, white baseline), on the painted quarter 0 or 5: shares 0 and 5 / (5 + 3 *
    2).
    """
    rows = rows_of(Baselines(pictures=0), finding(left_quarter()))
    assert rows.keys() == {(p, b) for p in PAINTINGS for b in BASELINES}
    for baseline, outside in (("black", 2), ("white", 3)):
        other = "white" if baseline == "black" else "black"
        assert rows["original", baseline]["share"] == pytest.approx(0.25)
        assert rows[baseline, baseline]["share"] == 0.0
        assert rows[other, baseline]["share"] == pytest.approx(5 / (5 + 3 * outside))
        assert rows[baseline, baseline]["di"] == pytest.approx(75, abs=0.01)  # a quarter zero, the rest alike
        assert {rows[p, baseline]["share_original"] for p in PAINTINGS} == {rows["original", baseline]["share"]}
    assert {(row["n"], row["area"], row["reason"]) for row in rows.values() if row["n"]} == {(2, 0.25, "")}


@pytest.mark.parametrize("mask", [left_quarter(), None], ids=["mask", "no mask"])
def test_errors_without_any_evidence(mask: torch.Tensor | None) -> None:
    """The joint at (3, 4) is 5 px from (0, 0), predicted on the image and its blur; on black (-2, -2), white (3, 3)."""
    found = replace(finding(mask), sample=replace(finding(mask).sample, visible=torch.tensor([True, False])))
    rows = rows_of(Baselines(pictures=0), found)
    expected = {"black": math.hypot(5, 6), "white": 1.0, "blurry": 5.0}
    for (_, baseline), row in rows.items():
        assert row["epe"] == pytest.approx(5)
        assert row["epe_baseline"] == pytest.approx(expected[baseline])
        assert row["unit"] == "px"


def test_a_blur_sees_only_edges_of_paint() -> None:
    """A flat image has no blurry map at all: the three rows have no number, and say so; painted ones lie round the
    edge.
    """
    rows = rows_of(Baselines(pictures=0), finding(left_quarter()))
    for painting in PAINTINGS:
        assert (rows[painting, "blurry"]["n"], rows[painting, "blurry"]["reason"]) == (0, "no_map")
        assert math.isnan(rows[painting, "blurry"]["share"])


@pytest.mark.parametrize(
    ("mask", "visible", "reason"),
    [
        (None, True, "no_mask"),
        (torch.zeros(SIDE, SIDE, dtype=torch.bool), True, "empty_mask"),
        (left_quarter(), False, "not_visible"),
    ],
    ids=["none", "empty", "no joint"],
)
def test_nothing_to_paint(mask: torch.Tensor | None, visible: bool, reason: str) -> None:
    """Nine rows of NaN with the reason, none left out and none made up."""
    rows = rows_of(Baselines(), finding(mask, visible))
    assert len(rows) == 9
    for row in rows.values():
        assert (row["reason"], row["n"]) == (reason, 0)
        assert all(math.isnan(row[c]) for c in ("share", "share_original", "di", "map_error"))


@pytest.mark.parametrize("settings", [{"nodes": 0}, {"joints": 0}, {"every": 0}, {"pictures": -1}, {"nodes": 2.0}])
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    """What, got, expected."""
    with pytest.raises(ConfigError, match=rf"{next(iter(settings))} is .*; expected at least"):
        Baselines(**settings)


@pytest.fixture(scope="module")
def store(tiny_files: tiny, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A finished run with a report."""
    studies = [{"type": "baselines", "nodes": 2, "joints": 2, "pictures": 2}]
    settings = {"studies": studies, "report": {"enabled": True}}
    return run(tiny_files, tmp_path_factory.mktemp("w"), settings)


def test_black_on_black_is_nothing_in_a_run(store: Store) -> None:
    """On a real network: exactly 0 where paint and baseline agree, by normalised black and white; above 0 elsewhere."""
    rows = store.study("baselines").filter(pl.col("baseline") != "blurry")
    assert len(store.study("baselines")) == 27
    same = pl.col("painting") == pl.col("baseline")
    assert rows.filter(same)["share"].to_list() == [0.0] * 6
    assert (rows.filter(~same)["share"] > 0).all()
    assert rows["n"].to_list() == [2] * 18
    assert store.failures == ()


def test_nothing_depends_on_the_batch(store: Store, tiny_files: tiny, tmp_path: Path) -> None:
    """Three persons at once: the same joints, numbers and pictures."""
    studies = [{"type": "baselines", "nodes": 2, "joints": 2, "pictures": 2}]
    other = run(tiny_files, tmp_path, {"studies": studies, "samples.batch_size": 3})
    assert [p.name for p in other.pictures("baselines")] == [p.name for p in store.pictures("baselines")]
    assert len(other.pictures("baselines")) == 2
    a, b = (s.study("baselines").sort("sample_id", "painting", "baseline") for s in (store, other))
    assert np.allclose(a["share"], b["share"], atol=2e-3, equal_nan=True)


def test_the_section_of_a_run(store: Store) -> None:
    """Ratios of means by hand; the gallery shows the kept persons; the lead says that three persons are few."""
    section = Baselines().section(store)
    assert section is not None
    table, picture, gallery, empty = section.blocks
    assert isinstance(table, Table)
    assert isinstance(picture, Picture)
    assert isinstance(gallery, Gallery)
    assert {caption for _, caption in gallery.images} < set(IDS)
    row = next(r for r in table.rows if r[:2] == ("white", "black"))
    cell = store.study("baselines").filter((pl.col("painting") == "white") & (pl.col("baseline") == "black"))
    assert row[4].mean == pytest.approx(cell["share"].sum() / cell["share_original"].sum())
    assert "3 persons are too few" in section.lead
    assert isinstance(empty, Table)
    assert [line[0] for line in empty.rows] == ["as it is", "black alone", "white alone", "blurry alone"]
    rows = store.study("baselines").filter(pl.col("painting") == "original", pl.col("baseline") == "white")
    assert empty.rows[0][1].mean == pytest.approx(store.samples()["mepe"].mean(), rel=1e-6)
    assert empty.rows[2][1].mean == pytest.approx(rows["epe_baseline"].mean())
    assert empty.rows[2][2].mean == pytest.approx(rows["epe_baseline"].sum() / rows["epe"].sum())
    assert "black: 0.00 on black" in section.lead  # and no interval of three
    assert "What a baseline hides" in (store.path / "report" / "index.html").read_text()


def test_an_older_run_has_no_errors_of_empty_inputs(store: Store) -> None:
    """Without the columns there is no table of them, and the rest is as it was."""
    rows = store.study("baselines").drop("epe", "epe_baseline", "unit")
    older = SimpleNamespace(
        study=lambda name: rows,
        samples=store.samples,
        studies=("baselines",),
        pictures=lambda name: [],
        sample_ids=store.sample_ids,
    )
    section = Baselines().section(older)  # type: ignore[arg-type]
    assert section is not None
    assert [type(block) for block in section.blocks] == [Table, Picture]


def test_a_run_without_masks(tmp_path: Path, mmpose_ready: None) -> None:
    """The section says that nothing could be painted, and why; who did not take part has no rows."""
    made = write_run(tmp_path / "data", {"studies": ["baselines"], "samples": {"mask": "none"}})
    section = Baselines().section(run(made, tmp_path / "w"))
    assert section is not None
    assert "No person could be painted" in section.lead
    assert section.blocks[0].rows[0][:2] == ("no_mask", 3)  # type: ignore[union-attr]
    assert section.blocks[1].rows[1][1].n == 3  # type: ignore[union-attr]
    nobody = {"studies": [{"type": "baselines", "every": 10**9}]}
    assert Baselines().section(run(made, tmp_path / "nobody", nobody)) is None
