"""Dependency of a model whose joint B reads the pixels of A, and what the section says of it."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted import record, store_of
from toy_context import ToyContext, toy_finding

from poseig_mm.errors import ConfigError
from poseig_mm.functional.perturbation import shifted_masks, strongest_pixels
from poseig_mm.settings_fields import configured
from poseig_mm.store import Store
from poseig_mm.studies.dependency.study import Dependency
from poseig_mm.types import JointGroups, Picture, Section, Table

SIDE, PATCH = 16, 4  # px; a patch has 16 of 256 pixels
FRACTION = PATCH**2 / SIDE**2
A, B, C = 0, 1, 2
NAMES = ("left_hip", "left_knee", "left_ankle")
GROUPS = JointGroups(NAMES, ("trunk", "branch", "leaf"), (-1, 0, 1), (), ((0, 1), (1, 2)))
PLACES = torch.tensor([[2.0, 2.0], [12.0, 4.0], [3.0, 12.0]], dtype=torch.float64)
GAIN = 10.0  # px for a change of 1
RI = {"name": "ri", "title": "RI", "unit": "1", "meaning": "", "kind": "relation", "neutral": 1.0}


def patches() -> torch.Tensor:
    """Three squares that do not touch."""
    found = torch.zeros(3, SIDE, SIDE, dtype=torch.bool)
    found[A, :PATCH, :PATCH] = found[B, 2 : 2 + PATCH, -PATCH:] = found[C, -PATCH:, 1 : 1 + PATCH] = True
    return found


def context(bright: float = 1.0) -> ToyContext:
    """Patches of this value in an image of 0; joint B is read off its own patch and A's, A and C off their own."""
    own = patches()
    image = torch.zeros(3, SIDE, SIDE, dtype=torch.float64)
    image[:, own.any(0)] = bright
    read = own.clone()
    read[B] |= own[A]
    return ToyContext(image, read, PLACES, torch.full((3,), GAIN, dtype=torch.float64), GROUPS)


def maps() -> torch.Tensor:
    """Each joint's map is largest on its own patch; B's has half as much on A's."""
    found = patches().double()
    found[B] += 0.5 * patches()[A]
    return found


def rows_of(sample_id: str = "1-1", bright: float = 1.0, *, visible: Any = None, **settings: Any) -> list[Any]:
    model = context(bright)
    study = Dependency(**{"fraction": FRACTION, "baseline": "mean", **settings})
    return [dict(row) for row in study.sample_rows(toy_finding(model, maps(), sample_id, visible=visible), model)]


def test_b_gets_lost_with_the_evidence_of_a_and_nothing_else_does() -> None:
    """A patch becomes the mean colour 3/16: its mean falls by 13/16; half of B's pixels are A's, half its own."""
    rows = {(row["joint"], row["other"]): row for row in rows_of()}
    assert set(rows) == set(itertools.product(range(3), repeat=2))
    whole = GAIN * (1 - 3 * FRACTION)
    moved = {(A, A): whole, (A, B): whole / 2, (B, B): whole / 2, (C, C): whole}
    for pair, row in rows.items():
        assert row["error"] == 0
        assert row["error_erased"] == pytest.approx(moved.get(pair, 0.0), abs=1e-12), pair
        assert row["likelihood_erased"] == pytest.approx(math.exp(-0.075 * moved.get(pair, 0.0)))
        assert row["effect"] == pytest.approx(row["error_erased"] - row["error_control"])
        assert (row["effect"] > 0) == (pair in moved), pair
        assert (row["likelihood_effect"] < 0) == (pair in moved), pair


def test_the_control_is_the_damage_of_any_such_patch() -> None:
    """The mean over draws is that over all 256 shifts of the patch, within 5 standard errors."""
    model, draws = context(), 400
    rows = {(row["joint"], row["other"]): row for row in rows_of(n_random=draws)}
    shifts = [patches()[A].roll((y, x), (0, 1)) for y in range(SIDE) for x in range(SIDE)]
    images = torch.stack([torch.where(mask, model.image.mean(), model.image) for mask in shifts])
    errors = (model.predict(images) - PLACES).norm(dim=-1)  # (256, 3)
    for other in (A, B, C):
        error = 5 * float(errors[:, other].std()) / draws**0.5
        assert rows[A, other]["error_control"] == pytest.approx(float(errors[:, other].mean()), abs=error)
        assert rows[A, other]["error_control"] > 0


def test_no_damage_no_effect() -> None:
    """An image of one colour, whose mean it is: nothing moves, erased or not."""
    assert {(row["error_erased"], row["error_control"], row["effect"]) for row in rows_of(bright=0.0)} == {(0, 0, 0)}


def test_only_visible_joints_take_part() -> None:
    """Neither as A nor as B."""
    pairs = {(row["joint"], row["other"]) for row in rows_of(visible=[True, False, True])}
    assert pairs == {(A, A), (A, C), (C, A), (C, C)}


def test_a_joint_without_a_map_says_why() -> None:
    """One row with the reason, and it is still looked at as B."""
    model, given = context(), maps()
    given[C] = torch.nan
    finding = toy_finding(model, given)
    rows = [dict(row) for row in Dependency(fraction=FRACTION).sample_rows(finding, model)]
    assert [(row["joint"], row["reason"]) for row in rows if row["reason"]] == [(C, "zero_map")]
    assert {(row["joint"], row["other"]) for row in rows if not row["reason"]} == set(
        itertools.product((A, B), range(3))
    )


def test_rows_do_not_depend_on_what_came_before() -> None:
    """Seeded by the run and the sample; another sample has other controls. Each joint costs 1 + n_random forwards."""
    model = context()
    finding = toy_finding(model, maps())
    study, seen = Dependency(fraction=FRACTION, n_random=5), model.seen
    first = study.sample_rows(finding, model)
    assert model.seen - seen == 3 * (1 + 5)
    assert first == study.sample_rows(finding, model)
    other = study.sample_rows(toy_finding(model, maps(), "1-2"), model)
    assert [row["error_control"] for row in other] != [row["error_control"] for row in first]


def test_most_joints_are_the_chosen_ones() -> None:
    """At most so many A, each with every B."""
    rows = rows_of(joints=1)
    assert len({row["joint"] for row in rows}) == 1
    assert {row["other"] for row in rows} == {A, B, C}


def test_the_strongest_pixels_are_those_above_zero() -> None:
    """Half of the pixels asked for, a quarter not 0: a quarter."""
    grade = torch.tensor([[0.0, 0.0], [0.0, 0.3]])
    assert strongest_pixels(grade, 0.5, torch.Generator()).tolist() == [[False, False], [False, True]]
    assert strongest_pixels(torch.ones(10, 10), 0.07, torch.Generator()).sum() == 7


def test_shifts_reach_every_place_alike() -> None:
    """A single pixel of 4 x 3: each place within 5 standard errors of a twelfth of the draws."""
    mask = torch.zeros(4, 3, dtype=torch.bool)
    mask[0, 0] = True
    hits = shifted_masks(mask, 2400, torch.Generator().manual_seed(1)).sum(0)
    assert ((hits - 200).abs() < 5 * (2400 / 12 * 11 / 12) ** 0.5).all()


def made(path: Path, persons: int) -> Store:
    """Persons who differ in how bright their patches are; RI is 5 from A's map to B, else 1."""
    names = [f"person{i}" for i in range(persons)]
    rows = [row for i, name in enumerate(names) for row in rows_of(name, 0.5 + 0.1 * i)]
    places = PLACES.numpy()
    people = [record(name, places, places, groups=GROUPS, ri={(A, B): 5.0}) for name in names]
    return store_of(path, people, "dependency", rows, groups=GROUPS, indices=[RI])


def section_of(store: Store) -> Section:
    section = Dependency().section(store)
    assert section is not None
    return section


def lines(section: Section, start: str) -> list[tuple[Any, ...]]:
    return [row for b in section.blocks if isinstance(b, Table) and b.caption.startswith(start) for row in b.rows]


def test_the_section_names_the_one_pair(tmp_path: Path) -> None:
    """Of six pairs of different joints, the error of B without A's evidence alone rises; RI goes with it."""
    section = section_of(made(tmp_path, 12))
    assert "Of 6 pairs with at least 8 persons, 1 have an interval above 0" in section.lead
    assert "the strongest: left_knee without the evidence of left_hip" in section.lead
    first = lines(section, "The ")[0]
    assert first[:3] == ("left_hip", "left_knee", 12)
    whole = GAIN * (1 - 3 * FRACTION) * (0.5 + 0.1 * 5.5)  # at the mean brightness
    assert first[4] == pytest.approx(whole / 2)
    assert first[6].low > 0 > first[7].high
    assert first[8].mean == 5.0
    by_kind = {line[0]: line for line in lines(section, "By what B is to A")}
    assert by_kind["B is A's child"][2].mean > 0 > by_kind["B is A's parent"][2].mean
    assert by_kind["A itself"][1] == 36
    assert "Rank correlation with the effect" in section.lead


def test_the_matrix_and_the_graph_show_it(tmp_path: Path) -> None:
    """The cell of A and B is the mean effect, and the only arrow upwards."""
    section = section_of(made(tmp_path, 12))
    matrix, graph = (b.figure for b in section.blocks if isinstance(b, Picture))
    cells = np.asarray(matrix.axes[0].images[0].get_array())  # type: ignore[union-attr]
    effect = lines(section, "The ")[0][6].mean
    assert cells[A, B] == pytest.approx(effect)
    assert (cells > 0).sum() == 4
    arrows = graph.axes[0].patches  # type: ignore[union-attr]
    assert sum(arrow.get_edgecolor()[0] > 0.8 for arrow in arrows) == 1


def test_few_persons_name_no_pair(tmp_path: Path) -> None:
    """Fewer than 8: no pair can be named, and no arrow is drawn."""
    section = section_of(made(tmp_path, 3))
    assert "no single pair can be named" in section.lead
    graph = [b.figure for b in section.blocks if isinstance(b, Picture)][1]
    assert not list(graph.axes[0].patches)  # type: ignore[union-attr]


def test_without_maps_the_section_says_so(tmp_path: Path) -> None:
    """Every joint lacks its map: a table of reasons."""
    row = {"sample_id": "a", "joint": 0, "joint_name": NAMES[0], "group": "trunk", "reason": "zero_map"}
    people = [record("a", PLACES.numpy(), PLACES.numpy(), groups=GROUPS)]
    section = section_of(store_of(tmp_path, people, "dependency", [row], groups=GROUPS))
    assert section.lead == "No joint has a map whose evidence could be erased."
    assert len(section.blocks) == 1


@pytest.mark.parametrize(
    "settings", [{"fraction": 0}, {"fraction": 1}, {"n_random": 0}, {"baseline": "black"}, {"joints": 0}]
)
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    """What cannot be meant is a ConfigError."""
    with pytest.raises(ConfigError, match="dependency"):
        configured(Dependency(), settings, "study")
