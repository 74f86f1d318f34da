"""Which parts of a work dir count: the one place that decides it, for the reader and for a resuming writer alike.

A batch is one part: files of the same stem `part-r<rank>-<number>` in `joints/`, `relations/`, `maps/`, `displays/`,
`signed/` and `samples/`, and in `studies/<name>/` for studies that go sample by sample.  The samples file is written
last and carries, in its Parquet metadata, the size and the checksum of every other file of the part (up to 0.2.0 the
checksums of tables only): it is the commit marker.  It also says how the image files were that the rows are of.  A part
counts when its samples file can be read and the files that it names are whole.  Files without it are left-overs of a
batch that was cut off.  Maps and displays may be absent (deleted by hand to save space, or no longer among the worst),
but not of another size; their content is checked when it is read (a resumed run would read hundreds of GB before it
begins).  A study's file that is absent is a failure to a reader, and its part is computed again when the run is
resumed.

A work dir may come from somebody else.  So a part counts only where it names files of this pattern and of its own stem,
and folders and files that lead out of the work dir (links) are refused: nothing outside is read, let alone deleted.

A study made from the finished tables is one file a rank, `studies/<name>/part-r<rank>-all.parquet`, and counts by
itself.
"""

from __future__ import annotations

import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from poseig_mm.errors import StoreError
from poseig_mm.types import Failure

from .image_marks import ImageMark, read_marks
from .schema import SAMPLES_SCHEMA

TABLES = ("joints", "relations")
TENSORS = ("maps", "displays", "signed")
_STEM = re.compile(r"^\.?(part-r(\d{3,})-(\d{5,}|all))(?:-\d{3,})?\.(?:parquet|safetensors)(\.tmp)?$")
_MANIFEST = "poseig_mm.part"
_OF_A_PART = {name: SAMPLES_SCHEMA[name] for name in ("sample_id", "n_visible", "mepe", "maps_file")}
_FILE = "(?:{directories}|studies/[A-Za-z0-9][A-Za-z0-9_.-]*)/{stem}(?:-[0-9]{{3,}})?[.](?:parquet|safetensors)"

# What comes of damaged Parquet files; Polars panics on some.
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)

FileEntry = tuple[int, int | None]  # size in bytes, CRC-32; None: maps of runs of 0.2.0 and before


@dataclass(frozen=True)
class Part:
    """One committed batch."""

    stem: str  # 'part-r000-00012'
    rank: int
    number: int
    samples: pl.DataFrame  # sample_id, n_visible, mepe, maps_file
    files: Mapping[str, FileEntry]  # its other files, by their paths in the work dir
    images: Mapping[str, ImageMark]  # what its rows were computed from


@dataclass(frozen=True)
class Inventory:
    """What lies in a work dir: parts that count, in order of rank and number, and those that are damaged."""

    parts: tuple[Part, ...]
    broken: Mapping[str, str]  # stem -> what is wrong with it

    def failure(self, stem: str) -> Failure:
        """The record of a damaged part."""
        reason = self.broken[stem]
        return Failure("store", f"{stem} does not count: {reason}; --resume computes its samples again", "StoreError")


def part_stem(rank: int, number: int) -> str:
    """The name all files of a part share.

    >>> part_stem(0, 12)
    'part-r000-00012'
    """
    return f"part-r{rank:03d}-{number:05d}"


def whole_stem(rank: int) -> str:
    """The name of a rank's file of a study that is written as a whole.

    >>> whole_stem(0)
    'part-r000-all'
    """
    return f"part-r{rank:03d}-all"


def rank_of(stem: str) -> int:
    """The rank that wrote a part.

    >>> rank_of('part-r003-00012')
    3
    """
    return int(stem.split("-")[1][1:])


def file_entry(data: bytes) -> FileEntry:
    """What the manifest keeps of a file."""
    return len(data), zlib.crc32(data)


def has_content(path: Path, entry: FileEntry) -> bool:
    """Whether a file is what was written, as far as that is known of it; it is read whole."""
    size, checksum = entry
    crc, length = 0, 0
    with path.open("rb") as file:
        while block := file.read(2**22):
            crc, length = zlib.crc32(block, crc), length + len(block)
    return length == size and checksum in (None, crc)


def encode_table(frame: pl.DataFrame, manifest: Mapping[str, object] | None = None) -> bytes:
    """A frame as the bytes of a Parquet file, with the part's manifest in its metadata where one is given."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, metadata={_MANIFEST: json.dumps(manifest)} if manifest is not None else None)
    return buffer.getvalue()


def scan_parts(work_dir: Path, *, thorough: bool = False) -> Inventory:
    """Read every samples file and check what it vouches for; thoroughly: that every study's file is there too.

    Raises:
        StoreError: a directory cannot be listed, or is a link that leads out of the work dir.
    """
    parts: list[Part] = []
    broken: dict[str, str] = {}
    for directory in _directories(work_dir):
        check_inside(work_dir, directory)
    for path in _listing(work_dir / "samples"):
        match = _STEM.match(path.name)
        if match is None or match[3] == "all" or path.name.startswith("."):
            continue
        try:
            parts.append(_read_part(work_dir, path, match, thorough))
        except _Broken as e:
            broken[match[1]] = str(e)
    parts.sort(key=lambda part: (part.rank, part.number))
    return Inventory(tuple(parts), broken)


def part_files(work_dir: Path) -> Iterator[tuple[Path, str, int]]:
    """Every part file and temporary file in the work dir, samples first: path, stem, rank."""
    for directory in _directories(work_dir):
        for path in _listing(directory):
            match = _STEM.match(path.name)
            if match is not None:
                yield path, match[1], int(match[2])


def check_inside(work_dir: Path, path: Path) -> None:
    """Refuse what leads out of the work dir.

    Raises:
        StoreError: it does.
    """
    if not _is_inside(work_dir, path):
        raise StoreError(
            f"{path} leads out of the work dir, to {path.resolve()}: nothing is read or written there. Put the files "
            "themselves in its place (or mount a directory there)"
        )


def _is_inside(work_dir: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(work_dir.resolve())


def _directories(work_dir: Path) -> list[Path]:
    studies = work_dir / "studies"
    check_inside(work_dir, studies)
    return [work_dir / name for name in ("samples", *TABLES, *TENSORS)] + _listing(studies)


class _Broken(Exception):
    """A part that does not count, and why."""


def _read_part(work_dir: Path, path: Path, match: re.Match[str], thorough: bool) -> Part:
    try:
        manifest = json.loads(pl.read_parquet_metadata(path)[_MANIFEST])
        samples = pl.read_parquet(path, columns=list(_OF_A_PART), glob=False)
        files = {str(name): (int(size), checksum) for name, (size, checksum) in manifest["files"].items()}
        images = read_marks(manifest.get("images"))
        maps_files = samples["maps_file"].cast(pl.String).drop_nulls().to_list()
        fit = all(samples[name].dtype == kind for name, kind in _OF_A_PART.items())
    except (*UNREADABLE, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as e:
        raise _Broken(f"samples/{path.name} cannot be read ({type(e).__name__}: {str(e)[:120]})") from e
    if not fit or any(samples[name].null_count() for name in ("sample_id", "n_visible", "mepe")):
        raise _Broken(f"samples/{path.name} has other columns than a run writes")
    own = re.compile(_FILE.format(directories="|".join((*TABLES, *TENSORS)), stem=re.escape(match[1])))
    foreign = [name for name in files if own.fullmatch(name) is None]
    foreign += [name for name in maps_files if own.fullmatch(name) is None or not name.startswith("maps/")]
    if foreign or not _is_inside(work_dir, path):
        raise _Broken(
            f"samples/{path.name} names {foreign[0] if foreign else path.resolve()}, which is no file of its own"
        )
    for name, entry in files.items():
        _check_file(work_dir, name, entry, thorough)
    return Part(match[1], int(match[2]), int(match[3]), samples, files, images)


def _check_file(work_dir: Path, name: str, entry: FileEntry, thorough: bool) -> None:
    path, (size, checksum), kind = work_dir / name, entry, name.split("/")[0]
    if not _is_inside(work_dir, path):
        raise _Broken(f"{name} leads out of the work dir, to {path.resolve()}")
    try:
        got = path.stat().st_size
        if got != size:
            raise _Broken(f"{name} has {got} bytes instead of {size}")
        if checksum is not None and kind not in TENSORS and not has_content(path, entry):
            raise _Broken(f"{name} does not have the content that was written")
    except FileNotFoundError as e:
        if kind in TABLES or (thorough and kind not in TENSORS):
            raise _Broken(f"{name} is missing") from e
    except OSError as e:
        raise _Broken(f"{name} cannot be read ({e})") from e


def _listing(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as e:
        raise StoreError(f"cannot list {directory}: {e}; make it readable") from e
