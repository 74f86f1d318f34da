"""Runs compared: only what all of them share, by hand; equal runs differ by nothing; bad input is refused."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from synthetic_store import make_store, record

from poseig_mm.comparison import comparison_sections
from poseig_mm.comparison.command import main
from poseig_mm.comparison.differences import difference_rows, differences_section
from poseig_mm.comparison.runs import match
from poseig_mm.comparison.runs_section import overview_section, warnings
from poseig_mm.errors import DataError
from poseig_mm.store import SampleRecord, Store
from poseig_mm.types import Picture, Table

Joint = dict[str, Any]


def changed(record_: SampleRecord, change: Callable[[Joint], Joint]) -> SampleRecord:
    """The same person with other joint rows."""
    return replace(record_, joints=[change(dict(joint)) for joint in record_.joints])


def store(folder: Path, ids: range, change: Callable[[Joint], Joint] = lambda joint: joint, **run: Any) -> Store:
    return make_store(folder, [changed(record(i), change) for i in ids], maps="none", **run)


def test_equal_runs_differ_by_nothing(tmp_path: Path) -> None:
    """Every difference is 0 and not nearly so, p is 1, and the lead says it; so many tests of eight persons cannot be
    significant, and that is said too.
    """
    runs = match({"a": store(tmp_path / "a", range(8)), "b": store(tmp_path / "b", range(8))})
    rows = difference_rows(runs)
    assert rows
    for row in rows:
        assert (row["difference"], row["difference_low"], row["difference_high"]) == (0.0, 0.0, 0.0)
        assert (row["p"], row["effect"]) == (1.0, 0.0)
        assert math.isnan(row["p_holm"])
        assert row["reason"] == "cannot be significant with n = 8"
    assert differences_section(runs).lead == "Nothing differs: every number is that of a."


def test_differences_by_hand(tmp_path: Path) -> None:
    """DI is 2 more everywhere, 3 more in leaf joints: run minus first run, on the joints of the group."""
    more = store(tmp_path / "b", range(8), lambda j: j | {"di": j["di"] + (3 if j["group"] == "leaf" else 2)})
    runs = match({"a": store(tmp_path / "a", range(8)), "b": more})
    rows = {(r["measure"], r["group"]): r for r in difference_rows(runs)}
    leaf = runs.first.filter(pl.col("group") == "leaf").height
    assert rows["di", "trunk"]["difference"] == pytest.approx(2)
    assert rows["di", "leaf"]["difference"] == pytest.approx(3)
    assert rows["di", "all"]["difference"] == pytest.approx(2 + leaf / len(runs.first))
    assert rows["di", "all"]["effect"] == 1.0
    assert rows["di", "all"]["p"] == pytest.approx(2 / 2**8)  # all eight persons' differences have one sign
    assert rows["li", "all"]["difference"] == 0.0


def test_only_what_all_runs_share_is_compared_and_the_rest_counted(tmp_path: Path) -> None:
    """Persons 1 and 2 are in both; one joint has no map in the second run, another is annotated elsewhere."""

    def change(joint: Joint) -> Joint:
        if joint["sample_id"] != "1001-1":
            return joint
        if joint["joint_name"] == "nose":
            return joint | {"reason": "zero_map", "di": math.nan, "fi": math.nan, "li": math.nan}
        return joint | {"gt_x": joint["gt_x"] + 1} if joint["joint_name"] == "left_eye" else joint

    first, second = store(tmp_path / "a", range(3)), store(tmp_path / "b", range(1, 4), change)
    runs = match({"a": first, "b": second})
    seen = {name: s.joints().filter(pl.col("visible")) for name, s in (("a", first), ("b", second))}
    common = seen["a"].join(seen["b"], on=["sample_id", "joint_name"], how="semi")
    assert runs.persons == 2
    assert len(runs.first) == len(common) - 2
    a, b = runs.lost["a"], runs.lost["b"]
    assert (a.visible, a.without_map, a.elsewhere, a.used) == (len(seen["a"]), 0, 1, len(common) - 2)
    assert (b.visible, b.without_map, b.elsewhere) == (len(seen["b"]), 1, 1)
    assert a.not_in_all == len(seen["a"]) - len(common) + 1
    assert b.not_in_all == len(seen["b"]) - len(common)
    used = runs.first.filter(pl.col("sample_id") == "1001-1")["joint_name"].to_list()
    assert "nose" not in used
    assert "left_eye" not in used


def test_rows_stand_in_one_order(tmp_path: Path) -> None:
    """Whatever the order of samples in the runs: row i is the same joint in all."""
    first, second = store(tmp_path / "a", range(3)), store(tmp_path / "b", range(2, -1, -1))
    runs = match({"a": first, "b": second})
    keys = [table.select("sample_id", "joint_name").rows() for table in runs.joints.values()]
    assert keys[0] == keys[1]
    assert runs.joints["a"]["epe"].to_list() == runs.joints["b"]["epe"].to_list()


def test_a_number_that_one_run_lacks_is_missing_in_all(tmp_path: Path) -> None:
    """FI without a mask in one run: its mean in the other is over no other joints."""
    half = store(tmp_path / "b", range(2), lambda j: j | {"fi": math.nan} if j["sample_id"] == "1000-0" else j)
    runs = match({"a": store(tmp_path / "a", range(2)), "b": half})
    finite = [np.isfinite(table["fi"].to_numpy()) for table in runs.joints.values()]
    assert (finite[0] == finite[1]).all()
    assert 0 < finite[0].sum() < len(finite[0])


def test_errors_in_other_input_pixels_are_brought_to_the_first_runs(tmp_path: Path) -> None:
    """An input twice as fine has errors twice as large in its own pixels, the same in the first run's."""
    first = make_store(tmp_path / "a", [record(i) for i in range(2)], maps="none")
    fine = make_store(tmp_path / "b", [record(i, scale=2) for i in range(2)], maps="none")
    runs = match({"a": first, "b": fine})
    assert fine.joints()["epe"].to_numpy()[0] == pytest.approx(2 * first.joints()["epe"].to_numpy()[0])
    assert runs.joints["b"]["epe"].to_numpy() == pytest.approx(runs.joints["a"]["epe"].to_numpy())
    assert runs.rescaled == ("b",)
    assert any("input pixels of a" in text for text in warnings(runs))


def test_other_settings_are_a_warning(tmp_path: Path) -> None:
    """The path, beta and the masks: each is named, with the runs' values on the page."""
    settings = {"attribution": {"method": "path_ig", "path": "linear"}}
    other = make_store(
        tmp_path / "b", [record(i, mask=False) for i in range(2)], maps="none", settings=settings,
        model={"beta": 10.0, "input_size": [96, 128]},
    )  # fmt: skip
    runs = match({"a": store(tmp_path / "a", range(2)), "b": other})
    said = " ".join(warnings(runs))
    assert "attribution settings differ (path," in said
    assert "beta differs" in said
    assert "FI is left out: the value depends on mask_source, which differs: instance (a), none (b)." in said
    assert said.count("left out") == 1
    tables = [b for b in overview_section(runs).blocks if isinstance(b, Table) and "differ" in b.caption]
    assert ("attribution.path", "blur", "linear") in tables[0].rows


def without_maps(folder: Path, ids: range, change: Callable[[Joint], Joint] = lambda joint: joint) -> Store:
    """A run of method 'none', as its rows are: no index, 'no_map' where a joint is visible."""

    def emptied(joint: Joint) -> Joint:
        reason = "no_map" if joint["visible"] else joint["reason"]
        return change(joint | dict.fromkeys(("di", "fi", "li"), math.nan) | {"reason": reason})

    settings = {"attribution": {"method": "none", "path": "blur"}}
    records = [replace(changed(record(i), emptied), relations=(), display=None) for i in ids]
    return make_store(folder, records, maps="none", settings=settings, indices=[], model={"beta": 1.0})


def test_runs_without_maps_are_compared_by_their_errors(tmp_path: Path) -> None:
    """Every visible joint counts; EPE alone, 2 px more in the second run; not a word on maps but one."""
    stores = {
        "a": without_maps(tmp_path / "a", range(8)),
        "b": without_maps(tmp_path / "b", range(8), lambda j: j | {"epe": j["epe"] + 2}),
    }
    runs = match(stores)
    assert not runs.have_maps
    assert [m.name for m in runs.measures] == ["epe"]
    shown = int(stores["a"].joints()["visible"].sum())
    assert {(n.visible, n.without_map, n.used) for n in runs.lost.values()} == {(shown, 0, shown)}
    assert next(r for r in difference_rows(runs) if r["group"] == "all")["difference"] == pytest.approx(2)
    assert warnings(runs) == []
    sections = comparison_sections(stores, tmp_path / "pictures")
    assert [s.name for s in sections] == [
        "comparison", "comparison-differences", "comparison-groups", "comparison-easy-hard",
    ]  # fmt: skip
    said = " ".join(f"{s.lead} {[b for b in s.blocks if not isinstance(b, Picture)]}" for s in sections)
    assert said.count("No run was asked for maps") == 1
    assert "have a map" not in said
    assert "Hard minus easy: ." not in said
    assert "soft-argmax" not in said


def test_a_run_with_maps_is_compared_with_one_without(tmp_path: Path) -> None:
    """By errors too, of all visible joints, those without a map among them; what is left out is said, no more."""
    lacking = store(tmp_path / "a", range(8), lambda j: j | ({"reason": "zero_map"} if j["joint"] == 5 else {}))
    other = without_maps(tmp_path / "b", range(8))
    for stores in ({"a": lacking, "b": other}, {"b": other, "a": lacking}):
        runs = match(stores)
        assert [m.name for m in runs.measures] == ["epe"]
        assert len(runs.first) == int(other.joints()["visible"].sum())
        assert warnings(runs) == []
        said = str(overview_section(runs).blocks[0])
        assert "b was not asked for maps" in said
        assert "Not in all runs, so left out: DI, FI, LI." in said
    assert len(match({"a": lacking, "c": lacking}).first) < len(runs.first)


def test_equal_settings_are_no_warning(tmp_path: Path) -> None:
    """Two runs of one model: nothing but that there are few persons."""
    runs = match({"a": store(tmp_path / "a", range(8)), "b": store(tmp_path / "b", range(8))})
    assert warnings(runs) == []


def test_one_person_has_no_intervals_and_the_page_says_so(tmp_path: Path) -> None:
    """No interval and no p are made up."""
    stores = {"a": store(tmp_path / "a", range(1)), "b": store(tmp_path / "b", range(1), lambda j: j | {"di": 7.0})}
    runs = match(stores)
    assert all(math.isnan(row["p"]) and math.isnan(row["difference_low"]) for row in difference_rows(runs))
    assert "Only 1 person in 1 image" in " ".join(warnings(runs))
    assert "no interval" in differences_section(runs).lead
    assert [s.name for s in comparison_sections(stores, tmp_path / "pictures")] == [
        "comparison", "comparison-differences", "comparison-groups", "comparison-easy-hard", "comparison-maps",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda j: j | {"joint_name": f"hand_{j['joint']}"}, "no joint name in common"),
        (lambda j: j | {"unit": "mm"}, "different units"),
        (lambda j: j | {"gt_x": j["gt_x"] - 40}, "annotated at different places"),
        (lambda j: j | {"sample_id": "other"}, "share no joint"),
    ],
)
def test_runs_that_share_nothing_are_refused(tmp_path: Path, change: Callable[[Joint], Joint], said: str) -> None:
    """Each with its reason."""
    other = changed(record(0), change)
    other = replace(other, sample_id=other.joints[0]["sample_id"], relations=())
    other = replace(other, sample={**other.sample, "sample_id": other.sample_id})
    stores = {"a": store(tmp_path / "a", range(1)), "b": make_store(tmp_path / "b", [other], maps="none")}
    with pytest.raises(DataError, match=said):
        match(stores)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "0 runs given, expected two or more"), (["a"], "1 run given, expected two or more"),
     (["a", "nowhere"], "nowhere is not a directory"), (["a", "empty"], "is not the work dir of a run"),
     (["a", "a", "--names", "x"], "expected one name for each run")],
)  # fmt: skip
def test_the_command_line_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """Exit code 1 and one line that says what to do."""
    monkeypatch.chdir(tmp_path)
    store(tmp_path / "a", range(1))
    (tmp_path / "empty").mkdir()
    assert main(arguments) == 1
    assert said in capsys.readouterr().err


WITHOUT_MODEL = """
import importlib.machinery, sys
find = importlib.machinery.PathFinder.find_spec
hidden = {"torch", "torchvision", "mmpose", "mmengine", "mmcv", "mmdet"}
importlib.machinery.PathFinder.find_spec = lambda name, *more: None if name in hidden else find(name, *more)
from poseig_mm.comparison.command import main
sys.exit(main(sys.argv[1:]) or bool(hidden & set(sys.modules)))
"""


def test_the_command_makes_the_page_without_torch(tmp_path: Path) -> None:
    """Tables as CSV and LaTeX, figures as PDF and PNG, nothing that could not be made."""
    for name in ("a", "b"):
        make_store(tmp_path / name, [record(i) for i in range(3)])
    line = [sys.executable, "-c", WITHOUT_MODEL, *(str(tmp_path / n) for n in "ab"), "--out", str(tmp_path / "out")]
    done = subprocess.run([*line, "--names", "plain", "again"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "out" / "index.html").read_text()
    assert "plain · again" in text
    assert "could not be made" not in text
    for pattern, least in (
        ("assets/tables/*.csv", 7),
        ("assets/tables/*.tex", 7),
        ("figures/*.pdf", 4),
        ("figures/*.png", 4),
    ):
        assert len(list((tmp_path / "out").glob(pattern))) >= least, pattern


def test_two_joints_of_one_name_are_two_joints(tmp_path: Path) -> None:
    """Both are compared, each with its own; in runs that number the joints differently too."""

    def twins(joint: Joint) -> Joint:
        return joint | {"joint_name": "eye"} if joint["joint_name"] in ("left_eye", "right_eye") else joint

    first = store(tmp_path / "a", range(3), twins)
    second = store(
        tmp_path / "b", range(3), lambda j: twins(j) | {"epe": j["epe"] + j["joint"], "joint": j["joint"] + 1}
    )
    runs = match({"a": first, "b": second})
    plain = match({"a": store(tmp_path / "c", range(3)), "b": store(tmp_path / "d", range(3))})
    assert len(runs.first) == len(plain.first)
    a, b = (runs.joints[name] for name in "ab")
    assert a["joint"].to_list() == (b["joint"] - 1).to_list()
    assert (b["epe"] - a["epe"]).to_list() == pytest.approx(a["joint"].to_list())


def test_runs_of_different_images_are_noted(tmp_path: Path) -> None:
    """Same ids, same annotations, other pixels: a warning with the person; JPEG noise is none."""

    def run(name: str, change: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> Store:
        records = [record(i) for i in range(4)]
        records[2] = replace(records[2], display=change(records[2].display))
        return make_store(tmp_path / name, records)

    def noise(crop: Any) -> Any:
        return (crop.astype(int) + np.random.default_rng(0).integers(-6, 7, crop.shape)).clip(0, 255).astype(np.uint8)

    first = run("a", lambda crop: crop)
    texts = [t for t in warnings(match({"a": first, "b": run("b", lambda crop: 255 - crop)})) if "Images differ" in t]
    assert len(texts) == 1
    assert "1 person of b" in texts[0]
    assert not [t for t in warnings(match({"a": first, "c": run("c", noise)})) if "Images differ" in t]
