"""Curves and areas of a model whose answers are known, and what the section says of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import torch
from tiny import session
from toy_context import ToyContext, toy_finding, toy_groups, toy_store

from poseig_mm.errors import ConfigError
from poseig_mm.settings_fields import configured
from poseig_mm.studies.insertion_deletion.study import InsertionDeletion

if TYPE_CHECKING:
    from tiny import tiny

SIDE = 16
SHARE = 1 / 16  # of the pixels is the patch
GAIN, ALPHA = 20.0, 0.1
MOVED = GAIN * (1 - SHARE)  # px: the patch of ones becomes the image's mean, 1/16
GONE = math.exp(-ALPHA * MOVED)  # the likelihood then
FRACTIONS = (0, SHARE / 2, SHARE, 0.5, 1)


@pytest.fixture
def context() -> ToyContext:
    """One joint; its patch of 4 x 4 is 1 in an image of 0, and its EPE is 0."""
    image = torch.zeros(3, SIDE, SIDE, dtype=torch.float64)
    image[:, :4, :4] = 1
    truth = torch.tensor([[3.0, 5.0]], dtype=torch.float64)
    return ToyContext(image, image[:1] > 0, truth, torch.tensor([GAIN]).double(), toy_groups(["nose"]))


def rows_of(
    context: ToyContext, map: torch.Tensor, sample_id: str = "1-1", **settings: Any
) -> dict[str, dict[str, Any]]:
    """The joint's rows by kind."""
    study = InsertionDeletion(**{"fractions": FRACTIONS, "baseline": "mean", "alpha": ALPHA, **settings})
    rows = study.sample_rows(toy_finding(context, map.double(), sample_id), context)
    return {row["kind"]: dict(row) for row in rows}


def curve(row: dict[str, Any], name: str) -> list[float]:
    return [row[f"{name}_{i}"] for i in range(len(FRACTIONS))]


def test_a_map_on_the_patch_loses_the_joint_at_once(context: ToyContext) -> None:
    """Half of the patch replaced moves it by half; after the patch nothing changes.  Areas by trapezoids."""
    row = rows_of(context, context.patches)["deletion"]
    assert curve(row, "error") == pytest.approx([0, MOVED / 2, MOVED, MOVED, MOVED])
    assert row["area_error"] == pytest.approx(MOVED * SHARE / 2 + MOVED * (1 - SHARE))
    half = math.exp(-ALPHA * MOVED / 2)
    assert curve(row, "value") == pytest.approx([1, half, GONE, GONE, GONE])
    assert row["area"] == pytest.approx(SHARE / 2 * (1 / 2 + half + GONE / 2) + (1 - SHARE) * GONE)


def test_a_map_on_the_patch_finds_the_joint_at_once(context: ToyContext) -> None:
    """Insertion is the other way round: from 18.75 px to 0 when the patch is there."""
    row = rows_of(context, context.patches)["insertion"]
    assert curve(row, "error") == pytest.approx([MOVED, MOVED / 2, 0, 0, 0])
    assert row["area_error"] == pytest.approx(MOVED * SHARE / 2)
    assert row["fractions"] == "0 0.03125 0.0625 0.5 1"


def test_a_map_that_marks_all_but_the_patch_finds_it_last(context: ToyContext) -> None:
    """At half of the pixels it has not moved yet; only the last step, a straight line, has an area."""
    row = rows_of(context, ~context.patches)["deletion"]
    assert curve(row, "error") == pytest.approx([0, 0, 0, 0, MOVED])
    assert row["area_error"] == pytest.approx(MOVED / 4)


def test_a_random_order_moves_it_by_the_fraction_on_average(context: ToyContext) -> None:
    """The patch loses its share of what goes: E = f * 18.75 px, area half of it, within 5 standard errors of 300
    orders.
    """
    row = rows_of(context, context.patches, n_random=300)["deletion"]
    spread = MOVED * (0.25 / 16) ** 0.5  # of one order's E at most, at f = 1/2, were the pixels drawn with replacement
    for found, fraction in zip(curve(row, "random_error"), FRACTIONS, strict=True):
        assert abs(found - fraction * MOVED) <= 5 * spread / 300**0.5
    assert row["area_error_random"] == pytest.approx(MOVED / 2, abs=5 * spread / 300**0.5)


def test_the_difference_is_the_maps_area_minus_the_random_one(context: ToyContext) -> None:
    """Less likelihood is left in deletion, more in insertion; the distances go the other way."""
    for kind, sign in (("deletion", -1), ("insertion", 1)):
        row = rows_of(context, context.patches)[kind]
        assert row["difference"] == pytest.approx(row["area"] - row["area_random"])
        assert row["difference"] * sign > 0.1
        assert row["difference_error"] == pytest.approx(row["area_error"] - row["area_error_random"])
        assert row["difference_error"] * sign < -1


def test_the_blurred_image_is_the_default_baseline(context: ToyContext) -> None:
    """With everything replaced, the joint is where the model puts it on gamma(0)."""
    from poseig_mm.functional import BlurPath

    context.image = torch.nn.functional.pad(context.image, (0, 8, 0, 8))
    context.patches = context.image[:1] > 0
    baseline = BlurPath()(context.image[None], torch.zeros(1))[0]
    expected = (context.coordinates(baseline) - context.truth).norm()
    row = rows_of(context, context.patches, baseline="blur")["deletion"]
    assert 0.1 < expected < GAIN
    assert row["error_4"] == pytest.approx(float(expected))


def test_random_orders_are_the_samples_own(context: ToyContext) -> None:
    """The same for a sample each time, others for another sample."""
    first, again, other = (rows_of(context, context.patches, i)["deletion"] for i in ("1-1", "1-1", "1-2"))
    assert first == again
    assert first["area_random"] != other["area_random"]


def test_a_joint_without_a_map_has_a_reason_and_costs_nothing(context: ToyContext) -> None:
    """NaN in every number."""
    context.seen = 0
    row = rows_of(context, torch.full((1, SIDE, SIDE), torch.nan))["insertion"]
    assert row["reason"] == "zero_map"
    assert all(math.isnan(v) for v in row.values() if isinstance(v, float))
    assert context.seen == 1  # the finding's own


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"fractions": [0.1, 1]}, "rise from 0 to 1"), ({"fractions": [0, 0.5]}, "rise from 0 to 1"),
     ({"fractions": [0, 0.5, 0.5, 1]}, "rise from 0 to 1"), ({"fractions": []}, "rise from 0 to 1"),
     ({"baseline": "black"}, "'blur', 'mean'"), ({"alpha": 0}, "above 0"), ({"n_random": 0}, "at least 1")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    """With what was got and expected."""
    with pytest.raises(ConfigError, match=message):
        configured(InsertionDeletion(), settings, "study")


def section_of(context: ToyContext, persons: int, map: torch.Tensor) -> Any:
    rows = [row for i in range(persons) for row in rows_of(context, map, f"1-{i}").values()]
    store: Any = toy_store("insertion_deletion", rows, context.groups)
    return InsertionDeletion().section(store)


def test_the_lead_says_which_way_the_areas_go(context: ToyContext) -> None:
    """A good map of 9 persons is as it should be and is tested; the opposite map of 6 is not, and 6 are too few."""
    good, bad = section_of(context, 9, context.patches), section_of(context, 6, ~context.patches)
    assert good.lead.count("as it should be") == 2
    assert "9 persons, 9 joints" in good.lead
    p = [row[-1] for row in good.blocks[1].rows]
    assert all(0 < value < 0.05 for value in p)
    assert bad.lead.count("the wrong way round") == 2
    assert "only 6 persons" in bad.lead
    assert all(math.isnan(row[-1]) for row in bad.blocks[1].rows)


def test_no_rows_no_section() -> None:
    """Nor for a run of other studies."""
    store: Any = toy_store("another", [{"sample_id": "1"}])
    assert InsertionDeletion().section(store) is None


def test_a_run_has_its_rows_and_its_section(tiny_files: tiny, tmp_path: Path) -> None:
    """Three persons with ten visible joints, both kinds; both curves end where the other begins, and the page shows
    them.
    """
    study = {"type": "insertion_deletion", "fractions": [0, 0.1, 1], "n_random": 1}
    made = session(tiny_files, tmp_path, {"studies": [study]})
    store = made.run()
    rows = store.study("insertion_deletion")
    assert len(rows) == 3 * 17 * 2
    measured = rows.filter(pl.col("area").is_finite())
    assert len(measured) == 10 * 2
    deleted, inserted = (measured.filter(kind=k).sort("sample_id", "joint") for k in ("deletion", "insertion"))
    assert (deleted["error_0"] - inserted["error_2"]).abs().max() < 1e-3
    joined = deleted.join(store.joints(), on=["sample_id", "joint"])
    assert (joined["error_0"] - joined["epe_soft"]).abs().max() < 1e-3
    assert not store.failures
    assert "Insertion and deletion" in made.build_report(store).read_text()
    assert not made.host.failures
