"""A report is built beside the old one and put in its place when it is whole: a killed build keeps the old page."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..store.parts import check_inside


def staging_folder(out: Path) -> Path:
    """Where the report that is to be `out` is built: beside it, so that links out of the page are the same.

    >>> staging_folder(Path('/w/report')).as_posix()
    '/w/.report.new'
    """
    out = out.resolve()
    return out.with_name(f".{out.name}.new")


def assets_folder(work_dir: Path, name: str) -> Path:
    """An empty folder for a section's pictures, in the assets of the report of a run that is being built.

    Raises:
        StoreError: the report is a link that leads out of the work dir.
    """
    check_inside(work_dir, work_dir / "report")
    folder = staging_folder(work_dir / "report") / "assets" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def put_in_place(built: Path, out: Path) -> None:
    """Move what was built to `out`, the page last; what else lies there stays.  See `recover`."""
    out.mkdir(parents=True, exist_ok=True)
    replaced = []
    for path in sorted(built.iterdir(), key=lambda p: (p.name == "index.html", p.name)):
        target = out / path.name
        if path.is_dir() and target.exists():
            replaced.append(_aside(target))
            shutil.rmtree(replaced[-1], ignore_errors=True)
            os.replace(target, replaced[-1])
        os.replace(path, target)
    built.rmdir()
    for old in replaced:
        shutil.rmtree(old, ignore_errors=True)


def recover(out: Path) -> None:
    """Bring back the assets of a page that `put_in_place` was killed at."""
    assets = out / "assets"
    if not assets.exists() and _aside(assets).exists():
        os.replace(_aside(assets), assets)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")
