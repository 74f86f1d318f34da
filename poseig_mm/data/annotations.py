"""What a COCO file says before MMPose sorts it: sizes of images, whom MMPose leaves out and why, and what is broken."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

Content = Mapping[str, Any]
Person = tuple[str, str]  # image id and own id
NO_BOX = "picture without a box"
_BY_SETTINGS = "left out by the data set's own settings (filter_cfg, sample_interval, indices)"
SHARES = "between 0 and 1 (shares of width and height? Multiply them: px are expected)"
NORMAL_CAUSES = frozenset(
    {"crowd", "object without keypoints", "person without an annotated joint", _BY_SETTINGS}
)  # why persons are left out of any data set
_OTHER_TYPE = "person whose image_id is of another type than the image's id (a text and a number)"
_BEYOND = 0.05  # of an image's side, by which a box may end outside it
SHARED_IMAGE = "person of an image whose id another image has"
_PLURALS = {
    "crowd": "crowds",
    "object without keypoints": "objects without keypoints",
    "person without a box": "persons without a box",
    "person without an annotated joint": "persons without an annotated joint",
    "person all of whose joints are at (0, 0)": "persons all of whose joints are at (0, 0)",
    f"person whose keypoints are {SHARES}": f"persons whose keypoints are {SHARES}",
    _OTHER_TYPE: _OTHER_TYPE.replace("person", "persons"),
    SHARED_IMAGE: SHARED_IMAGE.replace("person of an image", "persons of images"),
    "person of an image that is not listed": "persons of an image that is not listed",
    "person that shares its id with another": "persons that share their id with another",
    "person that is there already": "persons that are there already",
    NO_BOX: "pictures without a box",
    "box outside the image": "boxes outside the image",
    "box that is not a number": "boxes that are not numbers",
    f"box {SHARES}": f"boxes {SHARES}",
    "empty or negative box": "empty or negative boxes",
}


def read_content(path: str, digest: Hash | None = None) -> dict[str, Any]:
    """A COCO file's content; nothing where the file is of another kind.  It is read once.

    Args:
        path: of the file.
        digest: gets the bytes that were read, of a file of any kind; the path where there is no file.
    """
    if not Path(path).is_file():
        if digest is not None:
            digest.update(path.encode())
        return {}
    if not path.endswith(".json"):
        if digest is not None:
            with Path(path).open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        return {}
    data = Path(path).read_bytes()
    if digest is not None:
        digest.update(data)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def persons_of(content: Content) -> list[Mapping[str, Any]]:
    """Its annotations, as far as they are such."""
    return [a for a in _list(content, "annotations") if isinstance(a, Mapping)]


def segmentations_by_image(content: Content, images: Collection[str]) -> dict[str, list[Any]]:
    """Image id -> the segmentations of all its annotations, of some images."""
    by_image: dict[str, list[Any]] = {}
    for annotation in persons_of(content):
        if (image := str(annotation.get("image_id"))) in images:
            by_image.setdefault(image, []).append(annotation.get("segmentation"))
    return by_image


def image_sizes(content: Content) -> dict[str, tuple[int, int]]:
    """Image id -> (H, W) px as stated; 0, missing and the like are no statement.

    >>> image_sizes({"images": [{"id": 7, "width": 640, "height": 480}, {"id": 8, "width": 0, "height": 0}]})
    {'7': (480, 640)}
    """
    return {
        str(image.get("id")): (int(image["height"]), int(image["width"]))
        for image in _list(content, "images")
        if isinstance(image, Mapping) and _number(image.get("height"), 1) and _number(image.get("width"), 1)
    }


def file_names(content: Content) -> dict[str, str]:
    """Image id -> the name of its file."""
    images = [image for image in _list(content, "images") if isinstance(image, Mapping)]
    return {str(image.get("id")): str(image.get("file_name", "")) for image in images}


def shared_images(content: Content) -> set[str]:
    """Ids that images of different files have in common.

    >>> sorted(shared_images({"images": [{"id": 7, "file_name": "a.jpg"}, {"id": 7, "file_name": "b.jpg"}]}))
    ['7']
    """
    images = [image for image in _list(content, "images") if isinstance(image, Mapping)]
    pairs = {(str(image.get("id")), str(image.get("file_name", ""))) for image in images}
    return {image for image, count in Counter(image for image, _ in pairs).items() if count > 1}


def corner_note(content: Content) -> str:
    """A sentence where boxes are (x0, y0, x1, y1), as far as can be told; '' where they are not.

    All could be corners inside their images, and as x, y, width and height some reach far beyond.

    >>> image, box = {"id": 1, "width": 100, "height": 100}, [40, 40, 90, 95]
    >>> corner_note({"images": [image], "annotations": [{"image_id": 1, "bbox": box}]})[:42]
    '1 of 1 boxes end outside their image as x,'
    """
    sizes, beyond, boxes = image_sizes(content), 0, 0
    for annotation in persons_of(content):
        size, box = sizes.get(str(annotation.get("image_id"))), annotation.get("bbox")
        if size is None or not isinstance(box, list) or len(box) != 4 or not all(map(_number, box)):
            continue
        x, y, w, h = box
        if not (x < w <= size[1] and y < h <= size[0]):
            return ""
        boxes += 1
        beyond += bool(x + w > (1 + _BEYOND) * size[1] or y + h > (1 + _BEYOND) * size[0])
    if not beyond:
        return ""
    return (
        f"{beyond} of {boxes} boxes end outside their image as x, y, width, height, and all are inside as corners "
        "x0, y0, x1, y1: are they corners? COCO's are x, y, width, height; MMPose clips them, and crops are too large"
    )


def left_out(content: Content, used: Collection[Person]) -> Counter[str]:
    """Annotations that are not among the used persons, counted by cause.

    Of several with one id COCO's reader knows the last alone, so that this is the one that is used.

    >>> box = {"image_id": 1, "keypoints": [5, 5, 2], "bbox": [700, 9, 20, 20]}
    >>> file = {"images": [{"id": 1, "width": 640, "height": 480}], "annotations": [{**box, "id": 1}, {**box, "id": 2}]}
    >>> left_out(file, {("1", "2")})
    Counter({'box outside the image': 1})
    """
    sizes, known, rest = image_sizes(content), set(file_names(content)), set(used)
    exact = {image.get("id") for image in _list(content, "images") if isinstance(image, Mapping)}
    ids = Counter(str(a.get("id")) for a in persons_of(content))
    causes: Counter[str] = Counter()
    for annotation in reversed(persons_of(content)):
        image, own = str(annotation.get("image_id")), str(annotation.get("id"))
        if (image, own) in rest:
            rest.remove((image, own))
        elif ids[own] > 1:
            causes["person that shares its id with another"] += 1
        elif image in known and annotation.get("image_id") not in exact:
            causes[_OTHER_TYPE] += 1
        elif image not in known:
            causes["person of an image that is not listed"] += 1
        else:
            causes[_cause(annotation, sizes.get(image))] += 1
    return causes


def _cause(annotation: Mapping[str, Any], size: tuple[int, int] | None) -> str:
    if annotation.get("iscrowd"):
        return "crowd"
    if annotation.get("keypoints") is None:
        return "object without keypoints"
    if annotation.get("bbox") is None:
        return "person without a box"
    try:
        x, y, w, h = (float(v) for v in annotation["bbox"])
        keypoints = np.asarray(annotation["keypoints"], dtype=np.float64).reshape(-1, 3)
    except (TypeError, ValueError):
        return _BY_SETTINGS
    if not all(map(math.isfinite, (x, y, w, h))):
        return "box that is not a number"
    if w <= 0 or h <= 0:
        return "empty or negative box"
    if size is not None and (x >= size[1] - 1 or y >= size[0] - 1 or x + w <= 0 or y + h <= 0):
        return "box outside the image"
    if annotation.get("num_keypoints") == 0 or not (keypoints[:, 2] > 0).any():
        return "person without an annotated joint"
    return _BY_SETTINGS if keypoints[:, :2].max() > 0 else "person all of whose joints are at (0, 0)"


def counted(annotated: int, causes: Mapping[str, int], word: str = "annotated") -> str:
    """How many are annotated and used, and why the others are not.

    >>> counted(3, {"box outside the image": 2})
    '3 annotated, 1 used: 2 boxes outside the image'
    """
    if not causes:
        return f"{annotated} {word}, {annotated} used"
    why = ", ".join(f"{n} {cause if n == 1 else _PLURALS.get(cause, cause)}" for cause, n in causes.items())
    return f"{annotated} {word}, {annotated - sum(causes.values())} used: {why}"


def fault(content: Content) -> str | None:
    """The first thing in a COCO file that its readers cannot take, with entry and key; None: nothing is found.

    >>> fault({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []})
    "images[0] (id 1) has no 'width'; expected a number of px"
    """
    return next(_faults(content), None)


def _faults(content: Content) -> Iterator[str]:
    for key in ("images", "annotations"):
        if not isinstance(content.get(key), list):
            kind = type(content[key]).__name__ if key in content else "missing"
            yield f"{key!r} is {kind}; expected a list of entries"
            return
    ids: set[Any] = set()
    for i, image in enumerate(content["images"]):
        where = f"images[{i}]" + (f" (id {image['id']!r})" if isinstance(image, Mapping) and "id" in image else "")
        yield from _image_faults(where, image)
        if isinstance(image, Mapping):
            ids.add(str(image.get("id")))
    length: int | None = None
    for i, person in enumerate(content["annotations"]):
        where = f"annotations[{i}]" + (
            f" (id {person['id']!r})" if isinstance(person, Mapping) and "id" in person else ""
        )
        if not isinstance(person, Mapping):
            yield f"{where} is a {type(person).__name__}; expected an object"
            continue
        yield from _person_faults(where, person)
        if numbers := _count(person.get("keypoints")):
            length = length or numbers
            if numbers != length:
                yield f"{where}: 'keypoints' has {numbers} numbers; the first annotation has {length}"
        if ids and str(person.get("image_id")) not in ids:
            yield f"{where}: 'image_id' is {person.get('image_id')!r}, which no entry of 'images' has"


def _image_faults(where: str, image: Any) -> Iterator[str]:
    if not isinstance(image, Mapping):
        yield f"{where} is a {type(image).__name__}; expected an object"
        return
    for key, expected in (("id", "a whole number"), ("file_name", "a path"), ("width", "a number of px"),
                          ("height", "a number of px")):  # fmt: skip
        if key not in image:
            yield f"{where} has no {key!r}; expected {expected}"
    if "id" in image and type(image["id"]) is not int:
        yield f"{where}: 'id' is {image['id']!r}; expected a whole number"
    for key in ("width", "height"):
        if key in image and not _number(image[key]):
            yield f"{where}: {key!r} is {image[key]!r}; expected a number of px"


def _person_faults(where: str, person: Mapping[str, Any]) -> Iterator[str]:
    for key in ("id", "image_id", "category_id"):
        if key not in person:
            yield f"{where} has no {key!r}"
    keypoints, box = person.get("keypoints"), person.get("bbox")
    if "keypoints" in person:
        numbers = _count(keypoints)
        if numbers is None:
            yield f"{where}: 'keypoints' is {str(keypoints)[:60]}; expected a list of x, y, v of each joint"
        elif numbers % 3:
            yield (
                f"{where}: 'keypoints' has {numbers} numbers; expected three a joint: x, y and v (0 not annotated, 1 "
                "hidden, 2 visible)"
            )
    if "bbox" in person and not (isinstance(box, Sequence) and len(box) == 4 and not isinstance(box, str)):
        yield f"{where}: 'bbox' is {str(box)[:60]}; expected x, y, width, height"
    elif "bbox" in person and not all(isinstance(v, Real) for v in person["bbox"]):
        yield f"{where}: 'bbox' is {box}; expected four numbers"


def _count(keypoints: Any) -> int | None:
    """How many numbers there are; None where it is no list of numbers."""
    try:
        return int(np.asarray(keypoints, dtype=np.float64).size) if isinstance(keypoints, list) else None
    except (TypeError, ValueError):
        return None


def _list(content: Content, key: str) -> list[Any]:
    found = content.get(key)
    return found if isinstance(found, list) else []


def _number(value: Any, least: float = -math.inf) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and float(value) >= least
