"""What studies conclude from planted rows; that noise is no conclusion: see tests/summary/test_conclusions.py too."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from planted import PLACES, record, store_of
from test_shortcuts import VARIANTS, person, table

from poseig_mm.studies.easy_hard.study import EasyHard
from poseig_mm.studies.error_relation.study import ErrorRelation
from poseig_mm.studies.shortcuts.study import Shortcuts
from poseig_mm.types import PersonPicture

INDICES = [
    {"name": name, "title": name.upper(), "unit": "1", "kind": "joint", "meaning": "", "neutral": None}
    for name in ("di", "fi", "li")
]


@pytest.mark.parametrize(
    ("variant", "where"), [("mark", "a mark at a fixed offset (+9, \u22129 px)"), ("partner", "its left-right partner")]
)
def test_a_joint_that_is_read_from_elsewhere_comes_first(tmp_path: Path, variant: str, where: str) -> None:
    """Twelve persons with the left wrist's evidence planted: named, with how much more there is, and a treatment."""
    rows = table([person(i, VARIANTS[variant]) for i in range(12)])
    people = [record(name, PLACES, PLACES) for name in rows["sample_id"].unique(maintain_order=True)]
    study = Shortcuts()
    (only,) = study.conclusions(store_of(tmp_path, people, study.name, rows.to_dicts()))
    assert only.sentence.startswith(f"left_wrist is read from {where}: ")
    assert (only.cost, only.sure) == (math.inf, "shown")
    assert only.effect is not None
    assert only.effect.low > study.margin
    assert only.effect.n == 12
    assert "--treat shortcut_augmentation" in only.try_
    assert [p.joint for p in only.pictures if isinstance(p, PersonPicture)] == [9, 9, 9]


def test_honest_joints_are_no_conclusion(tmp_path: Path) -> None:
    """Every joint read from itself: nothing; nor without rows."""
    rows = table([person(i, VARIANTS["own"]) for i in range(12)])
    people = [record(name, PLACES, PLACES) for name in rows["sample_id"].unique(maintain_order=True)]
    study = Shortcuts()
    assert list(study.conclusions(store_of(tmp_path / "a", people, study.name, rows.to_dicts()))) == []
    assert list(study.conclusions(store_of(tmp_path / "b", people))) == []


def store_with_index(path: Path, slope: float, study: ErrorRelation | EasyHard) -> object:
    """24 persons whose errors differ; LI is 10 - slope * error + noise, DI and FI are noise."""
    random = np.random.default_rng(3)
    people = []
    for i in range(24):
        made = record(f"p{i:02d}", PLACES, PLACES + np.array([1.0 + 0.5 * i, 0.0]))
        joints = [
            {**row, "li": 10 - slope * row["epe"] + random.normal(), "di": random.normal(), "fi": random.normal()}
            for row in made.joints
        ]
        people.append(made.__class__(made.sample_id, {**made.sample, "mepe": 1.0 + 0.5 * i}, joints, made.relations))
    bare = store_of(path / "bare", people, indices=INDICES)
    return store_of(path / "full", people, study.name, study.store_rows(bare), indices=INDICES)


@pytest.mark.parametrize("study", [ErrorRelation(), EasyHard()], ids=lambda s: s.name)
def test_the_index_that_goes_with_the_error_is_named(tmp_path: Path, study: ErrorRelation | EasyHard) -> None:
    """LI falls with the error, DI and FI are noise: LI, downwards, and it costs nothing."""
    (only,) = study.conclusions(store_with_index(tmp_path, 1.0, study))  # type: ignore[arg-type]
    assert only.sentence.startswith("LI tells ")
    assert "falls" in only.sentence or "lower" in only.sentence
    assert only.effect is not None
    assert only.effect.high < 0
    assert (only.sure, math.isnan(only.cost)) == ("shown", True)


@pytest.mark.parametrize("study", [ErrorRelation(), EasyHard()], ids=lambda s: s.name)
def test_indices_of_noise_are_no_conclusion(tmp_path: Path, study: ErrorRelation | EasyHard) -> None:
    """None goes with the error."""
    assert list(study.conclusions(store_with_index(tmp_path, 0.0, study))) == []  # type: ignore[arg-type]


def test_rows_of_the_store_are_as_planted(tmp_path: Path) -> None:
    """What the two tests above count on."""
    store = store_with_index(tmp_path, 1.0, ErrorRelation())
    joints = store.joints()  # type: ignore[attr-defined]
    assert joints.select(pl.corr("li", "epe")).item() < -0.9
    assert abs(joints.select(pl.corr("di", "epe")).item()) < 0.2
