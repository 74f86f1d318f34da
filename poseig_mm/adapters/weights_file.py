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
from .weight_formats import ADVICE, COPY_AGAIN, recognise

GIB = 2**30
LARGEST_FILE = 64 * GIB
LARGEST_PICKLE = GIB  # without the tensors of a torch file
MOST_ENTRIES = 200_000  # of a zip archive
TORCH_FILE = "weights as torch.save or safetensors write them"
Content = TypeVar("Content")


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
