"""One writer a rank: a lock file that names its holder and is free again as soon as that process is gone."""

from __future__ import annotations

import json
import os
import socket
import time
import weakref
from pathlib import Path

from poseig_mm.errors import StoreError

from .atomic import store_error

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["WriterLock"]


class WriterLock:
    """Exclusive right to write one rank's parts in a work dir; released by `release` or by the process's death.

    The kernel holds the lock (`flock`), the file's content only says who has it.  Where the file system has no locks
    the content decides: a holder on this host that is no longer alive is taken over, one on another host is believed.

    Raises:
        StoreError: another writer has it after `patience` seconds (a killed process needs a moment to be gone), or the
            work dir cannot be written.
    """

    def __init__(self, work_dir: Path, rank: int, patience: float = 0.5) -> None:
        self.path = work_dir / f".lock-r{rank:03d}"
        self._descriptor: int | None = None
        end = time.monotonic() + patience
        while not self._acquire():
            if time.monotonic() >= end:
                raise StoreError(
                    f"another process is writing to {work_dir}: {self._holder()}. Wait until it has ended, or give "
                    f"another --work-dir (if it is surely gone, delete {self.path} and use --resume)"
                )
            time.sleep(0.02)

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            self._close()

    @staticmethod
    def try_acquire(work_dir: Path, rank: int) -> WriterLock | None:
        """The lock, or None where a living process holds it."""
        try:
            return WriterLock(work_dir, rank, patience=0.0)
        except StoreError:
            return None

    def _acquire(self) -> bool:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except OSError as e:
            raise store_error("lock", self.path, e) from e
        try:
            free = _try_flock(descriptor)
            if free is None:  # no locks here
                free = not _alive(os.pread(descriptor, 4096, 0))
            if not free:
                os.close(descriptor)
                return False
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        except OSError as e:
            os.close(descriptor)
            raise store_error("lock", self.path, e) from e
        self._descriptor = descriptor
        if hasattr(os, "register_at_fork"):  # a data loader's worker that outlives us must not keep the lock
            us = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _close_in_child(us()))
        return True

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # closing the last descriptor frees the flock
            self._descriptor = None

    def _holder(self) -> str:
        try:
            text = self.path.read_text() or "an unnamed process"
        except OSError:
            return "an unnamed process"
        return text.strip("{}").replace('"', "")


def _close_in_child(lock: WriterLock | None) -> None:
    if lock is not None:
        lock._close()


def _try_flock(descriptor: int) -> bool | None:
    """True: locked now; False: somebody else has it; None: this file system (or system) has no such locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _alive(content: bytes) -> bool:
    """Whether the process named in a lock file may still be running; an unreadable or empty file names none."""
    try:
        holder = json.loads(content)
        pid, host = int(holder["pid"]), str(holder["host"])
    except (ValueError, KeyError, TypeError):
        return False
    if host != socket.gethostname():
        return True  # cannot be asked from here
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's process
    return True
