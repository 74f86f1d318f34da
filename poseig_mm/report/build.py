"""From sections to a page: index.html, its assets, tables as CSV and LaTeX, figures as PDF and PNG."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import StoreError
from ..store.parts import check_inside
from ..types import Failure, Section, Table
from .blocks import GuardedSection, failure_of
from .failures import COLUMNS, HEADING, failures_section, grouped
from .rendering import Places, RenderedSection, render_section
from .staging import empty_folder, finish_moves, put_in_place, staging_folder

if TYPE_CHECKING:
    from ..store import Store


logger = logging.getLogger(__name__)


def build_report(
    store: Store,
    sections: Sequence[Section],
    out: Path | None = None,
    *,
    failures: Sequence[Failure] = (),
    title: str | None = None,
    about: Sequence[str] | None = None,
) -> Path:
    """Write the report; it opens from disk, without a server or a network.

    Args:
        store: the run; its name, date and failures stand on the page.
        sections: in any order; anything in it that is not a good `Section` becomes a line among the failures, and so
            does every table or picture that cannot be made.  The others are shown.
        out: directory of index.html and assets/; default 'report' in the work dir.  Figures for papers go to 'figures'
            in the work dir, or inside an `out` that lies elsewhere.
        failures: what went wrong before this, e.g. plugins that raised instead of returning sections.
        title, about: heading, and the facts below it, of a page on more than this run; None: this run's.

    Returns:
        The path of index.html.  The report is built beside `out` and put in its place when it is whole: an earlier one
        stays until then.

    Raises:
        StoreError: `out` cannot be written.
    """
    if out is None:
        out = store.path / "report"
        check_inside(store.path, out)
    out = Path(out)
    new, figures = staging_folder(out), out / "figures"
    if out.resolve().parent == store.path.resolve():
        figures = out.parent / "figures"
        check_inside(store.path, figures)
    places = Places(new, os.path.relpath(figures, out))
    known = list(failures)
    good = _checked(sections, known)
    known += [f for section in good if isinstance(section, GuardedSection) for f in section.failures]
    try:
        finish_moves(out, figures)
        _prepare(new)
        rendered = {id(section): render_section(section, places) for section in good}
        known += [failure for result in rendered.values() for failure in result.failures]
        if known:
            good = _with_failures(good, store, known)
        shown = [rendered.get(id(section)) or render_section(section, places) for section in good]
        for failure in known:
            logger.warning("report: %s: %s", failure.plugin or failure.stage, failure.message)
        _write_page(_heading(store, title, about), shown, new)
        put_in_place(new, out, figures)
        return out / "index.html"
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"cannot write the report to {out}: {error}; make room or make it writable, then build the report again"
        ) from error


def _checked(sections: Sequence[Section], known: list[Failure]) -> list[Section]:
    """The sections that can be shown, in order; the rest go to `known`."""
    good: list[Section] = []
    names: set[str] = set()
    for section in sections:
        try:
            _check(section, names)
        except Exception as error:
            known.append(failure_of(error, f"section {getattr(section, 'name', type(section).__name__)!s}"))
        else:
            names.add(section.name)
            good.append(section)
    return sorted(good, key=lambda s: (s.order, s.name))


def _check(section: Any, names: set[str]) -> None:
    if not isinstance(section, Section):
        raise TypeError(f"a report section is a {type(section).__name__}; expected poseig_mm.Section")
    for name in ("name", "title", "lead"):
        if not isinstance(getattr(section, name), str):
            raise TypeError(f"section {section.name!r}: `{name}` is {getattr(section, name)!r}; expected a str")
    if not section.name:
        raise ValueError(f"the section titled {section.title!r} has no name; expected one that no other section has")
    if section.name in names:
        raise ValueError(
            f"two sections are named {section.name!r}; only the first is shown: give this one another name"
        )
    if isinstance(section.order, bool) or not isinstance(section.order, (int, float)) or section.order != section.order:
        raise TypeError(f"section {section.name!r}: `order` is {section.order!r}; expected a number, e.g. 500")


def _with_failures(sections: list[Section], store: Store, known: Sequence[Failure]) -> list[Section]:
    """The same with a section on failures that also holds those of the report itself."""
    try:
        new = failures_section(store, known)
    except Exception as error:  # the store cannot be read: the other sections have said so too
        failures = [*known, failure_of(error, "report.failures")]
        table = Table("Failures of this report.", COLUMNS, tuple(grouped(failures)))
        new = HEADING.section("The store could not be read in full.", (table,))
    return sorted([s for s in sections if s.name != new.name] + [new], key=lambda s: (s.order, s.name))


def _prepare(out: Path) -> None:
    """Folders, and the page's own script and style; what an earlier build left in them is removed."""
    assets = out / "assets"
    for folder in (out / "figures", *(assets / name for name in ("tables", "figures", "pictures"))):
        empty_folder(folder, out.parent)
    for path in assets.glob("*.js"):
        path.unlink()
    for name in ("report.css", "report.js", "scatter.js"):
        (assets / name).write_bytes(files("poseig_mm.report").joinpath("static", name).read_bytes())


def _write_page(heading: tuple[str, list[str]], shown: Sequence[RenderedSection], out: Path) -> None:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("poseig_mm.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    title, facts = heading
    needed = dict.fromkeys(script for section in shown for block in section.blocks for script in block.scripts)
    scripts = [*needed, "assets/report.js"]  # what several blocks need is loaded once
    html = environment.get_template("page.html.j2").render(title=title, facts=facts, sections=shown, scripts=scripts)
    (out / "index.html").write_text(html, encoding="utf-8", errors="backslashreplace")


def _heading(store: Store, title: str | None, about: Sequence[str] | None) -> tuple[str, list[str]]:
    """The page's title, and what stands below it: the run's, where they are not given."""
    run, built = store.run, f"built {time.strftime('%Y-%m-%d %H:%M')}"
    if title is not None:
        return title, [*(about or ()), built]
    config, model = Path(str(run.get("config") or "")).stem, run.get("model") or {}
    name = config or str(model.get("backbone") or store.path.name)
    facts = [built]
    if run.get("started"):
        facts.insert(0, f"run of {str(run['started'])[:16].replace('T', ' ')}")
    if data := (run.get("dataset") or {}).get("name"):
        facts.insert(0, str(data))
    if version := (run.get("versions") or {}).get("poseig-mm"):
        facts.append(f"poseig_mm {version}")
    return name, facts
