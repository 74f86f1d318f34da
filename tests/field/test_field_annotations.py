"""Annotation files as tools export them, and as they arrive: one of each kind, made of one plain file.

To add a kind, add an entry to `FILES`: what it is called, what it makes of the plain file's content, and the outcome.
Other kinds are tested in `tests/data/test_wrong_annotations.py` (faulty entries, sizes, shares, ids given twice) and
`tests/data/test_segmentations.py`.
"""

from __future__ import annotations

import copy
import gc
import gzip
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_coordinates import HEIGHT, JOINTS, WIDTH, dataset, person, source, write

from poseig_mm.errors import DataError

pytestmark = pytest.mark.usefixtures("mmpose_ready")
Content = dict[str, Any]
IDS = ("1-1", "1-2", "2-3")


def plain() -> Content:
    """Two persons in image 1, one in image 2, each with joints of its own; as dictionaries."""
    people = [
        person(
            i,
            image,
            joints={k: (x + 2 * i, y + i) for k, (x, y) in JOINTS.items() if k != i},
            segmentation=[[60 + i, 40, 120, 45 + i, 80, 120]],
        )
        for i, image in ((1, 1), (2, 1), (3, 2))
    ]
    images = [{"id": i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT} for i in (1, 2)]
    return {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}


@dataclass(frozen=True)
class File:
    """What a kind of file is, and what becomes of it.

    Attributes:
        change: what it makes of the plain content, in place, or gives in its place (bytes are written as they are).
        ids: the samples, each the same as that of the plain file with the id beside it (None: as no other).
        masks: whether they have those masks too.
        notes: regular expressions, each found in the notes.
        refused: what the error says that the run is refused with; '' where it is not.
    """

    change: Callable[[Content], Any]
    ids: Mapping[str, str | None] = field(default_factory=lambda: dict(zip(IDS, IDS, strict=True)))
    masks: bool = True
    notes: tuple[str, ...] = ()
    refused: str = ""


def same(change: Callable[[Content], Any], *notes: str, **more: Any) -> File:
    """All persons as in the plain file."""
    return File(change, notes=notes, **more)


def refused(change: Callable[[Content], Any], says: str) -> File:
    return File(change, {}, refused=says)


def of_first(change: Callable[[Content], Any], *notes: str, **more: Any) -> File:
    """The first person alone is changed, and left out."""

    def change_it(content: Content) -> Any:
        return change(content["annotations"][0])

    return File(change_it, {i: i for i in IDS[1:]}, notes=notes, **more)


def every(kind: str, change: Callable[[Any], Any]) -> Callable[[Content], None]:
    """A change of each entry."""

    def change_it(content: Content) -> None:
        for entry in content[kind]:
            change(entry)

    return change_it


def without(*keys: str) -> Callable[[Any], None]:
    def change_it(entry: Any) -> None:
        for key in keys:
            entry.pop(key, None)

    return change_it


def put(**values: Any) -> Callable[[Any], None]:
    return lambda entry: entry.update(copy.deepcopy(values))


def to(key: str, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    """A change of one value of an entry."""

    def change_it(entry: Any) -> None:
        entry[key] = change(entry[key])

    return change_it


def both(*changes: Callable[[Content], Any]) -> Callable[[Content], None]:
    def change_all(content: Content) -> None:
        for change in changes:
            change(content)

    return change_all


def ids_as(kind: Callable[[Any], Any]) -> Callable[[Content], None]:
    """All ids of another type."""
    return both(
        every("images", to("id", kind)),
        every("annotations", lambda a: a.update(id=kind(a["id"]), image_id=kind(a["image_id"]))),
    )


def as_bytes(encode: Callable[[str], bytes]) -> Callable[[Content], bytes]:
    return lambda content: encode(json.dumps(content))


def run_lengths(compressed: bool) -> Callable[[Any], None]:
    """The polygon as a mask."""
    from pycocotools import mask as coco

    def change_it(entry: Any) -> None:
        encoded = coco.merge(coco.frPyObjects(entry["segmentation"], HEIGHT, WIDTH))
        if compressed:
            entry["segmentation"] = {"size": encoded["size"], "counts": encoded["counts"].decode()}
            return
        column = coco.decode(encoded).T.ravel()
        changes = np.flatnonzero(np.diff(column)) + 1
        runs = np.diff([0, *changes, column.size]).tolist()
        entry["segmentation"] = {"size": encoded["size"], "counts": runs if column[0] == 0 else [0, *runs]}

    return change_it


def cvat(content: Content) -> None:
    """CVAT's COCO Keypoints 1.0."""
    content.update(
        licenses=[{"name": "", "id": 0, "url": ""}],
        info={"contributor": "", "date_created": "", "description": "", "url": "", "version": "", "year": ""},
        categories=[{"id": 1, "name": "person", "supercategory": "", "keypoints": list("abcdefghijklmnopq"),
                     "skeleton": [[16, 14], [14, 12]]}],
    )  # fmt: skip
    every("images", put(license=0, flickr_url="", coco_url="", date_captured=0))(content)
    every("annotations", put(segmentation=[], attributes={"occluded": False, "track_id": 0, "keyframe": True}))(content)


def label_studio(content: Content) -> None:
    """Categories from 0, `ignore`, and no crowds."""
    content.update(categories=[{"id": 0, "name": "person"}], info={"year": 2024, "version": "1.0"})
    every("annotations", put(category_id=0, segmentation=[], ignore=0))(content)


def roboflow(content: Content) -> None:
    """A category for the data set itself, and ids from 0."""
    content.update(
        categories=[{"id": 0, "name": "pose-Zx1", "supercategory": "none"}, {"id": 1, "name": "person",
                     "supercategory": "pose-Zx1", "keypoints": ["new-point-0"], "skeleton": []}],
        licenses=[{"id": 1, "url": "", "name": "CC BY 4.0"}],
    )  # fmt: skip
    every("images", put(license=1, date_captured="2024-01-01T00:00:00+00:00", extra={"name": "a"}))(content)
    every("images", to("id", lambda i: i - 1))(content)
    every("annotations", lambda a: a.update(image_id=a["image_id"] - 1, id=a["id"] - 1, segmentation=[]))(content)


def several_categories(content: Content) -> None:
    """Dogs and chairs beside persons."""
    content["categories"] += [{"id": 2, "name": "dog"}, {"id": 3, "name": "chair"}]
    box = {"bbox": [5, 5, 30, 30], "area": 900.0, "iscrowd": 0, "segmentation": []}
    content["annotations"] += [{"id": 10 + i, "image_id": 1, "category_id": i, **box} for i in (2, 3)]


def lines(content: Content) -> bytes:
    """An annotation a line."""
    return "\n".join(json.dumps(a) for a in content["annotations"]).encode()


FILES: dict[str, File] = {
    # exporters
    "plain": same(lambda c: None),
    "CVAT": same(cvat, masks=False),
    "Label Studio": same(label_studio, masks=False),
    "Roboflow": File(roboflow, {"0-0": "1-1", "0-1": "1-2", "1-2": "2-3"}, masks=False),
    "labelme2coco": refused(
        every("annotations", without("keypoints", "num_keypoints")),
        r"no person with a box and annotated keypoints \(3 annotated, 0 used: 3 objects without keypoints\)",
    ),
    "of Windows": refused(every("images", to("file_name", lambda n: f".\\{n}")), "backslashes.*write / in"),
    # ids
    "ids are texts": refused(ids_as(str), r"images\[0\] \(id '1'\): 'id' is '1'; expected a whole number"),
    "ids are floats": refused(ids_as(float), r"images\[0\] \(id 1.0\): 'id' is 1.0; expected a whole number"),
    "ids are large": File(
        both(
            every("images", to("id", lambda i: i + 2**63)),
            every("annotations", lambda a: a.update(id=a["id"] + 2**70, image_id=a["image_id"] + 2**63)),
        ),
        {f"{int(i[0]) + 2**63}-{int(i[2]) + 2**70}": i for i in IDS},
    ),
    "ids of persons are texts": File(
        every("annotations", to("id", lambda i: f"p{i}")), {f"{i[:2]}p{i[2]}": i for i in IDS}
    ),
    "ids of images are texts in the annotations": refused(
        every("annotations", to("image_id", str)), "3 persons whose image_id is of another type than the image's id"
    ),
    "two images of one id": refused(
        lambda c: c.update(images=[{**c["images"][0], "file_name": n} for n in ("1.png", "2.png")],
                           annotations=c["annotations"][:2]),
        "2 annotated, 0 used: 2 persons of images whose id another image has",
    ),
    "an image listed twice": same(lambda c: c["images"].append(dict(c["images"][0]))),
    # keys that are missing or odd
    "no crowds": same(every("annotations", without("iscrowd"))),
    "crowds are truths": same(every("annotations", put(iscrowd=False))),
    "no area": same(every("annotations", without("area"))),
    "no counts": same(every("annotations", without("num_keypoints"))),
    "no categories": same(without("categories")),
    "categories empty": same(put(categories=[])),
    "several categories": same(several_categories, "5 annotated, 3 used: 2 objects without keypoints"),
    "unknown keys": same(every("annotations", put(**{"chëck 人": {"a": [1, None]}}))),
    "no boxes": refused(every("annotations", without("bbox")), "3 persons without a box"),
    "no box": of_first(without("bbox"), "3 annotated, 2 used: 1 person without a box"),
    "a box of null": File(
        lambda c: c["annotations"][0].update(bbox=None), {}, refused=r"annotations\[0\] \(id 1\): 'bbox' is None"
    ),
    "keypoints of null": refused(
        lambda c: c["annotations"][0].update(keypoints=None), r"annotations\[0\] \(id 1\): 'keypoints' is None"
    ),
    # numbers
    "corners for boxes": File(
        every("annotations", put(bbox=[100, 60, 160, 150])), dict.fromkeys(IDS), notes=("3 of 3 .*are they corners",)
    ),
    "boxes at the border": File(every("annotations", put(bbox=[110, 80, 100, 90])), dict.fromkeys(IDS)),
    "boxes of whole numbers": same(every("annotations", to("bbox", lambda b: [int(v) for v in b]))),
    "keypoints in threes": same(every("annotations", to("keypoints", lambda k: np.reshape(k, (-1, 3)).tolist()))),
    "missing joints at -1": same(
        every("annotations", to("keypoints", lambda k: [-1 if i % 3 < 2 and k[i // 3 * 3 + 2] == 0 else v
                                                        for i, v in enumerate(k)]))
    ),
    "missing joints of NaN": same(
        every("annotations", to("keypoints", lambda k: [float("nan") if i % 3 < 2 and k[i // 3 * 3 + 2] == 0 else v
                                                        for i, v in enumerate(k)]))
    ),
    "missing joints of null": same(
        every("annotations", to("keypoints", lambda k: [None if i % 3 < 2 and k[i // 3 * 3 + 2] == 0 else v
                                                        for i, v in enumerate(k)]))
    ),
    "hidden joints": same(every("annotations", to("keypoints", lambda k: [min(v, 1) if i % 3 == 2 else v
                                                                          for i, v in enumerate(k)]))),
    "a visibility of 3": same(every("annotations", to("keypoints", lambda k: [v * 1.5 if i % 3 == 2 else v
                                                                              for i, v in enumerate(k)]))),
    "visible is true": same(every("annotations", to("keypoints", lambda k: [bool(v) if i % 3 == 2 else v
                                                                            for i, v in enumerate(k)]))),
    "a box of NaN": of_first(
        lambda a: a.update(bbox=[float("nan"), 1, 5, 5]), "3 annotated, 2 used: 1 box that is not a number"
    ),
    # segmentations
    "no segmentations": same(every("annotations", without("segmentation")), masks=False),
    "segmentations of nothing": same(every("annotations", put(segmentation=[[]])), "cannot be read", masks=False),
    "run lengths": same(every("annotations", run_lengths(compressed=False))),
    "compressed run lengths": same(every("annotations", run_lengths(compressed=True))),
    "polygons beyond the border": same(
        every("annotations", to("segmentation", lambda s: [*s, [-30, -30, -20, -30, -20, -20]])), masks=True
    ),
    # images
    "images without persons": same(
        lambda c: c["images"].append({"id": 9, "file_name": "9.png", "width": 10, "height": 10})
    ),
    "a person without an image": same(
        lambda c: c["annotations"].append(person(7, 77)), "4 annotated, 3 used: 1 person of an image that is not listed"
    ),
    # the file itself
    "a byte order mark": refused(as_bytes(lambda t: b"\xef\xbb\xbf" + t.encode()), "byte order mark; save it as UTF-8"),
    "UTF-16": refused(as_bytes(lambda t: t.encode("utf-16")), "byte order mark; save it as UTF-8"),
    "another alphabet": same(
        lambda c: json.dumps({**c, "info": {"description": "人物 é"}}, ensure_ascii=False).encode()
    ),
    "latin-1": refused(
        lambda c: json.dumps({**c, "info": "Jürgen"}, ensure_ascii=False).encode("latin-1"), r"not UTF-8 .byte \d+"
    ),
    "with line breaks": same(lambda c: json.dumps(c, indent=2).replace("\n", "\r\n").encode()),
    "JSON lines": refused(lines, "ends before line 2, column 1 .*not one a line"),
    "gzip": refused(as_bytes(lambda t: gzip.compress(t.encode())), "gzip.*unpack"),
    "empty": refused(lambda c: b"", "empty file"),
    "an HTML page": refused(lambda c: b"<!DOCTYPE html><html>log in</html>", "HTML page"),
    "a git-LFS pointer": refused(
        lambda c: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"
    ),
    "broken off": refused(as_bytes(lambda t: t.encode()[: len(t) // 2]), "broken off at line 1, .*copy it again"),
    "a comma too many": refused(as_bytes(lambda t: t[:-1].encode() + b",}"), "not JSON: line 1, column"),
    "a Python dictionary": refused(lambda c: repr(c).encode(), "not JSON: line 1, column 2"),
    "a list of persons": refused(lambda c: json.dumps(c["annotations"]).encode(), "holds a list; expected an object"),
    "labelme": refused(lambda c: b'{"version": "5.0", "shapes": [], "imagePath": "1.png"}', "'images' is missing"),
}  # fmt: skip


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, mmpose_ready: None) -> dict[str, Any]:
    """The plain file's samples."""
    folder = write(tmp_path_factory.mktemp("plain"), [], images=(1, 2))
    (folder / "persons.json").write_text(json.dumps(plain()))
    gc.freeze()  # MMPose's data sets collect garbage when they load: half a second each
    samples = source(dataset(folder))
    assert samples.ids() == list(IDS)
    made = {name: samples.load(i) for i, name in enumerate(IDS)}
    assert all(s.mask.any() and s.visible.sum() >= 4 for s in made.values())
    return made


@pytest.mark.parametrize("name", FILES)
def test_an_annotation_file(name: str, tmp_path: Path, expected: dict[str, Any]) -> None:
    """Its persons are those of the plain file, or the run is refused with the cause."""
    kind, content = FILES[name], plain()
    write(tmp_path, [], images=(1, 2))
    changed = kind.change(content)
    file = tmp_path / "persons.json"
    if isinstance(changed, bytes):
        file.write_bytes(changed)
    else:
        file.write_text(json.dumps(content))
    if kind.refused:
        with pytest.raises(DataError) as caught:
            source(dataset(tmp_path)).load(0)
        assert re.search(kind.refused, str(caught.value), re.DOTALL), str(caught.value)
        return
    samples = source(dataset(tmp_path))
    assert samples.ids() == list(kind.ids)
    for i, (own, like) in enumerate(kind.ids.items()):
        sample = samples.load(i)
        assert sample.sample_id == own
        if like is None:
            continue
        right = expected[like]
        for what in ("image", "keypoints", "visible", "inverse_warp", "pixels", "display"):
            assert np.array_equal(getattr(sample, what), getattr(right, what), equal_nan=True), what
        assert np.array_equal(sample.mask, right.mask) if kind.masks else sample.mask is None
    counts = [str(samples.persons)] if samples.persons.left_out else []
    notes = "\n".join([*counts, *samples.notes])
    for note in kind.notes:
        assert re.search(note, notes), notes
    assert kind.notes or not notes, notes
