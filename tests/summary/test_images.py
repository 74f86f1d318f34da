"""Images are resampled where they hold several persons."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from poseig_mm.functional.statistics import bootstrap_mean
from poseig_mm.studies.error_relation.rows import correlation_table
from poseig_mm.studies.groups.rows import group_table
from poseig_mm.studies.section_parts import study_rows
from poseig_mm.summary.measures import estimate, image_count, images_of

PERSONS = 24
VALUES = np.random.default_rng(0).normal(size=PERSONS)


def table(images: int, column: str = "image_id") -> pl.DataFrame:
    """One joint of 24 persons, evenly in so many images."""
    return pl.DataFrame(
        {
            "sample_id": [f"p{i:02}" for i in range(PERSONS)],
            column: [f"i{i % images:02}" for i in range(PERSONS)],
            "joint": 0, "joint_name": "hip", "group": "trunk", "visible": True, "value": VALUES, "epe": VALUES**2,
        }
    )  # fmt: skip


def test_the_interval_of_a_mean_is_that_of_images() -> None:
    """And n stays the number of values."""
    e = estimate(table(6), "value")
    expected = bootstrap_mean(VALUES, groups=np.arange(PERSONS) % 6)
    assert (e.n, e.low, e.high) == (PERSONS, pytest.approx(expected.low), pytest.approx(expected.high))
    assert image_count(table(6)) == 6
    assert np.isnan(estimate(table(3), "value").low)


def test_without_images_persons_are_resampled() -> None:
    """The column is missing (a plugin's table), or null."""
    alone = estimate(table(PERSONS), "value")
    without = table(6, "other")
    assert estimate(without, "value") == alone
    assert images_of(without.with_columns(pl.lit(None, pl.String).alias("image_id"))).tolist() == sorted(
        without["sample_id"]
    )


def test_studies_of_the_table_resample_images() -> None:
    """Correlations over joints and over persons, and the groups' means."""
    for column in ("pearson", "spearman"):
        of_images, of_persons = (correlation_table(table(n), ["value"])[:2] for n in (6, PERSONS))
        for a, b in zip(of_images, of_persons, strict=True):
            assert a[column] == pytest.approx(b[column])
            assert a[f"{column}_low"] != pytest.approx(b[f"{column}_low"], abs=1e-3)
    rows = [row for row in group_table(table(6), ["value"]) if row["kind"] == "mean"]
    assert [(row["persons"], row["images"]) for row in rows] == [(PERSONS, 6)] * len(rows)


def test_a_studys_rows_know_their_image() -> None:
    """Whatever order the two tables have; a table with the column keeps its own."""

    class Run:
        studies = ("s", "own")

        def study(self, name: str) -> pl.DataFrame:
            rows = pl.DataFrame({"sample_id": ["b", "a", "b"], "n": [1, 2, 3]})
            return rows if name == "s" else rows.with_columns(pl.lit("x").alias("image_id"))

        def samples(self) -> pl.DataFrame:
            return pl.DataFrame({"sample_id": ["a", "b"], "image_id": ["1", "2"], "n": [7, 7]})

    assert study_rows(Run(), "s").rows() == [("b", 1, "2"), ("a", 2, "1"), ("b", 3, "2")]  # type: ignore[arg-type]
    assert study_rows(Run(), "own")["image_id"].to_list() == ["x"] * 3  # type: ignore[arg-type]
    assert not len(study_rows(Run(), "none"))  # type: ignore[arg-type]
