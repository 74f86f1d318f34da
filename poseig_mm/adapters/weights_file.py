"""The one door for files of weights: what a file is, is told from its bytes before anything in it is read.

Nothing in a file is run, whatever its name.  One reader serves all versions of torch: `torch.load` is not used, with
`weights_only=True` neither, which refuses MMEngine's checkpoints and can be made to run code before torch 2.6
(CVE-2025-32434).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from ..errors import CheckpointError
from .restricted_pickle import KnownClasses, RestrictedPickle, hashable, short

GIB = 2**30
LARGEST_FILE = 64 * GIB
LARGEST_PICKLE = GIB  # without the tensors of a torch file
MOST_ENTRIES = 200_000  # of a zip archive
HEAD = 512  # bytes that tell the format
LEGACY_MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")  # torch's magic number, as a pickle has it
TORCH_FILE = "weights as torch.save or safetensors write them"
COPY_AGAIN = "copy it again from where it is whole"

ADVICE = {
    "empty": ("an empty file", COPY_AGAIN),
    "lfs": ("a git-LFS pointer, which stands for a file that was not fetched", "run `git lfs pull` in its repository"),
    "html": (
        "an HTML page, as a server gives in the place of a file (a login, an error, a preview)",
        "download the file itself, with the link to its raw content",
    ),
    "torchscript": (
        "a TorchScript archive, a program with weights in it",
        "it is not opened; save the weights alone where you trust it: torch.save(torch.jit.load(FILE).state_dict(), "
        "'weights.pth')",
    ),
    "zip": ("a zip archive, and no torch checkpoint (no data.pkl in it)", "unpack it, and give the file of weights"),
    "onnx": ("an ONNX model", "give the PyTorch checkpoint that it was exported from"),
    "tflite": (
        "a TensorFlow Lite network",
        "give a PyTorch checkpoint; `plugins/mediapipe_models` reads such networks",
    ),
    "hdf5": ("an HDF5 file (Keras)", "give a PyTorch checkpoint"),
    "gzip": ("compressed by gzip", "unpack it first"),
    "tar": ("a tar archive", "unpack it first; a checkpoint of torch 0.1 has to be saved again by a later torch"),
    "torch": ("a torch checkpoint", "give the other file"),
    "legacy": ("a torch checkpoint", "give the other file"),
    "safetensors": ("a safetensors file", "give the other file"),
    "pickle": (
        "a plain pickle, and no torch checkpoint",
        "where you trust it, read it by its own program, and torch.save the weights by name",
    ),
    "other": ("damaged or not a torch file", COPY_AGAIN),
}
_STARTS = (
    ("lfs", b"version https://git-lfs.github.com/spec/"),
    ("hdf5", b"\x89HDF\r\n"),
    ("gzip", b"\x1f\x8b"),
)
Content = TypeVar("Content")


def recognise(path: Path) -> str:
    """The format of a file, one of `ADVICE`'s keys, by its bytes alone.

    Raises:
        OSError: the file cannot be read.
        zipfile.BadZipFile: it begins as a zip archive does and is none.
    """
    with path.open("rb") as file:
        head, size = file.read(HEAD), file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 1))
        last = file.read(1)
    if not head:
        return "empty"
    if found := next((name for name, start in _STARTS if head.startswith(start)), None):
        return found
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<!--")):
        return "html"
    if LEGACY_MAGIC in head[:32]:
        return "legacy"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    if head[4:8] == b"TFL3":
        return "tflite"
    if head[257:262] == b"ustar":
        return "tar"
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        return "pickle"
    if head[:1] == b"\x08" and head[1:2] <= b"\x20" and head[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x3a"):
        return "onnx"
    return "pickle" if head[:1] in b"(}])cilIFSVNL" and last == b"." else "other"


def _kind_of_zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = [info.filename for info in archive.infolist()]
    parts = [name.replace("\\", "/").split("/") for name in names]
    if any(part[-1] == "constants.pkl" or "code" in part[:-1] for part in parts):
        return "torchscript"
    return "torch" if sum(part[-1] == "data.pkl" for part in parts) == 1 else "zip"


def read_torch_file(path: Path) -> Any:
    """All that a checkpoint file holds, whatever its layout; what is not data is an `Unknown`.

    Args:
        path: written by torch.save, in today's or the older format, or by safetensors.

    Returns:
        The content, tensors on the CPU.

    Raises:
        CheckpointError: there is no such file; it is something else; it is damaged.
    """
    readers: dict[str, Callable[[Path], Any]] = {"torch": _zip, "legacy": _legacy, "safetensors": _safetensors}
    return _through(path, readers, TORCH_FILE, "a torch file")


def read_pickle_file(path: Path, expected: str, known: KnownClasses, parse: Callable[[Any], Content]) -> Content:
    """A plain pickle of arrays; what it asks for besides is refused.

    Args:
        path: the file.
        expected: what it should be, for messages.
        known: see `RestrictedPickle`.
        parse: its content -> what is returned; whatever it raises is a damaged file.

    Raises:
        CheckpointError: there is no such file; it is something else; it is damaged; it asks for what is not known.
    """

    def read(path: Path) -> Content:
        return parse(RestrictedPickle(io.BytesIO(_limited(path, LARGEST_PICKLE)), known).plain())

    return _through(path, {"pickle": read}, expected, "a pickle")


def read_bytes_file(path: Path, kind: str, expected: str, parse: Callable[[bytes], Content]) -> Content:
    """A file of another format, e.g. 'tflite', through the same door.

    Args:
        path: the file.
        kind: its format, one of `ADVICE`'s keys.
        expected: what it should be, for messages.
        parse: its content -> what is returned; whatever it raises is a damaged file.

    Raises:
        CheckpointError: there is no such file; it is something else; it is damaged.
    """
    return _through(path, {kind: lambda path: parse(_limited(path, LARGEST_PICKLE))}, expected, expected)


def _through(path: Path, readers: dict[str, Callable[[Path], Content]], expected: str, name: str) -> Content:
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; expected {expected}; give the path of the file in it")
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; expected {expected}; give the path of such a file")
    size = path.stat().st_size
    try:
        if size > LARGEST_FILE:
            raise CheckpointError(f"it is larger than {LARGEST_FILE // GIB} GiB")
        kind = recognise(path)
        if kind in readers:
            return readers[kind](path)
    except CheckpointError as error:
        raise CheckpointError(f"{path} ({size} bytes) cannot be read: {error}; expected {expected}") from error
    except Exception as error:  # pickle, zipfile and safetensors raise a dozen types on damaged files
        what = str(error).splitlines()[0] if str(error) else "no message"
        raise CheckpointError(
            f"{path} ({size} bytes) cannot be read: it is damaged or not {name} ({type(error).__name__}: {what}); "
            f"expected {expected}; {COPY_AGAIN}"
        ) from error
    got, advice = ADVICE[kind]
    got = f"damaged or not {name} (it begins with {_head(path)!r})" if kind == "other" else got
    raise CheckpointError(f"{path} ({size} bytes) cannot be read: it is {got}; expected {expected}; {advice}")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def _limited(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise CheckpointError(f"it is larger than {most // GIB} GiB")
    return content


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(str(path))


def _zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_ENTRIES:
            raise CheckpointError(f"it has {len(entries)} entries, more than {MOST_ENTRIES}")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise CheckpointError("it is compressed, which torch.save does not do")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise CheckpointError("its entries are larger than the file")
        named = {entry.filename: entry for entry in entries}
        pickled = next(name for name in named if name.split("/")[-1] == "data.pkl")
        root = pickled.removesuffix("data.pkl")
        if named[pickled].file_size > LARGEST_PICKLE:
            raise CheckpointError(f"its data.pkl is larger than {LARGEST_PICKLE // GIB} GiB")
        if f"{root}byteorder" in named and archive.read(f"{root}byteorder") != b"little":
            raise CheckpointError("it was written on a big-endian machine; load and save it on a little-endian one")
        found = RestrictedPickle(io.BytesIO(archive.read(pickled)))
        for key, storage in found.storages.items():
            if (name := f"{root}data/{key}") not in named:
                raise CheckpointError(f"its storage {key!r} is missing")
            storage.fill(archive.read(name))
    return found.plain()


def _legacy(path: Path) -> Any:
    """torch < 1.6: magic number, protocol and machine; the content; the keys of the storages, and then their bytes."""
    content = path.read_bytes()
    file = io.BytesIO(content)
    _, protocol, machine = (RestrictedPickle(file).plain() for _ in range(3))
    if protocol != 1001 or not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise CheckpointError(
            f"its protocol is {short(protocol)}, of a machine {short(machine)}; 1001 and little-endian are read"
        )
    found, keys = RestrictedPickle(file), RestrictedPickle(file).plain()
    for key in keys:
        size = int.from_bytes(file.read(8), "little")
        storage = found.storages.get(str(hashable(key)))
        if storage is None or size != storage.numel:
            raise CheckpointError(f"its storage {short(key)} has {size} numbers, of which its tensors do not know")
        storage.fill(file.read(size * storage.itemsize))
    return found.plain()
