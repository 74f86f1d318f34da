"""R_E of a model whose answers are known, and what the section says of it."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import torch
from tiny import session
from toy_context import ToyContext, toy_finding, toy_groups, toy_store

from poseig_mm.errors import ConfigError
from poseig_mm.functional.statistics import Estimate
from poseig_mm.settings_fields import configured
from poseig_mm.studies.perturbation import rows as perturbation
from poseig_mm.studies.perturbation.section import error_ratio
from poseig_mm.studies.perturbation.study import Perturbation

if TYPE_CHECKING:
    from tiny import tiny

SIDE, PATCH = 16, 4  # px; a patch has 16 of 256 pixels
GAIN, OFFSET = 10.0, 20.0  # px for a change of 1; EPE on the image itself
MOVED = GAIN * (1 - 1 / 16)  # a patch of ones becomes the mean of the image, which is 1/16


@pytest.fixture
def context() -> ToyContext:
    """Two joints; the left one's patch is 1 in an image of 0, the right one's is 0 like the rest."""
    image = torch.zeros(3, SIDE, SIDE, dtype=torch.float64)
    patches = torch.zeros(2, SIDE, SIDE, dtype=torch.bool)
    patches[0, :PATCH, :PATCH] = patches[1, -PATCH:, -PATCH:] = True
    image[:, patches[0]] = 1
    truth = torch.tensor([[3.0, 5.0], [9.0, 2.0]], dtype=torch.float64)
    gain = torch.full((2,), GAIN, dtype=torch.float64)
    return ToyContext(image, patches, truth, gain, toy_groups(["left_hip", "right_hip"]), OFFSET)


def rows_of(
    context: ToyContext, maps: torch.Tensor, sample_id: str = "1-1", *, visible: Any = None, **settings: Any
) -> list[dict[str, Any]]:
    finding = toy_finding(context, maps.double(), sample_id, visible=visible)
    return [dict(row) for row in Perturbation(**settings).sample_rows(finding, context)]


def test_a_map_on_the_patch_moves_the_joint_by_a_known_amount(context: ToyContext) -> None:
    """G = 1 on the patch, mean colour 1/16: the patch falls by 15/16, so that EPE goes from 20 px to 20 - 9.375 px."""
    row = rows_of(context, context.patches, masks=["mean"])[0]
    assert row["error"] == pytest.approx(OFFSET)
    assert row["error_attr"] == pytest.approx(OFFSET - MOVED)
    assert row["change_attr"] == pytest.approx(MOVED)


def test_a_map_beside_the_patch_moves_it_by_nothing(context: ToyContext) -> None:
    """The two joints' maps swapped: the left joint stays where it is, though permuted maps do move it."""
    row = rows_of(context, context.patches.flip(0), masks=["mean"])[0]
    assert row["change_attr"] == pytest.approx(0, abs=1e-12)
    assert row["change_random"] > 0
    assert row["ratio"] == pytest.approx(0, abs=1e-12)


def test_permuted_maps_move_it_by_a_known_expectation(context: ToyContext) -> None:
    """16 marked pixels of 256 fall on a patch of 16 once on average: a sixteenth of the change, within 5 standard
    errors.
    """
    draws = 400
    row = rows_of(context, context.patches, masks=["mean"], n_random=draws)[0]
    hits = row["change_random"] / MOVED * 16
    variance = (15 / 16) * (240 / 255)  # hypergeometric
    assert abs(hits - 1) < 5 * (variance / draws) ** 0.5
    assert row["error_random"] == pytest.approx(OFFSET - row["change_random"])
    assert row["ratio"] == pytest.approx(16 / hits)


def test_a_map_that_is_the_same_everywhere_has_a_ratio_of_one(context: ToyContext) -> None:
    """Its permutations are itself, and meet the same mask: for every mask, random ones too."""
    rows = rows_of(context, torch.ones(2, SIDE, SIDE))
    assert [row["mask"] for row in rows[:4]] == ["mean", "shuffle", "uniform", "normal"]
    assert [row["ratio"] for row in rows] == pytest.approx([1.0] * 8)


def test_a_half_marked_patch_moves_it_by_half(context: ToyContext) -> None:
    """G = 1/2 blends half of the mask in."""
    row = rows_of(context, context.patches / 2, masks=["mean"])[0]
    assert row["change_attr"] == pytest.approx(MOVED / 2)


def test_draws_are_the_samples_own(context: ToyContext) -> None:
    """The same for a sample whatever else is asked for, another one for another sample or seed."""
    everything = {(r["joint"], r["mask"]): r for r in rows_of(context, context.patches)}
    again = rows_of(context, context.patches, masks=["normal"])
    assert again == [everything[0, "normal"], everything[1, "normal"]]
    assert rows_of(context, context.patches, "1-2", masks=["normal"])[0]["change_attr"] != again[0]["change_attr"]
    smooth = torch.linspace(0, 1, SIDE * SIDE).view(1, SIDE, SIDE).expand(2, -1, -1)  # permuted maps of it never tie
    one, other = (rows_of(context, smooth, i, masks=["mean"]) for i in ("1-1", "1-2"))
    assert one[0]["change_random"] != other[0]["change_random"], "permutations too"
    context.seed = 1
    assert rows_of(context, context.patches, masks=["normal"])[0]["change_attr"] != again[0]["change_attr"]


def test_chunks_change_nothing(context: ToyContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """One image at a time gives the rows of 64 at a time; every joint costs masks x (1 + n_random) predictions."""
    context.seen = 0
    whole = rows_of(context, context.patches)
    assert context.seen == 1 + 2 * 4 * 6  # one is the finding's own
    monkeypatch.setattr(perturbation, "_AT_ONCE", 1)
    assert rows_of(context, context.patches) == whole


def test_a_joint_without_a_map_or_annotation_has_a_reason(context: ToyContext) -> None:
    """NaN, never 0, and nothing is predicted for it."""
    maps = context.patches.double()
    maps[0] = torch.nan
    context.seen = 0
    rows = rows_of(context, maps, masks=["mean"], visible=[True, False])
    assert [row["reason"] for row in rows] == ["zero_map", "not_visible"]
    for name in ("error_attr", "error_random", "change_attr", "change_random", "ratio"):
        assert all(math.isnan(row[name]) for row in rows)
    assert context.seen == 1


def test_a_joint_that_nothing_moves_has_no_ratio(context: ToyContext) -> None:
    """0 / 0 is NaN with a reason; its changes are 0 and count."""
    context.gain = context.gain * 0
    row = rows_of(context, context.patches, masks=["mean"])[0]
    assert (row["change_attr"], row["change_random"], row["reason"]) == (0, 0, "random_unchanged")
    assert math.isnan(row["ratio"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"masks": "mean"}, "a list"), ({"masks": []}, "a list"), ({"masks": ["mean", "mean"]}, "different"),
     ({"masks": ["maen"]}, "'mean'"), ({"n_random": 0}, "at least 1"), ({"n_random": 1.5}, "whole number")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    """With what was got and expected."""
    with pytest.raises(ConfigError, match=message):
        configured(Perturbation(), settings, "study")


# ---- the section -----------------------------------------------------------------------------------------------------


def table(changes: dict[str, list[tuple[float, float]]], name: str = "left_hip") -> list[dict[str, Any]]:
    """Rows of one joint from (change_attr, change_random) by person."""
    return [
        {"sample_id": person, "joint": 0, "joint_name": name, "group": "trunk", "mask": "mean", "unit": "px",
         "error": 1.0, "error_attr": 1 + a, "error_random": 1 + r, "change_attr": a, "change_random": r,
         "ratio": a / r if r else math.nan, "reason": "" if r else "random_unchanged"}
        for person, pairs in changes.items() for a, r in pairs
    ]  # fmt: skip


def test_the_ratio_is_of_means_not_a_mean_of_ratios() -> None:
    """(2 + 4) / (1 + 3) = 1.5, where the mean of 2 and 4/3 is 1.67; a joint that chance left alone counts too."""
    assert error_ratio(pl.DataFrame(table({"1": [(2, 1)], "2": [(4, 3)]}))).mean == pytest.approx(1.5)
    assert error_ratio(pl.DataFrame(table({"1": [(2, 1)], "2": [(4, 0)]}))).mean == pytest.approx(6)


def test_the_interval_is_over_persons_and_may_be_open_above() -> None:
    """Persons all alike: no width however many joints; where most persons' denominators are 0, no upper end."""
    alike = error_ratio(pl.DataFrame(table({str(i): [(3, 1), (1, 1)] for i in range(5)})))
    assert (alike.n, alike.low, alike.high) == (10, pytest.approx(2), pytest.approx(2))
    open_above = error_ratio(pl.DataFrame(table({str(i): [(4, i == 0)] for i in range(6)})))
    assert 0 < open_above.low < open_above.mean == 24
    assert open_above.high == math.inf


def section_of(rows: list[dict[str, Any]], run: dict[str, Any] | None = None) -> Any:
    store: Any = toy_store("perturbation", rows, toy_groups(["left_hip", "right_hip"], ["trunk"] * 2), run)
    return Perturbation().section(store)


def test_left_and_right_are_one_line_and_the_lead_counts_intervals() -> None:
    """Ten persons with 3 on the left and 1 on the right: R_E = 2 for sure; then 0.5."""
    left, right = ({str(i): [(a, 1.0)] for i in range(10)} for a in (3.0, 1.0))
    section = section_of(table(left) + table(right, "right_hip"))
    lines = section.blocks[0].rows
    assert [line[:3] for line in lines] == [("hip", "trunk", 20)]
    assert isinstance(lines[0][3], Estimate)
    assert lines[0][3].mean == pytest.approx(2)
    assert "above 1 for 1 of 1 with mask 'mean'" in section.lead
    assert "10 persons, 20 joints" in section.lead
    assert "only 10 persons" not in section.lead
    low = section_of(table({str(i): [(0.5, 1.0)] for i in range(6)}))
    assert "above 1 for 0 of 1" in low.lead
    assert "below 1 in 1 case" in low.lead
    assert "only 6 persons" in low.lead


def test_one_person_has_no_interval_and_the_lead_says_so() -> None:
    """Nothing is claimed."""
    assert "nothing can be said" in section_of(table({"1": [(3, 1)]})).lead


@pytest.mark.parametrize(
    ("backbone", "data", "shown"), [("ResNet", "coco", True), ("MobileNetV2", "coco", False), ("ResNet", "mpii", False)]
)
def test_published_figures_stand_beside_such_a_model_on_such_data_alone(backbone: str, data: str, shown: bool) -> None:
    """In a table of their own that says whose they are."""
    run = {"model": {"adapter": "heatmap", "backbone": backbone}, "dataset": {"name": data}}
    captions = [b.caption for b in section_of(table({"1": [(3, 1)], "2": [(2, 1)]}), run).blocks]
    assert any("NOT of this run" in c for c in captions) is shown


def test_no_rows_no_section() -> None:
    """And a run in which nothing could be measured says that."""
    store: Any = toy_store("another", [{"sample_id": "1"}])
    assert Perturbation().section(store) is None
    unknown = [row | {"change_attr": math.nan, "change_random": math.nan} for row in table({"1": [(1, 0)]})]
    assert "no R_E" in section_of(unknown).lead


def test_importing_the_studies_loads_no_torch() -> None:
    """They are listed without a model."""
    code = "import sys, poseig_mm.studies.perturbation.study;"
    code += "import poseig_mm.studies.insertion_deletion.study as d; d.InsertionDeletion()"
    code += "; sys.exit(' '.join({'torch', 'mmpose', 'matplotlib'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_run_has_its_rows_and_its_section(tiny_files: tiny, tmp_path: Path) -> None:
    """Three persons with ten visible joints, two masks; errors are those of the joints' table, and the page shows
    them.
    """
    study = {"type": "perturbation", "n_random": 2, "masks": ["mean", "normal"]}
    made = session(tiny_files, tmp_path, {"studies": [study]})
    store = made.run()
    rows = store.study("perturbation")
    assert len(rows) == 3 * 17 * 2
    measured = rows.filter(pl.col("change_attr").is_finite())
    assert len(measured) == 10 * 2
    joined = measured.join(store.joints(), on=["sample_id", "joint"])
    assert (joined["error"] - joined["epe"]).abs().max() < 1e-4
    assert not store.failures
    page = made.build_report(store).read_text()
    assert "do the maps mark what matters" in page
    assert not made.host.failures
