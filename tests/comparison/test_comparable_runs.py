"""What of two runs is compared: indices of one definition, errors to one point; what is left out, and why."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from synthetic_store import make_store, record

from poseig_mm.comparison import comparison_sections
from poseig_mm.comparison.runs import match
from poseig_mm.comparison.runs_section import warnings
from poseig_mm.store import SampleRecord, Store
from poseig_mm.types import Table


def over(what: str) -> dict[str, Any]:
    """Of run.json: what indices are over."""
    return {"settings": {"attribution": {"indices_over": what}}}


def padded(folder: Path, paddings: list[float], **run: Any) -> Store:
    """A store of persons with these paddings."""
    records = [record(i) for i in range(len(paddings))]
    return make_store(
        folder,
        [replace(r, sample={**r.sample, "padding": p}) for r, p in zip(records, paddings, strict=True)],
        maps="none",
        **run,
    )


def compared(runs: Any) -> list[bool]:
    """Whether indices are compared, of each person in turn."""
    return [bool(rows["di"].is_finite().any()) for _, rows in runs.first.group_by("sample_id", maintain_order=True)]


def test_indices_over_image_and_input_are_compared_where_these_are_the_same(tmp_path: Path) -> None:
    """Of persons without padding in any run; errors of all; the remark counts, and says what to do."""
    image = padded(tmp_path / "a", [0, 0.1, 0, 0], **over("image"))
    whole = padded(tmp_path / "b", [0, 0.1, 0.3, math.nan], **over("input"))
    runs = match({"a": image, "b": whole})
    assert compared(runs) == [True, False, False, True]  # the last one's is known: the same part of the image
    assert all(table["epe"].is_finite().all() for table in runs.joints.values())
    assert runs.padded == 2
    (text,) = [w for w in warnings(runs) if "indices_over" in w]
    assert "over the image (a), the input (b)" in text
    assert "of 2 of 4 persons" in text
    assert not any("attribution settings differ" in w for w in warnings(runs))


def test_a_padding_that_nobody_knows_is_not_none(tmp_path: Path) -> None:
    """Another part of the image in an older run: it may be padded there."""

    def taller(one: SampleRecord) -> SampleRecord:
        return replace(one, sample={**one.sample, "padding": math.nan, "height": one.sample["height"] + 1})

    image = padded(tmp_path / "a", [0.0, 0.0], **over("image"))
    older = make_store(tmp_path / "b", [taller(record(0)), record(1)], maps="none", **over("input"))
    runs = match({"a": image, "b": older})
    assert runs.padded == 1
    assert "1001-1" in runs.first.filter(pl.col("di").is_finite())["sample_id"]


def test_padding_is_compared_where_all_runs_have_one_definition(tmp_path: Path) -> None:
    """Nothing is left out, and nothing said."""
    for what in ("image", "input"):
        folder = tmp_path / what
        pair = [padded(folder / name, [0.2, 0.5], **over(what)) for name in "ab"]
        runs = match(dict(zip("ab", pair, strict=True)))
        assert compared(runs) == [True, True]
        assert runs.padded == 0
        assert not any("indices_over" in w for w in warnings(runs))


def test_errors_to_the_reference_are_measured_again_to_the_truth(tmp_path: Path) -> None:
    """Where the other run's are to the truth; two runs with EPE to the reference keep it."""

    def far(i: int) -> SampleRecord:
        return replace(record(i), joints=[{**joint, "epe": 50.0} for joint in record(i).joints])

    persons = [record(i) for i in range(3)], [far(i) for i in range(3)]
    published = {"settings": {"attribution": {"epe_to": "reference"}}}
    stores = {
        "a": make_store(tmp_path / "a", persons[0], maps="none"),
        "b": make_store(tmp_path / "b", persons[1], maps="none", **published),
    }
    runs = match(stores)
    distance = ((runs.joints["b"]["pred_x"] - runs.joints["b"]["gt_x"]) ** 2
                + (runs.joints["b"]["pred_y"] - runs.joints["b"]["gt_y"]) ** 2) ** 0.5  # fmt: skip
    assert runs.joints["b"]["epe"].to_list() == pytest.approx(distance.to_list())
    assert runs.to_truth == ("b",)
    assert any("epe_to" in text for text in warnings(runs))
    both = {"b": stores["b"], "c": make_store(tmp_path / "c", persons[1], maps="none", **published)}
    assert set(match(both).joints["b"]["epe"]) == {50.0}


def test_di_and_li_of_different_input_sizes_are_left_out(tmp_path: Path) -> None:
    """DI counts pixels and LI's Gaussian has a size in them; FI is a ratio of shares, and stays."""
    fine = {"input_size": [192, 256], "beta": 20.0}
    stores = {
        "a": make_store(tmp_path / "a", [record(i) for i in range(3)], maps="none"),
        "b": make_store(tmp_path / "b", [record(i, scale=2) for i in range(3)], maps="none", model=fine),
    }
    runs = match(stores)
    assert [m.name for m in runs.measures] == ["epe", "fi"]
    said = [text for text in warnings(runs) if "left out" in text]
    assert said[0].startswith(
        "DI is left out: the value depends on height and width, which differ: 128 and 96 (a), 256"
    )
    assert "locality.input_size, which differs: 96 x 128 (a), 192 x 256 (b)" in said[1]
    assert all("Diagnose again with the same" in text for text in said)
    sections = comparison_sections(stores, tmp_path / "pictures")
    for table in (block for section in sections for block in section.blocks if isinstance(block, Table)):
        assert not {"DI", "LI"} & {str(cell) for row in (table.columns, *table.rows) for cell in row}, table.caption
    assert not any("Not in all runs" in str(row) for s in sections for b in s.blocks for row in getattr(b, "rows", ()))


def test_fi_is_compared_where_the_masks_have_one_source(tmp_path: Path) -> None:
    """Of the other persons it is left out, and counted; DI and LI have no mask."""
    records = [record(i) for i in range(4)]
    drawn = [replace(r, sample={**r.sample, "mask_source": "joints"}) if i == 1 else r for i, r in enumerate(records)]
    runs = match({"a": make_store(tmp_path / "a", records), "b": make_store(tmp_path / "b", drawn)})
    finite = runs.first.group_by("sample_id", maintain_order=True).agg(pl.col("di", "fi", "li").is_finite().any())
    assert finite["fi"].to_list() == [True, False, True, True]
    assert finite["di"].all()
    assert finite["li"].all()
    (said,) = [text for text in warnings(runs) if "left out" in text]
    assert said.startswith(
        "FI of 1 of 4 persons is left out: the value depends on mask_source, which differs: instance (a), joints (b)."
    )


def test_li_of_different_gaussians_is_left_out(tmp_path: Path) -> None:
    """By the setting of an older run too; a stride that only one run knows is no difference, another one is."""

    def run(name: str, locality: dict[str, Any] | None, weight: str) -> Store:
        given = {} if locality is None else {"locality": locality}
        settings = {"attribution": {"locality": weight}}
        return make_store(tmp_path / name, [record(i) for i in range(2)], maps="none", settings=settings, **given)

    published = {"weight": "published", "input_size": [96, 128], "stride": 4.0}
    old, exact = run("old", None, "published"), run("exact", None, "exact")
    four, eight = (run(str(stride), {**published, "stride": stride}, "published") for stride in (4.0, 8.0))
    for pair, kept in (((exact, old), False), ((old, four), True), ((four, eight), False), ((exact, exact), True)):
        names = [m.name for m in match(dict(zip("ab", pair, strict=True))).measures]
        assert ("li" in names) is kept
        assert "di" in names


def test_li_by_the_persons_size_is_compared_of_inputs_of_any_size(tmp_path: Path) -> None:
    """Its Gaussian is in proportion to the person, not to the input; DI is left out all the same."""
    stores = {
        name: make_store(
            tmp_path / name, [record(i, scale=scale) for i in range(2)], maps="none", locality={"weight": "person"}
        )
        for name, scale in (("a", 1), ("b", 2))
    }
    assert [m.name for m in match(stores).measures] == ["epe", "fi", "li"]


def test_an_index_that_says_nothing_is_compared_as_it_is(tmp_path: Path) -> None:
    """A plugin's, of inputs of two sizes."""
    plain = {"name": "di", "title": "Mine", "unit": "", "kind": "joint", "meaning": "", "neutral": None}
    stores = {
        name: make_store(
            tmp_path / name, [record(i, scale=scale) for i in range(2)], maps="none",
            indices=[{**plain, "comparable_by": []}],
        )
        for name, scale in (("a", 1), ("b", 2))
    }  # fmt: skip
    runs = match(stores)
    assert [m.name for m in runs.measures] == ["epe", "di"]
    assert runs.first["di"].is_finite().all()
