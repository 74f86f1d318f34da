"""What a file of weights is, told from its bytes, and what to do with one that is something else."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

HEAD = 512  # bytes that tell the format
LEGACY_MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")  # torch's magic number, as a pickle has it
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
