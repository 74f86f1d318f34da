"""`poseig_mm.explain`: one picture, by path or as an array, is explained as a run over it would."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from tiny import FAST, ROOT, tiny, write_run

import poseig_mm
from poseig_mm import Explanation
from poseig_mm.errors import ConfigError, DataError

BOXES = [[5.0, 5.0, 55.0, 85.0], [60.0, 20.0, 105.0, 80.0]]


@pytest.fixture(scope="module")
def found(tiny_files: tiny) -> Explanation:
    """Two persons of the first picture."""
    return poseig_mm.explain((tiny_files.config, tiny_files.weights), tiny_files.folder / "1.png", BOXES, **FAST)


def test_what_there_is(found: Explanation) -> None:
    """Maps, indices and joints of each person, under names."""
    assert found.maps.shape == (2, 17, 64, 64)
    assert found.keypoints.shape == (2, 17, 2)
    assert (found.indices["di"].shape, found.indices["ri"].shape) == ((2, 17), (2, 17, 17))
    assert found.keypoint_names[:2] == ("nose", "left_eye")
    assert all("no_annotation" in reason for row in found.reasons for reason in row)
    peaks = found.maps.max((2, 3))
    assert np.nanmax(np.abs(peaks - 1)) == 0
    known = np.isfinite(peaks)
    assert known.sum() > 15
    assert np.isfinite(found.indices["di"][known]).all()


def test_the_same_as_a_run(found: Explanation, tiny_files: tiny, tmp_path: Path) -> None:
    """Over the same picture and boxes: the same joints, maps and numbers."""
    from tiny import run

    boxes = tmp_path / "boxes.json"
    listed = [{"file_name": "1.png", "bbox": [x0, y0, x1 - x0, y1 - y0]} for x0, y0, x1, y1 in BOXES]
    boxes.write_text(str(listed).replace("'", '"'))
    settings = {"samples.images": str(tiny_files.folder / "1.png"), "samples.boxes": str(boxes)}
    store = run(tiny_files, tmp_path / "w", settings)
    for person, sample_id in enumerate(store.sample_ids):
        rows = store.joints().filter(pl.col("sample_id") == sample_id)
        np.testing.assert_allclose(found.predictions[person], rows.select("pred_x", "pred_y").to_numpy(), atol=1e-4)
        np.testing.assert_allclose(found.indices["di"][person], rows["di"].to_numpy(), rtol=2e-3)
        maps = store.map(sample_id)
        assert maps is not None
        np.testing.assert_allclose(found.maps[person], maps, atol=2e-3)


def test_places_are_those_of_the_picture(found: Explanation) -> None:
    """A top-down crop is 1.25 times its box around the same middle: so are the input's corners, mapped back."""
    scale = [1.25 * max(x1 - x0, y1 - y0) / 64 for x0, y0, x1, y1 in BOXES]
    for person, (x0, y0, x1, y1) in enumerate(BOXES):
        middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        wanted = middle + (found.predictions[person] - 32) * scale[person]
        assert np.abs(found.keypoints[person] - wanted).max() < 1


def test_arrays_are_rgb(found: Explanation, tiny_files: tiny) -> None:
    """Of the same picture in memory, by an adapter with the same beta: the same maps."""
    pixels = cv2.imread(str(tiny_files.folder / "1.png"))[..., ::-1]
    adapter = poseig_mm.load_adapter(str(tiny_files.config), tiny_files.weights)
    again = poseig_mm.explain(adapter.model, pixels, BOXES, **FAST)
    assert np.array_equal(again.inputs, found.inputs)
    np.testing.assert_allclose(again.maps, found.maps, atol=2e-3)
    beta = adapter.beta
    whole = poseig_mm.explain(adapter, pixels, **FAST, joints=["nose"])
    assert adapter.beta == beta
    assert np.isfinite(whole.maps[0, 0]).all()
    assert np.isnan(whole.maps[0, 1:]).all()


def test_figures(found: Explanation, tmp_path: Path) -> None:
    """A panel a joint with its numbers; a notebook has one picture a person."""
    figure = found.show(1, ["left_wrist", "nose"])
    titles = [axis.get_title("left") for axis in figure.axes]
    assert titles[0] == "person 1"
    assert titles[1].startswith("left_wrist\n")
    di = found.indices["di"][1, 9]
    assert (f"DI {di:.1f}" in titles[1]) == bool(np.isfinite(di))
    assert len(found.show().axes) == 18
    assert len(re.findall("<img ", found._repr_html_())) == 2
    path = found.save(tmp_path / "maps.png", joints=["nose"])
    assert cv2.imread(str(path)) is not None
    with pytest.raises(ConfigError, match="no joint 'tail'"):
        found.show(joints=["tail"])
    with pytest.raises(ConfigError, match="person 2 of 2"):
        found.show(2)


@pytest.mark.parametrize(
    ("image", "boxes", "message"),
    [("none.png", None, "there is no picture"), (np.zeros((4, 4)), None, r"expected uint8 \(H, W, 3\)"),
     (np.zeros((9, 9, 3), np.uint8), [1, 2, 3, 4], r"expected \(N, 4\)"),
     (np.zeros((9, 9, 3), np.uint8), [[20, 20, 30, 30]], "box outside the image")],
)  # fmt: skip
def test_what_is_no_picture(tiny_files: tiny, image: Any, boxes: Any, message: str) -> None:
    """An error that says what was expected."""
    with pytest.raises(DataError, match=message):
        poseig_mm.explain((tiny_files.config, tiny_files.weights), image, boxes, **FAST)


def test_what_is_no_model(tiny_files: tiny) -> None:
    """Neither is a model that does not know its pipeline."""
    picture = np.zeros((9, 9, 3), np.uint8)
    with pytest.raises(ConfigError, match=r"expected \(config, checkpoint\)"):
        poseig_mm.explain((tiny_files.config,), picture)
    model = poseig_mm.load_adapter(str(tiny_files.config), tiny_files.weights).model
    model.cfg = None
    with pytest.raises(ConfigError, match="its pipeline is not known"):
        poseig_mm.explain(model, picture)


@pytest.fixture
def photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmpose_ready: None) -> None:
    """A folder with the files that the documents name."""
    made = write_run(tmp_path)
    (tmp_path / "photograph.jpg").write_bytes((made.folder / "1.png").read_bytes())
    monkeypatch.chdir(tmp_path)


def test_the_docstring_s_example(photograph: None) -> None:
    """It runs as it stands there, and gives the shapes that it says."""
    document = poseig_mm.explain.__doc__
    assert document is not None
    call, shapes, save = (line.strip() for line in document.split("Example::")[1].strip().splitlines())
    space: dict[str, Any] = {"poseig_mm": poseig_mm}
    exec(call.replace("]])", ']], preset="quick")'), space)
    given, _, wanted = shapes.partition("#")
    assert eval(given, space) == eval(wanted)
    exec(save, space)
    assert Path("maps.png").is_file()


def test_the_page_s_example(photograph: None) -> None:
    """docs/pictures.md: the same."""
    page = (ROOT / "docs" / "pictures.md").read_text()
    (example,) = re.findall(r"^```py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    space: dict[str, Any] = {}
    exec(example, space)
    assert space["found"].keypoints.shape == (1, 17, 2)
    assert Path("maps.png").is_file()
