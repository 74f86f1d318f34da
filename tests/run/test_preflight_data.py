"""What the preflight says of data: each line on annotations and pipelines that are made to fail it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from check_lines import lines, pretty
from tiny import run, write_run

from poseig_mm.errors import PreflightError


def outside(content: dict[str, Any]) -> None:
    """Two boxes beyond the image."""
    for person in content["annotations"][:2]:
        person["bbox"][0] += 1000


def crowd(content: dict[str, Any]) -> None:
    """One of three is a crowd."""
    content["annotations"][1]["iscrowd"] = 1


def moved(content: dict[str, Any]) -> None:
    """All joints far from their boxes."""
    for person in content["annotations"]:
        for k in range(17):
            if person["keypoints"][3 * k + 2]:
                person["keypoints"][3 * k] += 400


def no_masks(content: dict[str, Any]) -> None:
    """None, and one that cannot be read."""
    for person in content["annotations"]:
        person["segmentation"] = []
    content["annotations"][0]["segmentation"] = [[1, 2]]


@pytest.mark.parametrize(
    ("change", "name", "level", "found"),
    [
        (outside, "persons", "warning", "1 of 1 in coco; 3 annotated, 1 used: 2 boxes outside the image"),
        (crowd, "persons", "ok", "2 of 2 in coco; 3 annotated, 2 used: 1 crowd"),
        (moved, "images", "warning", "0 of 10 annotated joints lie inside the input"),
        (no_masks, "masks", "warning", "0 of the first 3 persons have a usable one (instance); 1 persons have a segm"),
    ],
)
def test_annotations(
    tmp_path: Path, mmpose_ready: None, change: Callable[[Any], None], name: str, level: str, found: str
) -> None:
    """Counted by cause, with what to do."""
    made = write_run(tmp_path / "data", annotate=change)
    check = lines(made, tmp_path)[name]
    assert check.level == level, pretty(check)
    assert found in check.found


def test_an_image_that_is_missing(tmp_path: Path, mmpose_ready: None) -> None:
    """A warning with the sample and the file, where others can be loaded."""
    made = write_run(tmp_path / "data")
    (made.folder / "2.png").unlink()
    check = lines(made, tmp_path)["images"]
    assert check.level == "warning"
    assert "2 of the first 3 persons can be loaded; the first that cannot: sample 2-3, image" in check.found
    assert "no such file" in check.found


def test_nobody_is_left(tmp_path: Path, mmpose_ready: None) -> None:
    """A stop before a model is run on nothing."""
    made = write_run(tmp_path / "data")
    for picture in made.folder.glob("*.png"):
        picture.unlink()
    with pytest.raises(
        PreflightError, match=r"persons: 3 of 3 in coco; none can be loaded: sample 1-1, image .*1\.png"
    ):
        run(made, tmp_path / "w")


def test_names_of_joints(tmp_path: Path, mmpose_ready: None) -> None:
    """Of the checkpoint and the data."""
    made = write_run(tmp_path / "data")
    content = torch.load(made.weights)
    names = [f"paw {k}" for k in range(17)]
    content["meta"]["dataset_meta"] = {"keypoint_id2name": dict(enumerate(names)), "num_keypoints": 17}
    torch.save(content, made.weights)
    check = lines(made, tmp_path)["joints"]
    assert check.level == "warning"
    assert check.found.startswith("17 joints; 17 of 17 names differ")


def test_pixels_of_another_range(tmp_path: Path, mmpose_ready: None) -> None:
    """Shares of white behind a preprocessor for 0 to 255."""
    made = write_run(tmp_path / "data")
    text = made.config.read_text().replace("dict(type='LoadImage')", "dict(type='LoadImage', to_float32=True)")
    text = text.replace("dict(type='PackPoseInputs')", "dict(type='ShareOfWhite'), dict(type='PackPoseInputs')")
    made.config.write_text(text.replace("['mmpose']", "['mmpose', 'odd_heads']"))
    check = lines(made, tmp_path)["pixels"]
    assert check.level == "warning"
    assert "which is made for 0 to 255" in check.found


def test_sigmas_that_a_study_needs(tmp_path: Path, mmpose_ready: None) -> None:
    """A data set without: well, unless error_kinds asks."""
    made = write_run(tmp_path / "data")
    about = {k: {"name": f"j{k}", "id": k, "color": [0, 0, 0], "type": "", "swap": ""} for k in range(17)}
    text = made.config.read_text().replace(
        "ann_file=", f"metainfo=dict(dataset_name='mine', keypoint_info={about}), ann_file="
    )
    made.config.write_text(text)
    assert lines(made, tmp_path)["sigmas"].level == "ok"
    asked = lines(made, tmp_path, {"studies": ["error_kinds"]})["sigmas"]
    assert (asked.level, "none" in asked.found) == ("warning", True)
