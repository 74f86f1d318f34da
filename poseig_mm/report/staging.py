"""A report is built beside the old one and put in its place when it is whole.

Whenever the process dies, a whole page lies there: the old one while the new one is built; while files move to their
places, one each of whose links leads to a whole file, which `finish_moves` makes the new page at the next start.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..store.parts import check_inside

_LIST = "files.json"  # of a whole build: the names of its files; gone when all are in their places


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
        StoreError: it is behind a link that leads out of the work dir.
    """
    check_inside(work_dir, work_dir / "report")
    folder = staging_folder(work_dir / "report") / "assets" / name
    empty_folder(folder, work_dir)
    return folder


def empty_folder(folder: Path, inside: Path) -> None:
    """Make `folder`, and delete what lies in it.

    Raises:
        StoreError: a link leads from it out of `inside`.
    """
    check_inside(inside, folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def put_in_place(built: Path, out: Path, figures: Path) -> None:
    """Move a build to `out`, its figures to `figures`; of what lies there, assets of an earlier page are deleted."""
    (built / _LIST).write_text(json.dumps(sorted(p.relative_to(built).as_posix() for p in _files(built))))
    os.replace(built, _ready_folder(out))  # from here on it is the new page
    finish_moves(out, figures)


def finish_moves(out: Path, figures: Path) -> None:
    """Put in place what `put_in_place` was killed at; nothing where there is none."""
    ready, assets = _ready_folder(out), out / "assets"
    if ready.is_symlink():
        ready.unlink()
    if not ready.is_dir():
        return
    try:
        names = set(json.loads((ready / _LIST).read_text()))
    except (OSError, ValueError, TypeError):  # all is in its place; only the deletion was cut off
        shutil.rmtree(ready)
        return
    for link in [assets, *(Path(folder) / name for folder, inner, _ in os.walk(assets) for name in inner)]:
        if link.is_symlink():  # nothing is written, let alone deleted, behind it
            link.unlink()
    for path in sorted(_files(ready), key=lambda p: (p.name == "index.html", p)):  # the page last
        name = path.relative_to(ready)
        target = figures / name.name if name.parts[0] == "figures" else out / name
        if path.name != _LIST:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, target)
    for path in _files(assets):
        if path.relative_to(out).as_posix() not in names:
            path.unlink()
    (ready / _LIST).unlink()
    shutil.rmtree(ready)


def _ready_folder(out: Path) -> Path:
    """Where a whole build waits for its files to be moved.

    >>> _ready_folder(Path('/w/report')).as_posix()
    '/w/.report.ready'
    """
    out = out.resolve()
    return out.with_name(f".{out.name}.ready")


def _files(folder: Path) -> Iterator[Path]:
    """All files below, links not followed."""
    for place, _, names in list(os.walk(folder)):
        yield from (Path(place) / name for name in names)
