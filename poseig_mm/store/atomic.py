"""File operations that leave either the old file or the whole new one, whenever the process dies.

All writing of the store goes through these few functions, so that a failure has one message and a test has one seam.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from poseig_mm.errors import StoreError

_CLOEXEC = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(
    os, "O_NOFOLLOW", 0
)  # a link in a work dir from somebody else must not have another file overwritten


def store_error(doing: str, path: Path, error: BaseException) -> StoreError:
    """A `StoreError` that says what failed, where, how much room is left, and how to go on."""
    if getattr(error, "errno", None) == errno.ENOENT and not path.parent.is_dir():
        failure = StoreError(
            f"cannot {doing} {path}: its directory is gone, and with it whatever lay there; it was deleted or moved "
            "while the run wrote into it. Put it back and go on with --resume, or start again"
        )
    else:
        failure = StoreError(
            f"cannot {doing} {path}: {error} ({_room(path)}). Everything committed before is safe; "
            "make room (without inodes: delete files) or make the directory writable, then go on with --resume"
        )
    failure.errno = getattr(error, "errno", None)
    return failure


def _room(path: Path) -> str:
    """What is free on the file system that holds `path`, or its nearest parent that exists: bytes, or no inode."""
    for place in (path, *path.absolute().parents):
        try:
            room = f"{shutil.disk_usage(place).free / 2**20:.1f} MiB"
            files = os.statvfs(place) if hasattr(os, "statvfs") else None
        except OSError:
            continue
        if files is not None and files.f_files and not files.f_favail:
            return f"all {files.f_files} inodes are in use there: it takes no further file, though {room} are free"
        return f"{room} free there"
    return "unknown space free there"


class OpenFolder:
    """A folder that is held open, so that no other gets its inode, and is known again by it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as d:
    ...     folder = OpenFolder(Path(d))
    ...     folder.is_there()
    True
    >>> folder.is_there(), folder.close()
    (False, None)
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found = path.stat()
        try:
            self._descriptor: int | None = os.open(path, os.O_RDONLY | _CLOEXEC)
        except OSError:  # a system that does not open folders
            self._descriptor = None

    def is_there(self) -> bool:
        """Whether its path still leads to it."""
        try:
            return os.path.samestat(self.path.stat(), self._found)
        except OSError:
            return False

    def close(self) -> None:
        """Let go of it; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def temporary_name(path: Path) -> Path:
    """Where `publish` writes before it renames: hidden, in the same directory, so that the rename is atomic.

    >>> temporary_name(Path('a/part-r000-00001.parquet')).name
    '.part-r000-00001.parquet.tmp'
    """
    return path.with_name(f".{path.name}.tmp")


def make_dir(path: Path) -> None:
    """Create `path` with its parents; an existing directory is fine.

    Raises:
        StoreError: it cannot be created, or a file is in the way.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise store_error("create directory", path, e) from e


def publish(path: Path, data: bytes) -> None:
    """Make `path` hold `data`: written under `temporary_name(path)`, flushed to disk, renamed.

    A reader sees the old file or the new one, never a part; on an error the temporary file is removed.

    Raises:
        StoreError: the disk is full, the directory is not writable, ...

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as d:
    ...     publish(Path(d) / 'x', b'abc')
    ...     sorted(os.listdir(d)), (Path(d) / 'x').read_bytes()
    (['x'], b'abc')
    """
    temporary = temporary_name(path)
    try:
        try:
            _write_all(temporary, data, os.O_CREAT | os.O_TRUNC)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as e:
        raise store_error("write", path, e) from e
    _sync_directory(path.parent)


def append_line(path: Path, line: str) -> None:
    """Append `line` and a newline in one write; a line torn by an earlier kill is ended first.

    Raises:
        StoreError: the file cannot be written.
    """
    try:
        _write_all(path, (("\n" if _torn(path) else "") + line + "\n").encode(), os.O_CREAT | os.O_APPEND)
    except OSError as e:
        raise store_error("append to", path, e) from e


def remove(path: Path) -> None:
    """Delete a file; one that is gone already is fine.

    Raises:
        StoreError: it cannot be deleted.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as e:
        raise store_error("delete", path, e) from e


def _write_all(path: Path, data: bytes, flags: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | _CLOEXEC | _NO_LINK | flags, 0o666)
    try:
        rest = memoryview(data)
        while rest:  # one write takes 2 GiB at most, and less when the disk fills up
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _torn(path: Path) -> bool:
    """Whether the last line of `path` has no end."""
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except FileNotFoundError:
        return False


def _sync_directory(path: Path) -> None:
    """Make a rename outlive a power cut, where the system can; the rename itself has happened either way."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _CLOEXEC)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
