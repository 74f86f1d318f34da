"""Builds a page over another one again and again, each time killed (SIGKILL) at another file operation.

A process of its own, as `kill_driver` is.  Usage: report_kill_driver.py DIRECTORY; prints one JSON object.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import kill_driver
from matplotlib.figure import Figure
from PIL import Image

from poseig_mm.report.build import build_report
from poseig_mm.report.staging import finish_moves
from poseig_mm.types import Gallery, Picture, Section, Table

kill_driver.OPERATIONS = ("replace", "rename", "unlink", "rmdir", "mkdir")


def build(work_dir: Path, build_number: int, kill_at: int | None = None) -> list[str]:
    """A page of a table, a figure and a picture that every build has, and of one that this build alone has."""
    picture = work_dir.parent / f"{build_number}.png"
    Image.new("RGB", (4, 3), (build_number, 0, 0)).save(picture)
    figures = [Figure(figsize=(1, 1)) for _ in range(2)]
    for figure in figures:
        figure.text(0.5, 0.5, f"build {build_number}")
    blocks = (
        Table("the table", ("build",), ((build_number,),)),
        Picture("common", "c", figures[0]),
        Picture(f"only-{build_number}", "c", figures[1]),
        Gallery("g", ((picture, "c"),)),
    )
    store: Any = SimpleNamespace(path=work_dir, run={})
    kill_driver.arm(kill_at)
    build_report(store, [Section("s", "S", f"This is build {build_number}.", blocks)])
    return list(kill_driver.names)


def files(work_dir: Path) -> dict[str, int]:
    return {str(p.relative_to(work_dir)): hash(p.read_bytes()) for p in sorted(work_dir.rglob("*")) if p.is_file()}


def broken_links(page: Path) -> list[str]:
    """Addresses on the page that lead to no file, or to an empty one."""
    links = [unquote(link) for link in re.findall(r'(?:href|src)="([^"#][^":]*)"', page.read_text())]
    assert len(links) > 8
    return [link for link in links if not (page.parent / link).is_file() or not (page.parent / link).stat().st_size]


def main(directory: Path) -> dict[str, Any]:
    base, work_dir, report = directory / "base", directory / "run", directory / "operations.json"
    base.mkdir()
    assert kill_driver.child(partial(build, base, 1)) == 0
    (base / "report" / "notes.txt").write_text("mine")
    old = files(base)
    shutil.copytree(base, work_dir)
    assert kill_driver.child(partial(build, work_dir, 2), report) == 0
    new, operations, wrong = files(work_dir), json.loads(report.read_text()), []
    for kill_at, operation in enumerate(operations):
        shutil.rmtree(work_dir)
        shutil.copytree(base, work_dir)
        status = kill_driver.child(partial(build, work_dir, 2, kill_at))
        seen = {"killed": status == -signal.SIGKILL}
        page = work_dir / "report" / "index.html"
        seen["page is whole"] = page.is_file() and not broken_links(page)
        seen["notes stay"] = (work_dir / "report" / "notes.txt").is_file()
        lies_there = {name: h for name, h in files(work_dir).items() if not name.startswith(".report.new")}
        committed = lies_there != old
        seen["old until whole"] = not (committed and (work_dir / ".report.new").exists())
        finish_moves(work_dir / "report", work_dir / "figures")
        finished = {name: h for name, h in files(work_dir).items() if not name.startswith(".report.new")}
        seen["one build"] = finished == (new if committed else old)
        if kill_at % 6 == 0:
            again = kill_driver.child(partial(build, work_dir, 2))
            seen["built again"] = again == 0 and files(work_dir) == new
        if not all(seen.values()):
            wrong.append([kill_at, operation, [name for name, holds in seen.items() if not holds]])
    return {"operations": operations, "wrong": wrong}


if __name__ == "__main__":
    time.strftime = lambda *_: "now"  # type: ignore[assignment]
    print(json.dumps(main(Path(sys.argv[1]))))
