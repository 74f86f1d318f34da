"""The pictures of anybody in a run's store, by what the run's model takes.

`python -m poseig_mm.report.person WORK_DIR SAMPLE_ID OUT.jpg` draws the sheet of one sample; pages name this command.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ..store import Store
from ..summary.measures import Measure, measures, run_value
from .person_pictures import Notes, PersonPictures, save
from .sequence_pictures import SequencePictures


def pictures_of(
    store: Store, row: Mapping[str, Any], joints: pl.DataFrame, measures: Sequence[Measure], notes: Notes
) -> PersonPictures:
    """What draws one sample: `row` of the samples, its rows of `joints`, and the measures that captions give."""
    kind = SequencePictures if run_value(store, "model", "input") == "sequence" else PersonPictures
    return kind(store, row, joints.filter(pl.col("sample_id") == row["sample_id"]), measures, notes)


def draw_sample(store: Store, sample_id: str, path: Path) -> None:
    """Draw the sheet of one person.

    Raises:
        StoreError: no such sample, or its maps are damaged.
    """
    rows = store.samples().filter(pl.col("sample_id") == sample_id).to_dicts()
    if not rows:
        store.map(sample_id)  # says so
    joints = store.joints()
    image, _ = pictures_of(store, rows[0], joints, measures(store, joints), Notes()).sheet()
    save(image, path)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser("python -m poseig_mm.report.person", description="Draw the maps of one person.")
    parser.add_argument("work_dir")
    parser.add_argument("sample_id")
    parser.add_argument("out", type=Path, help="a JPEG")
    given = parser.parse_args(arguments)
    draw_sample(Store(given.work_dir), given.sample_id, given.out)


if __name__ == "__main__":
    main()
