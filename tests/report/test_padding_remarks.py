"""What the page says of padding: how much there is, what it does to FI, and where maps lie in it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from synthetic_store import make_store, record

from poseig_mm.report.blocks import Notices
from poseig_mm.report.overview import overview_section
from poseig_mm.store import Store
from poseig_mm.summary.padding import padding_remarks

IMAGE = {"settings": {"attribution": {"indices_over": "image"}}}
INPUT = {"settings": {"attribution": {"indices_over": "input"}}}


def padded(folder: Path, paddings: list[float], numbers: dict[str, float], run: dict[str, Any]) -> Store:
    """Persons with these paddings, and these numbers in every visible joint."""
    records = [record(i) for i in range(len(paddings))]
    return make_store(
        folder,
        [
            replace(
                r,
                sample={**r.sample, "padding": padding},
                joints=[{**joint, **(numbers if joint["visible"] else {})} for joint in r.joints],
            )
            for r, padding in zip(records, paddings, strict=True)
        ],
        **run,
    )


def remarks(store: Store) -> list[tuple[str, str]]:
    return padding_remarks(store, store.joints(), store.samples())


def test_the_page_says_why_the_published_number_is_another(tmp_path: Path) -> None:
    """Both numbers are of this run; a joint that has one alone counts in neither."""
    store = padded(tmp_path, [0.88], {"fi": 1.18, "fi_input": 8.27, "mass_in_padding": 0.15}, IMAGE)
    (level, text), much = remarks(store)
    assert level == "note"
    assert text.startswith("Padding is 88 % of the input. Indices are over the image's own pixels. FI is 1.18; over")
    assert "as published, it would be 8.27" in text
    count = int(store.joints()["visible"].sum())
    assert much[0] == "warning"
    assert much[1].startswith(
        f"{count} joints of {count} have more than 10 % of the map's mass in the padding, 15 % at"
    )
    (notices,) = (block for block in overview_section(store).blocks if isinstance(block, Notices))
    assert {*remarks(store)} <= {*notices.rows}


def test_without_a_mask_nothing_is_said_of_fi(tmp_path: Path) -> None:
    """There is none."""
    ((_, text),) = remarks(padded(tmp_path, [0.5, 0.0], {"fi": math.nan, "fi_input": math.nan}, IMAGE))
    assert text == "Padding is 25 % of the inputs on average, 50 % at most. Indices are over the image's own pixels."


@pytest.mark.parametrize(("padding", "level"), [(0.2, "warning"), (0.05, "note")])
def test_a_run_over_the_input_says_what_padding_does(tmp_path: Path, padding: float, level: str) -> None:
    """A warning where it is a tenth of the area and more."""
    ((found, text),) = remarks(padded(tmp_path, [padding], {"mass_in_padding": 0.01}, INPUT))
    assert found == level
    assert "FI and LI are larger, and DI is smaller, than over the image" in text


def test_a_few_joints_in_the_padding_are_a_note(tmp_path: Path) -> None:
    """One of many: of the first person's joints the first that is visible."""
    r = [record(0), record(1)]
    first = next(k for k, joint in enumerate(r[0].joints) if joint["visible"])
    joints = [{**joint, "mass_in_padding": 0.3 if k == first else 0.1} for k, joint in enumerate(r[0].joints)]
    samples = [{**one.sample, "padding": 0.2} for one in r]
    store = make_store(
        tmp_path, [replace(r[0], sample=samples[0], joints=joints), replace(r[1], sample=samples[1])], **INPUT
    )
    assert remarks(store)[1][0] == "note"
    assert remarks(store)[1][1].startswith("1 joint of ")
    assert "has more than 10 % of the map's mass in the padding, 30 % at most" in remarks(store)[1][1]
    assert "counted in the indices" in remarks(store)[1][1]


@pytest.mark.parametrize("padding", [0.0, math.nan])
def test_nothing_is_said_where_nothing_is_padded_or_known(tmp_path: Path, padding: float) -> None:
    """NaN: a run of before."""
    assert remarks(padded(tmp_path, [padding], {}, IMAGE)) == []
