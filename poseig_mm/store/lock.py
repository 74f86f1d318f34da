"""One writer a rank: a lock file that names its holder and is free again as soon as that process is gone."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from poseig_mm.errors import StoreError

from .atomic import store_error

# What a file system says that has no locks; filelock itself takes only the first one for that.
NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL})


class WriterLock:
    """Exclusive right to write one rank's parts in a work dir; released by `release` or by the process's death.

    The kernel holds the lock (filelock's `flock`), the file's content only says who has it.  Where the file system has
    no locks, a file beside it decides: a holder on this host that is no longer alive is taken over, one on another host
    is believed.

    Raises:
        StoreError: another writer has it after `patience` seconds (a killed process needs a moment to be gone), or the
            work dir cannot be written.
    """

    def __init__(self, work_dir: Path, rank: int, patience: float = 0.5) -> None:
        self.path = work_dir / f".lock-r{rank:03d}"
        if self.path.is_symlink():
            raise StoreError(f"{self.path} is a link: delete it, a lock is a file of its own")
        self._lock: FileLock | SoftFileLock = FileLock(self.path, thread_local=False, on_acquired=_name_holder)
        try:
            try:
                self._lock.acquire(timeout=patience, poll_interval=0.02)
            except OSError as e:
                if isinstance(e, Timeout) or e.errno not in NO_LOCKS:
                    raise
                self.path = self.path.with_suffix(".soft")
                self._lock = SoftFileLock(self.path, thread_local=False)
                self._lock.acquire(timeout=patience, poll_interval=0.02)
        except Timeout as e:
            raise StoreError(
                f"another process is writing to {work_dir}: {self._holder()}. Wait until it has ended, or give another "
                f"--work-dir (if it is surely gone, delete {self.path} and use --resume)"
            ) from e
        except OSError as e:
            raise store_error("lock", self.path, e) from e

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        self._lock.release()

    @staticmethod
    def try_acquire(work_dir: Path, rank: int) -> WriterLock | None:
        """The lock, or None where a living process holds it."""
        try:
            return WriterLock(work_dir, rank, patience=0.0)
        except StoreError:
            return None

    def _holder(self) -> str:
        """What the holder wrote into the file, on one line."""
        try:
            lines = self.path.read_text().split("\n")
        except OSError:
            lines = []
        return ", ".join(filter(None, lines)).strip("{}").replace('"', "") or "an unnamed process"


def _name_holder(descriptor: int) -> None:
    """Write who holds the lock into its file."""
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)
