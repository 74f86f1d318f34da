"""Runs over pictures that nobody annotated: the prediction is explained, and no error is made up."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from tiny import BOXES, Near, annotations, run, session, tiny, write_run

from poseig_mm.comparison.compare import compare
from poseig_mm.errors import ConfigError, DataError, StoreError
from poseig_mm.settings import Settings
from poseig_mm.store import Store
from poseig_mm.summary.measures import is_annotated, measures
from poseig_mm.summary.reasons import missing_reasons

NUMBERS = ("di", "li", "target_start", "target_end")


def box_file(made: tiny) -> Path:
    """The annotated boxes of the tiny data, as a detector would write them."""
    rows = [{"image_id": 1 if n < 3 else 2, "bbox": list(box), "score": 0.9} for n, box in BOXES.items()]
    path = made.folder / "boxes.json"
    path.write_text(json.dumps(rows))
    return path


def run_pictures(made: tiny, work_dir: Path, settings: dict[str, Any] | None = None, **options: Any) -> Store:
    """A run over the tiny pictures, with their boxes."""
    given = {"samples.images": [str(made.folder / "1.png"), str(made.folder / "2.png")],
             "samples.boxes": str(box_file(made))}  # fmt: skip
    return run(made, work_dir, {**given, **(settings or {})}, **options)


@pytest.fixture(scope="module")
def pictures(tiny_files: tiny, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A finished run, with page."""
    settings = {"report.enabled": True, "attribution.beta": 20.0, "studies": ["groups", "shortcuts"]}
    return run_pictures(tiny_files, tmp_path_factory.mktemp("pictures") / "w", settings)


def test_no_error_is_made_up(pictures: Store) -> None:
    """No truth, no EPE, with a reason at every joint; joints predicted inside the input are visible."""
    joints = pictures.joints()
    assert pictures.sample_ids == ("1.png-1", "1.png-2", "2.png-1")
    assert len(joints) == 51
    for name in ("gt_x", "gt_y", "epe", "epe_soft"):
        assert joints[name].is_nan().all(), name
    assert pictures.samples()["mepe"].is_nan().all()
    assert missing_reasons(joints)["no_annotation"] == 51
    assert missing_reasons(joints)["no_mask"] > 0
    inside = (pl.col("pred_x") >= 0) & (pl.col("pred_x") <= 63) & (pl.col("pred_y") >= 0) & (pl.col("pred_y") <= 63)
    assert joints.filter(pl.col("visible") != inside).is_empty()
    visible = joints.filter("visible")
    known = visible.filter(~pl.col("reason").str.contains("zero_map"))
    assert len(known) > 40
    assert known["di"].is_finite().all()
    assert known["li"].is_finite().all()
    assert not is_annotated(pictures)
    assert [m.name for m in measures(pictures, joints)] == ["di", "fi", "li"]
    assert pictures.run["settings"]["attribution"]["reference"] == "prediction"


def test_the_prediction_is_explained(pictures: Store, tmp_path: Path) -> None:
    """The same persons, annotated at the place that was predicted, give the same maps and indices."""
    joints = pictures.joints().join(pictures.samples(), on="sample_id", maintain_order="left")
    ids = {"1.png-1": 1, "1.png-2": 2, "2.png-1": 3}

    def annotate(content: dict[str, Any]) -> None:
        for annotation in content["annotations"]:
            mine = joints.filter(pl.col("sample_id").replace_strict(ids) == annotation["id"])
            x, y = (
                mine[f"warp_{i}0"] * mine["pred_x"] + mine[f"warp_{i}1"] * mine["pred_y"] + mine[f"warp_{i}2"]
                for i in (0, 1)
            )
            shown = [2 * int(v) for v in mine["visible"]]
            annotation["keypoints"] = [v for row in zip(x, y, shown, strict=True) for v in row]
            annotation["num_keypoints"] = 17

    made = write_run(tmp_path / "data", annotate=annotate)
    truth = run(made, tmp_path / "w", {"attribution.beta": 20.0}).joints().filter("visible")
    there = {"1.png-1": "1-1", "1.png-2": "1-2", "2.png-1": "2-3"}
    own = pictures.joints().with_columns(pl.col("sample_id").replace_strict(there))
    both = truth.join(own, on=("sample_id", "joint"), suffix="_own")
    assert len(both) > 40  # a joint at the input's very edge may be beyond it on its way back
    assert float(both["epe"].max()) < 0.01  # type: ignore[arg-type]
    for name in NUMBERS:
        assert [Near(v) for v in both[name]] == both[f"{name}_own"].to_list(), name


def test_the_page_has_no_empty_tables_of_errors(pictures: Store) -> None:
    """It says that nobody annotated, and shows each person."""
    page = (pictures.path / "report" / "index.html").read_text()
    assert "Nobody annotated them" in page
    assert "MEPE" not in page
    assert "1.png-2, no error known" in page
    assert pictures.failures == ()


def test_such_runs_are_not_compared(pictures: Store, tiny_store: Store, tmp_path: Path) -> None:
    """A comparison pairs joints by their annotated place."""
    with pytest.raises(ConfigError, match="nobody annotated"):
        compare([pictures.path, tiny_store.path], tmp_path / "out")


def test_a_user_s_own_reference_wins(tiny_files: tiny, tmp_path: Path) -> None:
    """Why is the right wrist here, and not at the left one? T(prediction) - T(the left wrist's prediction)."""
    settings = {"attribution.contrast": "left_wrist", "attribution.joints": ["right_wrist", "left_wrist"]}
    store = run_pictures(tiny_files, tmp_path / "w", {**settings, "samples.limit": 1})
    rows = {r["joint_name"]: r for r in store.joints().to_dicts()}
    own, other = rows["right_wrist"], rows["left_wrist"]
    distance = math.dist((own["pred_x"], own["pred_y"]), (other["pred_x"], other["pred_y"]))
    assert distance > 4
    assert own["target_end"] > 0.1
    assert other["target_end"] == pytest.approx(0, abs=1e-6)  # a place contrasted with itself
    assert "not_asked" in rows["nose"]["reason"]
    diagnosis = {"samples": {"images": "a.png"}, "attribution": {"reference": "nose"}}
    assert Settings.parse(diagnosis).attribution.reference == "nose"
    assert Settings.parse({"samples": {"images": "a.png"}}).attribution.reference == "prediction"
    assert Settings.parse({}).attribution.reference == "truth"


@pytest.mark.parametrize("study", ["error_kinds", "easy_hard", "error_relation", "inversion", "baselines"])
def test_studies_that_compare_with_annotations_are_refused(tiny_files: tiny, tmp_path: Path, study: str) -> None:
    """By name, before anything is written."""
    with pytest.raises(ConfigError, match=f"study '{study}' compares with annotations"):
        run_pictures(tiny_files, tmp_path / "w", {"studies": ["groups", study]})
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("diagnosis", "message"),
    [
        ({"samples": {"boxes": "b.json"}}, "there are no images"),
        ({"samples": {"images": "a.png", "boxes": "b.json", "detector": ["a", "b"]}}, "boxes and a detector"),
        ({"samples": {"images": "a.png", "detector": ["a"]}}, r"expected \[config, checkpoint\]"),
        ({"samples": {"images": "a.png", "every": 0}}, "expected at least 1"),
        ({"samples": {"images": "a.png"}, "attribution": {"preset": "published"}}, "there is no error"),
        ({"samples": {"images": "a.png"}, "treatments": ["controls"]}, "judged by annotations"),
    ],
)
def test_settings_that_do_not_go_together(diagnosis: dict[str, Any], message: str) -> None:
    """An error that says which."""
    with pytest.raises(ConfigError, match=message):
        Settings.parse(diagnosis)


def test_a_run_goes_on(tiny_files: tiny, tmp_path: Path) -> None:
    """With a larger limit; not with other pictures, nor with a picture of other content."""
    made = write_run(tmp_path / "data")
    run_pictures(made, tmp_path / "w", {"samples.limit": 1})
    store = run_pictures(made, tmp_path / "w", resume=True)
    assert len(store) == 3
    assert store.joints()["li"].is_finite().sum() > 20
    with pytest.raises(StoreError, match="data"):
        run(made, tmp_path / "w", {"samples.images": str(made.folder / "1.png")}, resume=True)
    cv2.imwrite(str(made.folder / "2.png"), np.zeros((100, 120, 3), np.uint8))
    with pytest.raises(StoreError, match=r"2\.png"):
        run_pictures(made, tmp_path / "w", resume=True)


def test_a_picture_that_cannot_be_read_is_a_failure(tmp_path: Path, mmpose_ready: None) -> None:
    """Without boxes each whole picture is a person's; none that can be read is an error."""
    made = write_run(tmp_path / "data")
    (made.folder / "1.png").write_bytes(b"")
    store = run(made, tmp_path / "w", {"samples.images": str(made.folder)})
    assert store.sample_ids == ("2.png-1",)
    assert [(f.stage, f.sample_id) for f in store.failures] == [("sample", "1.png-1")]
    row = store.samples().to_dicts()[0]
    assert (row["warp_02"], row["box_side"]) == (pytest.approx(-15.0, abs=1.5), pytest.approx(51.2, abs=0.1))
    (made.folder / "2.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"none can be loaded|could be diagnosed"):
        run(made, tmp_path / "v", {"samples.images": str(made.folder)}, allow=["persons"])


def test_the_command_line(main: Callable[..., int], tiny_files: tiny, tmp_path: Path, capsys: Any) -> None:
    """--images, --boxes and --limit run; --check and --dry-run look; a wrong name is an error."""
    boxes = box_file(tiny_files)
    given = ("--images", tiny_files.folder / "1.png", tiny_files.folder / "2.png", "--boxes", boxes)
    assert main(*given, "--check") == 0
    assert "nobody annotated" in " ".join(capsys.readouterr().out.split())
    assert main(*given, "--dry-run") == 0
    assert "3 persons, 51 predicted joints" in capsys.readouterr().out
    assert not (tmp_path / "w").exists()
    assert main(*given, "--limit", "2") == 0
    assert Store(tmp_path / "w").sample_ids == ("1.png-1", "1.png-2")
    assert main("--images", tmp_path / "none.png") == 1
    assert "there is no file" in capsys.readouterr().err


def test_settings_of_earlier_runs_are_the_same(tiny_files: tiny) -> None:
    """Keys that are new do not stand in the identity of a run that does not use them."""
    assert set(Settings().identity()["samples"]) == {"split", "seed", "ids", "mask"}
    assert len(annotations()["annotations"]) == len(BOXES)
    assert session(tiny_files, Path("w")).settings.samples.image_names == ()
