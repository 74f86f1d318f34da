"""What Python's audit hook sees while a file is opened: calls out, writing elsewhere, imports of other packages."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

# `pickle.find_class` is Python's own unpickling, which ours never reaches.
CALLS = frozenset({
    *("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.kill", "os.putenv"),
    *("subprocess.Popen", "socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request", "ctypes.dlopen"),
    *("compile", "exec", "pickle.find_class", "code.__new__", "sys.addaudithook", "webbrowser.open"),
})  # fmt: skip
CHANGES = frozenset({
    *("os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.utime", "os.setxattr"),
    *("os.rename", "os.link", "os.symlink", "shutil.move"),
})  # fmt: skip
_now: _Watch | None = None


class _Watch:
    def __init__(self, folder: Path, allowed: Collection[str]) -> None:
        self.folder, self.allowed, self.seen = os.path.realpath(folder), frozenset(allowed), list[str]()
        self.packages = {name.partition(".")[0] for name in sys.modules}
        self.busy = False

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            writes = bool(set(mode) & set("wax+")) if isinstance(mode, str) else bool(flags & (os.O_WRONLY | os.O_RDWR))
            if writes and self._outside(path):
                self.seen.append(f"open {path!r} {mode!r}")
        elif event in CALLS:
            if event not in self.allowed and not _is_of_an_import(event, args):
                self.seen.append(f"{event} {str(args)[:200]}")
        elif event in CHANGES:
            if any(self._outside(path) for path in _paths(event, args)):
                self.seen.append(f"{event} {str(args)[:200]}")
        elif event == "import" and args[0].partition(".")[0] not in self.packages | self.allowed:
            self.seen.append(f"import {args[0]}")

    def _outside(self, path: Any) -> bool:
        if isinstance(path, int) or path in (os.devnull, None):
            return False
        path = os.path.realpath(os.fsdecode(path))
        return path != self.folder and not path.startswith(self.folder + os.sep)


def _is_of_an_import(event: str, args: tuple[Any, ...]) -> bool:
    """Whether the code is that of an installed module."""
    name = args[0].co_filename if event == "exec" else args[1] if event == "compile" else None
    installed = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), "<frozen")
    return isinstance(name, str) and name.startswith(installed)


def _paths(event: str, args: tuple[Any, ...]) -> list[Any]:
    """What is changed; paths may be relative to an open folder."""
    if event in ("os.rename", "os.link", "os.symlink", "shutil.move"):
        return list(args[:2])
    folder = args[-1] if event in ("os.remove", "os.mkdir", "os.rmdir") and isinstance(args[-1], int) else -1
    return [args[0] if folder < 0 else f"/proc/self/fd/{folder}/{os.fsdecode(args[0])}"]


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _now is not None and not _now.busy:
        _now.busy = True
        try:
            _now.hook(event, args)
        finally:
            _now.busy = False


@contextlib.contextmanager
def watched(folder: Path, allowed: Collection[str] = ()) -> Iterator[list[str]]:
    """What is called, imported, and changed outside a folder, but for events and packages that are `allowed`."""
    global _now
    if not getattr(sys, "_poseig_watch", False):  # a hook stays as long as the process
        sys.addaudithook(_hook)
        sys._poseig_watch = True  # type: ignore[attr-defined]
    watch = _now = _Watch(folder, allowed)
    try:
        yield watch.seen
    finally:
        _now = None
