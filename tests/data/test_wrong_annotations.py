"""Annotations that are not what they seem: never a wrong number, and whoever is left out is counted with the cause."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from drawn_coordinates import BLUE, HEIGHT, JOINTS, PLAIN, WIDTH, dataset, person, source, to_original, write
from PIL import Image

from poseig_mm.errors import DataError

pytestmark = pytest.mark.usefixtures("mmpose_ready")
LOAD_AS_STORED = {"type": "LoadImage", "color_type": "color_ignore_orientation"}


def change(folder: Path, **images: Any) -> Path:
    """Change what the annotation file says of its images."""
    path = folder / "persons.json"
    content = json.loads(path.read_text())
    for image in content["images"]:
        image.update(images)
    path.write_text(json.dumps(content))
    return folder


def jpeg(folder: Path, orientation: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """The first image as a JPEG file (w, h) with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.full((size[1], size[0], 3), BLUE, np.uint8)).save(folder / "1.jpg", exif=exif)
    change(folder, file_name="1.jpg")


def people(folder: Path, *annotations: Any, images: tuple[int, ...] = (1,), **options: Any) -> Any:
    """The samples of some annotations."""
    write(folder, annotations, images)
    return source(dataset(folder), **options)


def notes(found: Any) -> str:
    """All notes."""
    return "\n".join(found.notes)


@pytest.mark.parametrize(
    ("size", "cause"),
    [
        ((2 * WIDTH, 2 * HEIGHT), "resized by 2 after the annotation"),
        ((WIDTH // 3, HEIGHT // 3), "resized by 0.33 after the annotation"),
        ((HEIGHT, WIDTH), "turned by 90 degrees after the annotation"),
        ((WIDTH, HEIGHT + 20), "another image, or was cropped"),
    ],
)
def test_an_image_of_another_size_fails_its_sample(tmp_path: Path, size: tuple[int, int], cause: str) -> None:
    """Joints would be elsewhere in it; a person in an image as annotated stands."""
    write(tmp_path, [person(1), person(2, 2)], images=(1, 2))
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((size[1], size[0], 3), np.uint8))
    found = source(dataset(tmp_path))
    with pytest.raises(DataError, match=rf"sample 1-1.*is {size[0]} x {size[1]} px.*as {WIDTH} x {HEIGHT}.*{cause}"):
        found.load(0)
    assert found.load(1).sample_id == "2-2"


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_an_image_on_its_side_by_exif_is_noticed(tmp_path: Path, orientation: int) -> None:
    """LoadImage turns it: annotated as stored it fails; annotated as turned, or loaded as stored, it is right."""
    write(tmp_path, [person(1)])
    jpeg(tmp_path, orientation)
    with pytest.raises(DataError, match=rf"EXIF orientation \({orientation}\) turns it by 90 degrees"):
        source(dataset(tmp_path)).load(0)
    as_stored = source(dataset(tmp_path, [LOAD_AS_STORED, *PLAIN[1:]])).load(0)
    assert to_original(as_stored, as_stored.keypoints[:1])[0] == pytest.approx(JOINTS[0], abs=1e-3)
    jpeg(tmp_path, orientation, (HEIGHT, WIDTH))  # is WIDTH x HEIGHT once it is turned
    found = source(dataset(tmp_path))
    assert to_original(found.load(0), found.load(0).keypoints[:1])[0] == pytest.approx(JOINTS[0], abs=1e-3)
    assert not found.loading_notes()


@pytest.mark.parametrize(("orientation", "size"), [(2, (WIDTH, HEIGHT)), (3, (WIDTH, HEIGHT)), (6, (160, 160))])
def test_a_turn_that_the_size_does_not_betray_is_noted(tmp_path: Path, orientation: int, size: tuple[int, int]) -> None:
    """Mirrored, upside down, a square on its side: nobody can tell which way up it was annotated."""
    write(tmp_path, [person(1), person(2)])
    jpeg(tmp_path, orientation, size)
    change(tmp_path, width=size[0], height=size[1])
    found = source(dataset(tmp_path))
    assert not found.loading_notes()  # no image has been opened
    assert [found.load(i).sample_id for i in range(2)] == ["1-1", "1-2"]
    (note,) = found.loading_notes()
    assert note.startswith("1 of 1 images that were loaded have an EXIF orientation")


@pytest.mark.parametrize("size", [{"width": 0, "height": 0}])
def test_no_size_is_no_other_size(tmp_path: Path, size: dict[str, int]) -> None:
    """MMPose clips boxes to it, so that nobody is left; that is said, not that the image is another one."""
    write(tmp_path, [person(1)])
    with pytest.raises(DataError, match="holds no person"):
        source(dataset(change(tmp_path, **size)))


def shares(values: Any) -> list[float]:
    """Keypoints (x, y, v) as shares of the image."""
    points = np.asarray(values, dtype=float).reshape(-1, 3) / [WIDTH, HEIGHT, 1]
    return [float(v) for v in points.ravel()]


def test_keypoints_as_shares_of_the_image_are_left_out(tmp_path: Path) -> None:
    """They would all lie in the image's first pixel."""
    found = people(tmp_path, person(1), {**person(2), "keypoints": shares(person(2)["keypoints"])})
    assert found.ids() == ["1-1"]
    assert "2 annotated, 1 used: 1 person whose keypoints are between 0 and 1 (shares of width" in str(found.persons)


def test_boxes_as_shares_of_the_image_are_left_out(tmp_path: Path) -> None:
    """The crop would show the corner's pixel."""
    box = [60 / WIDTH, 30 / HEIGHT, 60 / WIDTH, 90 / HEIGHT]
    found = people(tmp_path, person(1), person(2, bbox=box), person(3, bbox=[0.0, 0.0, 1.0, 1.0]))
    assert found.ids() == ["1-1"]
    assert "3 annotated, 1 used: 2 boxes between 0 and 1 (shares of width" in str(found.persons)


def test_nobody_left_says_why(tmp_path: Path) -> None:
    """Before the run, instead of an empty table."""
    every = [{**person(i), "keypoints": shares(person(i)["keypoints"])} for i in (1, 2)]
    with pytest.raises(
        DataError, match=r"no person.*2 annotated, 0 used: 2 persons whose keypoints are between 0 and 1"
    ):
        people(tmp_path, *every)
    with pytest.raises(DataError, match=r"no person.*1 annotated, 0 used: 1 box outside the image"):
        people(tmp_path, person(1, bbox=[500, 30, 60, 90]))


def test_a_box_that_is_not_a_number_is_left_out(tmp_path: Path) -> None:
    """Whichever number it is."""
    boxes = [[float("nan"), 30, 60, 90], [60, 30, float("nan"), 90], [60, float("inf"), 60, 90]]
    found = people(tmp_path, person(1), *(person(2 + i, bbox=box) for i, box in enumerate(boxes)))
    assert found.ids() == ["1-1"]
    assert "4 annotated, 1 used: 3 boxes that are not numbers" in str(found.persons)


def test_missing_joints_at_the_origin_are_not_annotated(tmp_path: Path) -> None:
    """(0, 0, 2) in a crop that shows the image's corner; one at (0, y) is a joint."""
    annotation = person(1, joints={**JOINTS, 9: (0.0, 0.0), 10: (0.0, 40.0)}, bbox=[0, 0, 100, 120])
    found = people(tmp_path, annotation, person(2))
    sample = found.load(0)
    assert sample.visible.nonzero().flatten().tolist() == [0, 1, 5, 6, 10, 15]
    assert sample.keypoints[9].isnan().all()
    assert found.annotated() == 6 + 5
    assert "1 joints of 1 persons are marked as annotated at (0, 0)" in notes(found)


def test_boxes_that_cannot_be_are_counted(tmp_path: Path) -> None:
    """MMPose drops them without a word."""
    outside = [person(1, bbox=[500, 30, 60, 90]), person(2, bbox=[-100, 30, 60, 90])]
    found = people(tmp_path, *outside, person(3))
    assert found.ids() == ["1-3"]
    assert "3 annotated, 1 used: 2 boxes outside the image" in str(found.persons)
    empty = [person(1, bbox=[60, 30, 0, 90]), person(2, bbox=[60, 30, 60, -90])]
    found = people(tmp_path, *empty, person(3), person(4, iscrowd=1), person(5, joints={}))
    text = str(found.persons)
    assert "5 annotated, 1 used: " in text
    assert "2 empty or negative boxes" in text
    assert "1 crowd" in text
    assert "1 person without an annotated joint" in text


def test_crowds_and_persons_without_keypoints_are_a_fact(tmp_path: Path) -> None:
    """COCO's files hold them: they are counted, and no note says that something is odd."""
    found = people(tmp_path, person(1), person(2, iscrowd=1), person(3, joints={}), mask="none")
    assert not found.notes
    assert str(found.persons) == "3 annotated, 1 used: 1 person without an annotated joint, 1 crowd"
    assert (found.persons.annotated, found.persons.used, found.persons.odd) == (3, 1, False)
    odd = people(tmp_path, person(1), person(2, iscrowd=1), person(3, bbox=[500, 30, 60, 90]), mask="none")
    assert odd.persons.odd
    assert str(odd.persons) == "3 annotated, 1 used: 1 box outside the image, 1 crowd"


@pytest.mark.parametrize("mask", ["instance", "union"])
def test_what_is_read_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: str) -> None:
    """No image, however many there are, and the annotation file once beside MMPose's own reading of it."""
    write(tmp_path, [person(1), person(2, 2)], images=(1, 2))
    jpeg(tmp_path, 2)
    read: list[str] = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.name) or read_bytes(path))
    monkeypatch.setattr(Image, "open", lambda path, *_: pytest.fail(f"{path} is opened"))
    found = source(dataset(tmp_path), mask=mask)
    assert read == ["persons.json"]
    found.fingerprint()
    monkeypatch.undo()
    found.load(0)
    assert read == ["persons.json"]


def test_of_persons_with_one_id_one_is_used(tmp_path: Path) -> None:
    """COCO's reader gives the last in the place of each, also in another image: one person three times over."""
    moved = {k: (x + 7, y) for k, (x, y) in JOINTS.items()}
    found = people(tmp_path, person(1), person(1, 2, joints=moved), person(1, 1, joints=moved), images=(1, 2))
    assert found.ids() == ["1-1"]
    assert "3 annotated, 1 used: 2 persons that share their id with another" in str(found.persons)
    sample = found.load(0)
    assert Path(sample.image_path).name == "1.png"
    assert to_original(sample, sample.keypoints[:1])[0] == pytest.approx(moved[0], abs=1e-3)


def test_with_ids_twice_the_image_is_the_annotation_s_own(tmp_path: Path) -> None:
    """The last of them is of the second image: the first one holds nobody."""
    found = people(tmp_path, person(1), person(1, 2), images=(1, 2))
    assert [Path(found.load(i).image_path).name for i in range(len(found))] == ["2.png"]


def test_of_a_whole_file_nothing_is_said(tmp_path: Path) -> None:
    """No note where everybody is used."""
    found = people(tmp_path, person(1), person(2), mask="none")
    assert not found.notes
    assert found.load(1).sample_id == "1-2"


def broken(change_it: Any) -> Any:
    """What `change_it` makes of a file of two persons in one image."""
    image = {"id": 1, "file_name": "1.png", "width": WIDTH, "height": HEIGHT}
    content = {"images": [image], "annotations": [person(1), person(2)], "categories": [{"id": 1, "name": "person"}]}
    change_it(content)
    return content


def set_in(kind: str, index: int, **values: Any) -> Any:
    """A change of one entry; None takes a key out."""

    def change_it(content: Any) -> None:
        entry = {**content[kind][index], **values}
        content[kind][index] = {k: v for k, v in entry.items() if v is not None}

    return change_it


@pytest.mark.parametrize(
    ("change_it", "said"),
    [
        (set_in("images", 0, width=None), r"images\[0\] \(id 1\) has no 'width'; expected a number of px"),
        (set_in("images", 0, height="160"), r"images\[0\] \(id 1\): 'height' is '160'; expected a number"),
        (set_in("images", 0, id="a"), r"images\[0\] \(id 'a'\): 'id' is 'a'; expected a whole number"),
        (set_in("images", 0, file_name=None), r"images\[0\] \(id 1\) has no 'file_name'"),
        (set_in("annotations", 1, id=None), r"annotations\[1\] has no 'id'"),
        (set_in("annotations", 1, image_id=None), r"annotations\[1\] \(id 2\) has no 'image_id'"),
        (set_in("annotations", 1, category_id=None), r"annotations\[1\] \(id 2\) has no 'category_id'"),
        (
            set_in("annotations", 1, keypoints=[5] * 34),
            r"annotations\[1\] \(id 2\): 'keypoints' has 34 numbers.*three a",
        ),
        (
            set_in("annotations", 1, keypoints=[5] * 48),
            r"sample 1-2.*annotation 2 has 16 joints in 'keypoints'; expected 17",
        ),
        (set_in("annotations", 1, keypoints=[[5, 5]] * 17), r"annotations\[1\].*has 34 numbers"),
        (
            set_in("annotations", 1, keypoints="5 5 2"),
            r"annotations\[1\].*'keypoints' is 5 5 2; expected a list of x, y, v",
        ),
        (set_in("annotations", 1, bbox=[5, 5, 9]), r"annotations\[1\] \(id 2\): 'bbox' is \[5, 5, 9\]; expected x, y"),
        (
            set_in("annotations", 1, bbox=["5", 5, 9, 9]),
            r"annotations\[1\] \(id 2\): 'bbox' is .*; expected four numbers",
        ),
        (
            lambda c: c.update(annotations={"1": c["annotations"][0]}),
            "'annotations' is dict; expected a list of entries",
        ),
        (lambda c: c.pop("images"), "'images' is missing; expected a list of entries"),
        (lambda c: c["annotations"].append(7), r"annotations\[2\] is a int; expected an object"),
    ],
)
def test_a_faulty_entry_is_named(tmp_path: Path, change_it: Any, said: str) -> None:
    """With its key, its value and what was expected; nobody is sent to look for the file."""
    write(tmp_path, [])
    (tmp_path / "persons.json").write_text(json.dumps(broken(change_it)))
    with pytest.raises(DataError, match=said) as caught:
        source(dataset(tmp_path)).load(1)
    assert "Give the right place" not in str(caught.value)
