"""Pictures and videos without annotations: which are named, whose boxes they have, and what a sample of them holds."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from drawn_coordinates import BLUE, BOX, HEIGHT, INPUT, PIPELINES, WIDTH, config, dataset, preprocessor, square, write

from poseig_mm.data.person_boxes import PersonBox, detected_boxes, mmdet_detector, read_boxes, tracks
from poseig_mm.data.picture_source import PictureSource
from poseig_mm.data.shots import Shot, find_shots
from poseig_mm.errors import ConfigError, DataError
from poseig_mm.video import VideoReader

pytestmark = pytest.mark.usefixtures("mmpose_ready")
POINTS = torch.tensor([[5.0, 7.0], [-3.0, 4.0], *[[10.0 + k, 20.0] for k in range(15)]])  # the second lies outside


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures whose pixels say where they lie."""
    return write(tmp_path, [], images=(1, 2))


def pictures(folder: Path, images: Sequence[Any], pipeline: str = "plain", **options: Any) -> PictureSource:
    """Samples of pictures, whose joints a model would always find at the same places of the input."""
    cfg = config(dataset(folder / "no such folder", PIPELINES[pipeline]))
    return PictureSource(cfg, images, predict=lambda image: POINTS, preprocess=preprocessor(), **options)


def video(path: Path, levels: Sequence[int], codec: str = "MJPG") -> Path:
    """Frames of 32 x 24 px, each of one grey level."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10.0, (32, 24))  # type: ignore[attr-defined]
    for level in levels:
        writer.write(np.full((24, 32, 3), level, np.uint8))
    writer.release()
    return path


# ---- which pictures --------------------------------------------------------------------------------------------------


def test_pictures_folders_and_globs(folder: Path) -> None:
    """Each once, in the order given, a folder's sorted; what is no picture by its name is passed by in folders."""
    one, two = str(folder / "1.png"), str(folder / "2.png")
    assert [s.path for s in find_shots([two, str(folder)])] == [two, one]  # persons.json is there too
    assert [s.path for s in find_shots([str(folder / "?.png")])] == [one, two]
    assert [(s.image_id, s.size) for s in find_shots([one])] == [("1.png", (HEIGHT, WIDTH))]
    (folder / "more").mkdir()
    (folder / "more" / "1.png").write_bytes((folder / "1.png").read_bytes())
    names = [s.image_id for s in find_shots([str(folder / "**" / "*.png")])]
    assert names == [one, "2.png", str(folder / "more" / "1.png")]


@pytest.mark.parametrize(
    ("name", "message"),
    [("nobody.png", "there is no file"), ("*.gif", "matches no picture"), ("persons.json", "no picture and no video"),
     ("empty", r"holds no picture \(no file at all\)")],
)  # fmt: skip
def test_names_that_name_no_picture(folder: Path, name: str, message: str) -> None:
    """An error that says what was looked for."""
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        find_shots([str(folder / name)])


def test_a_turned_picture_has_the_size_it_is_seen_in(tmp_path: Path) -> None:
    """EXIF's orientation 6 exchanges height and width, as MMPose's loader does."""
    from PIL import Image

    image = Image.new("RGB", (40, 20))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert find_shots([str(tmp_path / "a.jpg")])[0].size == (40, 20)
    assert cv2.imread(str(tmp_path / "a.jpg")).shape[:2] == (40, 20)


def test_frames_of_a_video(tmp_path: Path) -> None:
    """One in `every`, by their number; a cut is where grey values change by more than 27 of 255 on average."""
    path = video(tmp_path / "a.avi", [10, 30, 50, 100, 110, 120, 130])
    shots = find_shots([str(path)], every=2)
    assert [(s.image_id, s.path, s.scene) for s in shots] == [
        (str(n), f"{path}#{n}", int(n >= 3)) for n in (0, 2, 4, 6)
    ]
    assert {s.size for s in shots} == {(24, 32)}
    reader = VideoReader(str(path))
    assert [round(float(reader.read(n).mean()), -1) for n in (5, 1, 1, 6)] == [120, 30, 30, 130]
    with pytest.raises(DataError, match="has no frame 7"):
        reader.read(7)
    other = video(tmp_path / "b.avi", [10])
    assert [s.image_id for s in find_shots([str(path), str(other)], every=6)] == ["a.avi#0", "a.avi#6", "b.avi#0"]


def test_a_broken_video(tmp_path: Path) -> None:
    """Text is no video; one that is cut off has the frames that can be read, and says so."""
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(DataError, match=r"a\.mp4 cannot be read as a video"):
        find_shots([str(tmp_path / "a.mp4")])
    whole = tmp_path / "b.avi"
    writer = cv2.VideoWriter(str(whole), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (96, 96))  # type: ignore[attr-defined]
    random = np.random.default_rng(0)
    for _ in range(20):
        writer.write(random.integers(0, 255, (96, 96, 3), dtype=np.uint8))
    writer.release()
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    notes: list[str] = []
    shots = find_shots([str(whole)], notes=notes)
    assert 5 < len(shots) < 15
    assert [note.endswith(f"{len(shots)} can be read") for note in notes] == [True]


# ---- whose boxes -----------------------------------------------------------------------------------------------------

SHOTS = [Shot("x/000785.jpg", "000785.jpg", (100, 100)), Shot("x/b.png", "b.png", (100, 100))]


def boxes(tmp_path: Path, content: Any) -> Any:
    """The boxes in a file with this content, and the notes on them."""
    path = tmp_path / "boxes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    notes: list[str] = []
    return read_boxes(str(path), SHOTS, notes), notes


@pytest.mark.parametrize("named", [{"image_id": 785}, {"image_id": "000785"}, {"file_name": "y/000785.jpg"}])
def test_boxes_name_their_picture(tmp_path: Path, named: dict[str, Any]) -> None:
    """By COCO's number, by the name without its suffix, by a path."""
    found, notes = boxes(tmp_path, [{**named, "bbox": [1, 2, 10, 20]}])
    assert (found, notes) == ({"000785.jpg": [PersonBox((1.0, 2.0, 11.0, 22.0))]}, [])


def test_boxes_of_an_annotation_file(tmp_path: Path) -> None:
    """Its images have ids of their own; a segmentation stays with its box."""
    annotation = {"image_id": 7, "bbox": [0, 0, 5, 5], "segmentation": [square((3, 3), 2)]}
    found, _ = boxes(tmp_path, {"images": [{"id": 7, "file_name": "b.png"}], "annotations": [annotation]})
    assert found == {"b.png": [PersonBox((0.0, 0.0, 5.0, 5.0), 1.0, [square((3, 3), 2)])]}


def test_boxes_that_are_not_used_are_counted(tmp_path: Path) -> None:
    """Of other pictures, of other categories, and unsure ones."""
    box = {"file_name": "b.png", "bbox": [0, 0, 5, 5]}
    others = [{**box, "file_name": "c.png"}, {**box, "category_id": 2}, {**box, "score": 0.29}]
    found, notes = boxes(tmp_path, [{**box, "score": 0.31}, *others])
    assert [box.score for box in found["b.png"]] == [0.31]
    assert re.search("1 of 4 boxes .*1 for other pictures, 1 with a score below 0.3, 1 of other categories", notes[0])
    with pytest.raises(DataError, match=r"1 of them for other pictures, such as 'c.png'.*'000785.jpg', 'b.png'"):
        boxes(tmp_path, others)


@pytest.mark.parametrize(
    ("content", "message"),
    [("[", "is no JSON"), ("3", "holds a int"), ([{"bbox": [1, 2, 3, 4]}], "expected an object with 'bbox'"),
     ([{"file_name": "b.png", "bbox": [1, 2]}], r"'bbox' is \[1, 2\]")],
)  # fmt: skip
def test_files_that_hold_no_boxes(tmp_path: Path, content: Any, message: str) -> None:
    """An error that says what is wrong where."""
    with pytest.raises(DataError, match=message):
        boxes(tmp_path, content)
    with pytest.raises(DataError, match="no file of boxes"):
        read_boxes(str(tmp_path / "none.json"), SHOTS, [])


def test_a_detector_is_asked_for_each_picture() -> None:
    """The surest box first, unsure ones not; a picture that cannot be read has none."""

    def pixels_of(shot: Shot) -> Any:
        if shot.image_id == "b.png":
            raise DataError("broken")
        return np.full((2, 2, 3), 9, np.uint8)

    def detector(pixels: Any) -> Any:
        assert pixels.mean() == 9
        return np.array([[0, 0, 1, 1, 0.5], [0, 0, 2, 2, 0.9], [0, 0, 3, 3, 0.1]])

    found = detected_boxes(SHOTS, pixels_of, detector)
    assert found == {"000785.jpg": [PersonBox((0, 0, 2, 2), 0.9), PersonBox((0, 0, 1, 1), 0.5)]}


def test_a_detector_that_cannot_be_built() -> None:
    """One error, whether mmdet's operators are missing or the config is."""
    with pytest.raises(ConfigError, match=r"--boxes FILE\.json|cannot be built"):
        mmdet_detector("none.py", "none.pth", "cpu")


def test_persons_are_followed_by_overlap() -> None:
    """Two that cross in opposite order keep their numbers; who was away is somebody new."""
    left, right = (0.0, 0.0, 10.0, 20.0), (40.0, 0.0, 50.0, 20.0)
    assert tracks([[left, right], [right, left], [left], [left, right]], [0] * 4) == [[1, 2], [2, 1], [1], [1, 3]]
    assert tracks([[left], [left]], [0, 1]) == [[1], [2]]  # a cut


# ---- samples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pipeline", ["plain", "udp", "whole"])
def test_a_picture_goes_through_the_config_s_pipeline(folder: Path, pipeline: str) -> None:
    """The config's data are not needed; each pixel of the input shows the place that the warp says."""
    source = pictures(folder, [str(folder / "1.png")], pipeline)
    sample = source.load(0)
    assert (source.ids(), sample.image_id, sample.annotated) == (["1.png-1"], "1.png", False)
    assert torch.equal(sample.keypoints, POINTS)
    assert sample.pixels is not None
    assert torch.equal(sample.pixels, POINTS)
    assert sample.visible.tolist() == [True, False, *[True] * 15]
    assert sample.in_image is not None
    rows, columns = np.nonzero(sample.in_image.numpy())
    inner = slice(len(rows) // 3, len(rows) // 3 + 50)
    for row, column in zip(rows[inner], columns[inner], strict=True):
        x, y = sample.inverse_warp @ np.array([column, row, 1.0])
        if 2 < x < WIDTH - 2 and 2 < y < HEIGHT - 2:
            assert np.abs(sample.display[row, column] - np.array([x, y, BLUE])).max() < 2
    assert source.annotated() == 17


def test_a_box_is_cropped_as_an_annotated_one(folder: Path) -> None:
    """Its centre is the input's; its segmentation is the mask."""
    x, y, w, h = BOX
    box = PersonBox((x, y, x + w, y + h), segmentation=[square((90, 75), 20)])
    source = pictures(folder, [str(folder / "1.png")], boxes={"1.png": [box]})
    sample = source.load(0)
    middle = sample.inverse_warp @ np.array([INPUT[0] / 2, INPUT[1] / 2, 1.0])
    assert np.abs(middle - [x + w / 2, y + h / 2]).max() < 1
    assert sample.mask is not None
    assert sample.mask_source == "instance"
    seen = sample.inverse_warp @ np.array([*np.argwhere(sample.mask.numpy()).mean(0)[::-1], 1.0])
    assert np.abs(seen - [90, 75]).max() < 2


def test_boxes_that_hold_nothing_are_counted(folder: Path) -> None:
    """Outside the picture, or without an area; and pictures without a box."""
    given = {"1.png": [PersonBox((0, 0, 50, 50)), PersonBox((300, 0, 350, 50)), PersonBox((5, 5, 5, 50))]}
    source = pictures(folder, [str(folder)], boxes=given)
    assert source.ids() == ["1.png-1"]
    assert "1 used" in str(source.persons)
    assert "boxes" in str(source.persons)
    assert source.persons is not None
    assert source.persons.left_out == {
        "box outside the image": 1, "empty or negative box": 1, "picture without a box": 1
    }  # fmt: skip


def test_a_broken_picture_is_that_sample_s_error(folder: Path) -> None:
    """The others load."""
    (folder / "1.png").write_bytes(b"no picture")
    source = pictures(folder, [str(folder)])
    with pytest.raises(DataError, match=r"sample 1\.png-1, image .*1\.png: cannot be read as an image"):
        source.load(0)
    assert source.load(1).sample_id == "2.png-1"


def test_frames_and_arrays_are_samples(tmp_path: Path) -> None:
    """Pixels that are in no file go the same way; going back in a video gives the same frame."""
    path = video(tmp_path / "a.avi", [10, 200, 220])
    source = pictures(tmp_path, [str(path)])
    assert source.ids() == ["0-1", "1-2", "2-2"]  # a cut begins another person
    levels = [round(float(source.load(i).display[20:40, 10:40].mean()), -1) for i in (2, 0, 1)]
    assert levels == [220, 10, 200]
    assert source.load(1).image_path == f"{path}#1"
    array = Shot("", "array", (24, 32), pixels=np.full((24, 32, 3), 70, np.uint8))
    assert pictures(tmp_path, [array]).load(0).display[20:40, 10:40].mean() == 70


def test_the_fingerprint_is_of_what_was_named(folder: Path, tmp_path: Path) -> None:
    """Other pictures, other boxes, another video of the same name: another run; pictures' content is the store's."""
    one = str(folder / "1.png")
    before = pictures(folder, [one]).fingerprint()
    assert pictures(folder, [one]).fingerprint() == before
    assert pictures(folder, [one, str(folder / "2.png")]).fingerprint() != before
    file = folder / "boxes.json"
    prints = set()
    for side in (40, 50):
        file.write_text(json.dumps([{"file_name": "1.png", "bbox": [0, 0, side, side]}]))
        prints.add(pictures(folder, [one], boxes=str(file)).fingerprint())
    for level in (10, 90):
        prints.add(pictures(folder, [str(video(tmp_path / "a.avi", [level] * 3))]).fingerprint())
    assert len({*prints, before}) == 5


def test_whole_pictures_take_no_boxes(folder: Path) -> None:
    """A model that finds its persons is not told where they are."""
    with pytest.raises(ConfigError, match="finds persons in them by itself"):
        pictures(folder, [str(folder)], "whole", boxes={"1.png": [PersonBox((0, 0, 50, 50))]})


def test_a_config_without_a_pipeline(folder: Path) -> None:
    """An error, as for a data set."""
    cfg = config(dataset(folder, PIPELINES["plain"]))
    with pytest.raises(ConfigError, match="no val_dataloader"):
        PictureSource(cfg, [str(folder)], predict=None, preprocess=preprocessor(), split="val")
    cfg.test_dataloader.dataset.pipeline[0] = {"type": "LoadNothing"}
    with pytest.raises(ConfigError, match="LoadNothing"):
        PictureSource(cfg, [str(folder)], predict=None, preprocess=preprocessor())
