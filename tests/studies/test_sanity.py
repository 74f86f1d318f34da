"""The sanity study on a model whose evidence is known: a patch that holds a chequered pattern."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from study_toy import NAMES, ToyContext, attribution, finding, sample
from torch import Tensor
from toy_context import toy_store

from poseig_mm.errors import ConfigError
from poseig_mm.studies.sanity.section import joint_verdicts, overall_verdict, sanity_section
from poseig_mm.studies.sanity.study import METHODS, Sanity
from poseig_mm.summary.sentences import format_p

SIDE, PATCH, REACH = 32, 8, 30.0  # px of the image and of the patch; px that a joint moves when its patch is gone
CORNERS = ((4, 6), (18, 20))  # of each joint's patch (row, column)
TRUTH = torch.tensor([[10.0, 8.0], [24.0, 22.0]], dtype=torch.float64)


def chequers() -> Tensor:
    """+1 and -1, (8, 8): no blurred or grey image has any of it."""
    rows, columns = torch.meshgrid(torch.arange(PATCH), torch.arange(PATCH), indexing="ij")
    return (1 - 2 * ((rows + columns) % 2)).double()


def window(images: Tensor, joint: int) -> Tensor:
    top, left = CORNERS[joint]
    return images[..., top : top + PATCH, left : left + PATCH]


class Evidence:
    """Joint k is at its truth while its patch is chequered, and moves to the right by 30 px as the pattern goes."""

    def __call__(self, images: Tensor) -> Tensor:
        coords = TRUTH.expand(len(images), -1, -1).clone()
        for k in range(2):
            coords[:, k, 0] += REACH * (1 - (window(images, k) * chequers()).mean((1, 2, 3)))
        return coords


def picture(i: int) -> Tensor:
    image = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(i), dtype=torch.float64)
    for k in range(2):
        window(image, k)[:] = chequers()
    return image


def on_patch(joint: int) -> Tensor:
    found = torch.zeros(SIDE, SIDE, dtype=torch.float64)
    window(found, joint)[:] = 1.0
    return found


def beside(joint: int) -> Tensor:
    """A patch of the same size where there is nothing."""
    return on_patch(joint).roll(14, 1)


def noise(i: int) -> Tensor:
    return torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(100 + i), dtype=torch.float64)


Maps = Callable[[int], Tensor]  # person -> (2, H, W)
GOOD: Maps = lambda i: torch.stack([on_patch(0), on_patch(1)])  # noqa: E731
BAD: Maps = lambda i: torch.stack([beside(0), beside(1)])  # noqa: E731


def rows_of(run: Maps, gradient: Maps = noise, linear: Maps = noise, persons: int = 10) -> pl.DataFrame:
    """The study's table, with ready maps for each method."""

    def maps(about: Any, changes: dict[str, Any]) -> Tensor:
        return (gradient if changes["method"] == "gradient" else linear)(int(about.sample_id))

    context, rows = ToyContext(Evidence(), maps), []
    for i in range(persons):
        about = sample(str(i), picture(i), TRUTH)
        rows += Sanity().sample_rows(finding(about, attribution(run(i)), TRUTH), context)
    return pl.DataFrame(rows)


@pytest.fixture(scope="module")
def good() -> pl.DataFrame:
    return rows_of(GOOD, BAD, noise, 12)


def mean(rows: pl.DataFrame, method: str, column: str) -> float:
    return float(rows.filter(pl.col("method") == method)[column].to_numpy().mean())


def test_numbers_of_a_map_on_the_evidence_are_those_by_hand(good: pl.DataFrame) -> None:
    """Each of 64 pixels gone moves the joint by 30 / 64 px; greyed out wholly, by 30 px."""
    fractions = [0, 0.02, 0.05, 0.1, 0.2, 0.4]
    left = [math.exp(-0.075 * REACH * min(1, round(f * SIDE**2) / PATCH**2)) for f in fractions]
    area = (
        sum((b - a) * (x + y) / 2 for a, b, x, y in zip(fractions, fractions[1:], left, left[1:], strict=False)) / 0.4
    )
    assert mean(good, "run", "deletion") == pytest.approx(area, abs=0.02)  # the blurred patch keeps a trace
    assert mean(good, "run", "change") == pytest.approx(REACH, abs=1e-9)
    assert mean(good, "run", "change_permuted") == pytest.approx(REACH * PATCH**2 / SIDE**2, rel=0.2)


def test_a_map_beside_the_evidence_changes_nothing(good: pl.DataFrame) -> None:
    """Grey there leaves the joint where it is; the permuted map hits some of the evidence, so the gain is negative."""
    assert mean(good, "gradient", "change") == 0
    assert mean(good, "gradient", "gain") == pytest.approx(-REACH * PATCH**2 / SIDE**2, rel=0.2)


def test_pixels_of_equal_value_go_in_random_order(good: pl.DataFrame) -> None:
    """Beside the evidence the map is 0: with a tenth of the pixels gone, 4 % of the rest are, wherever the joint is."""
    rows = good.filter(pl.col("method") == "gradient")
    upper, lower = (rows.filter(pl.col("joint") == k)["deletion"].to_numpy().mean() for k in (0, 1))
    assert upper == pytest.approx(lower, abs=0.05)


def test_the_random_control_gains_nothing(good: pl.DataFrame) -> None:
    """The run's map, permuted: it hits as much of the evidence as any other permutation does."""
    assert mean(good, "random", "change") == pytest.approx(REACH * PATCH**2 / SIDE**2, rel=0.25)
    assert abs(mean(good, "random", "gain")) < 0.5


def test_the_method_on_the_evidence_wins(good: pl.DataFrame) -> None:
    """Trusted; better than both others in both measures; both joints too."""
    verdict = overall_verdict(good)
    assert (verdict.word, verdict.persons) == ("may be trusted", 12)
    assert {verdict.outcome(o, m) for o, m in verdict.tests} == {1}
    assert [v.word for v in joint_verdicts(good, [0, 1]).values()] == ["may be trusted"] * 2


def test_a_map_beside_the_evidence_may_not_be_trusted() -> None:
    """It does worse than chance."""
    rows = rows_of(BAD, persons=12)
    assert overall_verdict(rows).word == "may not be trusted"
    assert [v.word for v in joint_verdicts(rows, [0, 1]).values()] == ["may not be trusted"] * 2


def test_noise_gets_no_verdict() -> None:
    """The run's maps are random too: nothing is claimed."""
    verdict = overall_verdict(rows_of(noise, GOOD))
    assert verdict.word == "no verdict"
    assert {verdict.outcome("gradient", m) for m in ("deletion", "gain")} == {-1}


def test_equal_methods_are_not_told_apart() -> None:
    """The gradient's maps are the run's: every difference is exactly 0."""
    verdict = overall_verdict(rows_of(GOOD, GOOD))
    for measure in ("deletion", "gain"):
        comparison, p = verdict.tests["gradient", measure]
        assert (comparison.difference.mean, p) == (0.0, 1.0)
        assert verdict.outcome("gradient", measure) == 0


def test_one_joint_may_fail() -> None:
    """Joint 0 on its evidence, joint 1 noise: trusted as a whole, and the joint that is not is named."""
    rows = rows_of(lambda i: torch.stack([on_patch(0), noise(i)[1]]), persons=12)
    found = joint_verdicts(rows, [0, 1])
    assert [found[k].word for k in (0, 1)] == ["may be trusted", "no verdict"]
    lead = section_of(rows).lead
    assert lead.startswith("These maps may be trusted on this model")
    assert "Not for left wrist" in lead


def test_too_few_persons_get_no_verdict() -> None:
    """Seven, however clear the numbers are; they are shown without p."""
    rows = rows_of(GOOD, persons=7)
    assert overall_verdict(rows).word == "too few persons"
    section = section_of(rows)
    assert section.lead.startswith("No verdict: 7 persons")
    table = section.blocks[1]
    assert [math.isnan(p) for row in table.rows for p in row[2::2]] == [True] * 6  # type: ignore[union-attr]


def test_a_joint_of_eight_persons_among_many_cannot_be_tested() -> None:
    """Least p 2 / 2^8, times two joints is enough, times seven is not; the page says so, and no verdict is claimed."""
    rows = rows_of(GOOD, persons=8)
    many = pl.concat([rows.with_columns(pl.col("joint") + 2 * i) for i in range(4)]).filter(pl.col("joint") < 7)
    few, found = joint_verdicts(rows, [0, 1]), joint_verdicts(many, list(range(7)))
    assert {v.word for v in few.values()} == {"may be trusted"}
    assert {v.word for v in found.values()} == {"too few persons"}
    p = found[0].tests["random", "gain"][1]
    assert format_p(p) == "cannot be significant with n = 8"


def test_two_persons_an_image_are_no_verdict() -> None:
    """Fourteen persons in seven images."""
    rows = rows_of(GOOD, persons=14)
    ids = rows["sample_id"].unique(maintain_order=True).to_list()
    image = pl.col("sample_id").replace_strict({name: f"i{i // 2}" for i, name in enumerate(ids)})
    assert overall_verdict(rows).word == "may be trusted"
    assert overall_verdict(rows.with_columns(image.alias("image_id"))).word == "too few persons"


def test_a_better_gradient_is_said_so() -> None:
    """Beats chance, but the plain gradient beats it: both are in the lead."""

    def half(i: int) -> Tensor:
        return torch.stack([on_patch(k) * 0.5 + noise(i)[k] * 0.6 for k in range(2)]) / 1.1

    lead = section_of(rows_of(half, GOOD)).lead
    assert "may be trusted" in lead
    assert "But the plain gradient is better in" in lead


def test_the_section_is_the_first_of_the_page(good: pl.DataFrame) -> None:
    """Before the indices (100), and with a row a method and a joint."""
    section = section_of(good)
    assert section.order == 5
    assert [len(b.rows) for b in section.blocks] == [4, 3, 2]  # type: ignore[union-attr]
    assert [row[0] for row in section.blocks[2].rows] == ["nose", "left wrist"]  # type: ignore[union-attr]


def test_joints_without_a_map_have_a_reason() -> None:
    """The run has no map: no number for any method; the gradient has none: no number for it alone."""
    nothing = torch.full((SIDE, SIDE), math.nan, dtype=torch.float64)
    rows = rows_of(
        lambda i: torch.stack([nothing, on_patch(1)]), lambda i: torch.stack([on_patch(0), nothing]), persons=1
    )
    found = {(r["joint"], r["method"]): (r["reason"], math.isnan(r["deletion"])) for r in rows.to_dicts()}
    assert {found[0, m] for m in METHODS} == {("zero_map", True)}
    assert [found[1, m] for m in METHODS] == [("", False), ("no_map", True), ("", False), ("", False)]


def test_a_sample_has_the_same_numbers_whatever_came_before(good: pl.DataFrame) -> None:
    """Seeds come from the sample's id."""
    alone = rows_of(GOOD, BAD, noise, 1)
    assert alone.equals(good.filter(pl.col("sample_id") == "0"))


@pytest.mark.parametrize(
    "settings", [{"fractions": (0.1, 0.05)}, {"fractions": ()}, {"fractions": (0.5, 1.5)}, {"alpha": 0}, {"nodes": 0}]
)
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    """With the setting's name."""
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Sanity(**settings)


def test_a_whole_run_with_the_study(tiny_files: Any, tmp_path: Path) -> None:
    """All methods of every visible joint have numbers, through the run's own methods; a section that says: too few."""
    from tiny import run

    store = run(tiny_files, tmp_path / "work", {"studies": [{"type": "sanity", "nodes": 2}]})
    rows = store.study("sanity")
    assert store.failures == ()
    assert len(rows) == 4 * int(store.joints()["visible"].sum())
    assert rows["deletion"].is_finite().all()
    assert rows["deletion"].min() > 0
    assert rows["deletion"].max() <= 1
    section = Sanity().section(store)
    assert section is not None
    assert section.lead.startswith("No verdict: 3 persons")


def section_of(rows: pl.DataFrame) -> Any:
    assert set(rows["joint_name"]) == set(NAMES)
    return sanity_section(toy_store("sanity", rows.to_dicts()), "sanity")  # type: ignore[arg-type]
