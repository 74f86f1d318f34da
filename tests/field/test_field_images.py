"""Images as users bring them: one data set that holds one of each kind, diagnosed in one run.

To add a kind, add an entry to `IMAGES`: what it is called, what writes it, and either the entry whose picture and
numbers it must have, or what its failure says.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from drawn_coordinates import BOX, HEIGHT, JOINTS, WIDTH, person
from numpy.typing import NDArray
from PIL import Image
from tiny import run, write_run

from poseig_mm.store import Store

Write = Callable[[Path], object]
Pixels = NDArray[np.uint8]


def drawn() -> Pixels:
    """(H, W, 3) RGB: red is x, green is y."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.uint8)
    return np.stack([x, y, np.full_like(x, 37)], axis=-1)


def grey() -> Pixels:
    """(H, W): as OpenCV makes it of the drawn one."""
    made: Pixels = cv2.cvtColor(drawn(), cv2.COLOR_RGB2GRAY)
    return made


def pillow(pixels: Pixels, mode: str | None = None, turned: int | None = None, **options: Any) -> Write:
    """Written by Pillow, in a colour mode of its own, with an EXIF orientation."""
    exif = Image.Exif()
    if turned is not None:
        exif[0x0112] = turned
    image = Image.fromarray(pixels)

    def write(path: Path) -> None:
        made = image if mode is None else image.convert(mode)
        made.save(path, **({"exif": exif} if turned is not None else {}), **options)

    return write


def opencv(pixels: NDArray[Any]) -> Write:
    """(H, W, C) RGB or (H, W), of any depth."""
    channels = pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, *range(3, pixels.shape[-1])]]
    return lambda path: path.write_bytes(cv2.imencode(".png", channels)[1].tobytes())


def content(data: bytes) -> Write:
    return lambda path: path.write_bytes(data)


def encoded(kind: str, **options: Any) -> bytes:
    """The drawn image in a format of Pillow's."""
    file = io.BytesIO()
    Image.fromarray(drawn()).save(file, kind, **options)
    return file.getvalue()


def half(data: bytes) -> bytes:
    return data[: len(data) * 3 // 5]


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and holds nothing."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def linked(path: Path) -> None:
    """A symbolic link to a file elsewhere."""
    kept = path.with_name("kept")
    kept.mkdir()
    (kept / "original").write_bytes(encoded("PNG"))
    path.symlink_to(kept / "original")


def with_alpha() -> Pixels:
    return np.dstack([drawn(), np.full((HEIGHT, WIDTH), 90, np.uint8)])


def quantised() -> Image.Image:
    return Image.fromarray(drawn()).quantize(64, dither=Image.Dither.NONE)


@dataclass(frozen=True)
class Kind:
    """An image file.

    Attributes:
        file: its name.
        write: writes it.
        like: the entry whose numbers it must have; None: it fails.
        within: grey levels that its picture may differ from that one's on average; 0: all numbers are the same.
        says: what its failure says (regular expression).
        stated: (w, h) in the annotation file.
    """

    file: str
    write: Write
    like: str | None = "plain"
    within: float = 0.0
    says: str = ""
    stated: tuple[int, int] = (WIDTH, HEIGHT)


def fails(file: str, write: Write, says: str, **more: Any) -> Kind:
    return Kind(file, write, None, says=says, **more)


def gif() -> Kind:
    """Read from OpenCV 4.12 on."""
    file = io.BytesIO()
    quantised().save(file, "GIF")
    if cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR) is None:
        return fails("moving.gif", content(file.getvalue()), "format .* that the image library does not read .convert")
    return Kind("moving.gif", content(file.getvalue()), like="of a palette, as RGB")


BROKEN = r"cannot be read as an image: it is broken off or damaged \(copy it again\)"
IMAGES: dict[str, Kind] = {
    "plain": Kind("plain.png", opencv(drawn())),
    "alpha": Kind("rgba.png", opencv(with_alpha())),
    "16 bits": Kind("deep.png", opencv(drawn().astype(np.uint16) * 257)),
    "grey in three channels": Kind("grey3.png", opencv(np.dstack([grey()] * 3)), like="grey in three channels"),
    "grey": Kind("grey.png", opencv(grey()), like="grey in three channels"),
    "16 bits grey": Kind("grey16.png", opencv(grey().astype(np.uint16) * 257), like="grey in three channels"),
    "of a palette, as RGB": Kind(
        "colours.png", lambda p: quantised().convert("RGB").save(p), like="of a palette, as RGB"
    ),
    "of a palette": Kind("palette.png", lambda p: quantised().save(p), like="of a palette, as RGB"),
    "gif": gif(),
    "bmp": Kind("bitmap.bmp", content(encoded("BMP"))),
    "tiff": Kind("picture.tiff", content(encoded("TIFF"))),
    "lossless webp": Kind("picture.webp", content(encoded("WEBP", lossless=True, exact=True))),
    "jpeg": Kind("photo.jpg", content(encoded("JPEG", quality=95)), within=2.0),
    "progressive jpeg": Kind("slow.jpg", content(encoded("JPEG", quality=95, progressive=True)), within=2.0),
    "cmyk jpeg": Kind("print.jpg", pillow(drawn(), "CMYK", quality=95), within=8.0),
    "jpeg turned by EXIF, annotated as seen": Kind(
        "turned.jpg", pillow(np.rot90(drawn()).copy(), turned=6, quality=95), within=2.0
    ),
    "jpeg turned by EXIF, annotated as stored": fails(
        "stored.jpg", pillow(drawn(), turned=6, quality=95), r"EXIF orientation \(6\) turns it by 90 degrees"
    ),
    "a png called jpg": Kind("really.jpg", content(encoded("PNG"))),
    "upper case": Kind("SHOUTED.PNG", opencv(drawn())),
    "unicode": Kind("人物 čеловек é\u0301.png", opencv(drawn())),
    "signs": Kind("#%<b>&'\"?*|;$(x).png", opencv(drawn())),
    "a line break": Kind("two\nlines.png", opencv(drawn())),
    "in a folder": Kind("a/b c/../b c/in.png", opencv(drawn())),
    "a link": Kind("link.png", linked),
    "resized": fails("half.png", opencv(drawn()[::2, ::2].copy()), "resized by 0.5 after the annotation"),
    "truncated jpeg": fails("torn.jpg", content(half(encoded("JPEG"))), BROKEN),
    "truncated progressive jpeg": fails("rough.jpg", content(half(encoded("JPEG", progressive=True))), BROKEN),
    "truncated png": fails("torn.png", content(half(encoded("PNG"))), BROKEN),
    "truncated bmp": fails("torn.bmp", content(half(encoded("BMP"))), BROKEN),
    "truncated tiff": fails("torn.tiff", content(half(encoded("TIFF"))), BROKEN),
    "empty": fails("empty.png", content(b""), "an empty file; copy it again"),
    "html": fails("page.jpg", content(b"<!DOCTYPE html><html>log in</html>"), "an HTML page.*download the file itself"),
    "a git-LFS pointer": fails(
        "lfs.jpg", content(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"), "git lfs pull"
    ),
    "of another format": fails("film.jpg", content(b"\0\0\0 ftypmp42" + bytes(200)), "convert it"),
    "of a huge header": fails("huge.png", content(png_header(2**30, 2**30)), "or a size that the image library"),
    "a broken link": fails("nowhere.png", lambda p: p.symlink_to("gone.png"), "no such file"),
    "missing": fails("missing.png", lambda p: None, "no such file; see data_root and data_prefix"),
    "a folder": fails("folder.png", lambda p: p.mkdir(), "a folder.*; give the file"),
    "of Windows": fails("images\\1.png", lambda p: None, r"no such file"),
}  # fmt: skip
NUMBERS = {name: i for i, name in enumerate(IMAGES, 1)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, mmpose_ready: None) -> Store:
    """One run over all of them."""
    folder = tmp_path_factory.mktemp("images")

    def annotate(a: dict[str, Any]) -> None:
        a["images"] = [
            {"id": NUMBERS[name], "file_name": kind.file, "width": kind.stated[0], "height": kind.stated[1]}
            for name, kind in IMAGES.items()
        ]
        joints = {k: JOINTS[k] for k in (0, 6)}
        a["annotations"] = [person(i, i, joints=joints, bbox=list(BOX)) for i in NUMBERS.values()]

    made = write_run(folder, annotate=annotate)
    for kind in IMAGES.values():
        path = folder / kind.file
        if "\\" not in kind.file:
            path.parent.mkdir(parents=True, exist_ok=True)
        kind.write(path)
    return run(made, tmp_path_factory.mktemp("work") / "run")


def sample(name: str) -> str:
    return f"{NUMBERS[name]}-{NUMBERS[name]}"


@pytest.mark.parametrize("name", [name for name, kind in IMAGES.items() if kind.like])
def test_an_image_is_diagnosed_as_it_looks(store: Store, name: str) -> None:
    """Its picture is that of the same pixels in a plain file, and so are all numbers where nothing is lost."""
    kind = IMAGES[name]
    assert kind.like is not None
    picture, expected = store.display(sample(name)), store.display(sample(kind.like))
    assert picture is not None, [f.message for f in store.failures if f.sample_id == sample(name)]
    assert np.abs(picture.astype(float) - expected).mean() <= kind.within
    rows, same = (
        store.joints().filter(sample_id=sample(n), visible=True).select("joint", "pred_x", "pred_y", "di", "fi", "li")
        for n in (name, kind.like)
    )
    assert rows["joint"].to_list() == [0, 6]
    assert rows["di"].is_finite().all()
    if not kind.within:
        assert rows.equals(same)


@pytest.mark.parametrize("name", [name for name, kind in IMAGES.items() if not kind.like])
def test_an_image_that_cannot_be_used_is_a_failure(store: Store, name: str) -> None:
    """Of its person alone, which says the file and the cause; no row has numbers of it."""
    messages = [f.message for f in store.failures if f.sample_id == sample(name)]
    assert len(messages) == 1
    assert IMAGES[name].file.split("/")[-1] in messages[0]
    assert re.search(IMAGES[name].says, messages[0]), messages[0]
    assert sample(name) not in store.sample_ids


def test_nobody_else_fails(store: Store) -> None:
    """One bad image takes no other with it."""
    bad = {sample(name) for name, kind in IMAGES.items() if not kind.like}
    assert {f.sample_id for f in store.failures} == bad
    assert len(store.sample_ids) == len(IMAGES) - len(bad)
    assert store.run["status"] == "complete"
