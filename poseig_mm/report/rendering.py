"""Blocks of a section as what the templates show; files are written here, markup is made there."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..plotting.figures import save_figure
from ..summary.conclusions import MOST_SHOWN
from ..types import Failure, Gallery, Picture, Section, Table
from .blocks import (
    Cards,
    Checks,
    Conclusions,
    Cover,
    LinkedScatter,
    Listing,
    Notices,
    PersonGallery,
    SamplePictures,
    failure_of,
)
from .tables import Cell, csv_text, latex_text, shown_cells

MOST_ROWS = 300  # of a table on the page; the CSV has them all
CARDS = 3  # conclusions in one row
WIDE = 1.7  # pictures with a larger aspect ratio take a line of their own
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg")


@dataclass(frozen=True)
class Shown:
    """One image on the page."""

    url: str
    caption: str
    width: int | None = None
    height: int | None = None

    @property
    def wide(self) -> bool:
        """Whether it takes a line of its own."""
        return bool(self.width and self.height and self.width > WIDE * self.height)


@dataclass(frozen=True)
class RenderedBlock:
    """What the template of `kind` needs."""

    # 'table', 'checks', 'cards', 'conclusions', 'notices', 'listing', 'picture', 'scatter', 'gallery', 'person',
    # 'cover', 'broken'
    kind: str
    caption: str = ""
    columns: tuple[tuple[str, bool], ...] = ()  # (name, numeric)
    rows: Sequence[Sequence[Cell]] = ()
    hidden_rows: int = 0
    links: tuple[tuple[str, str], ...] = ()  # (text, url)
    images: tuple[Shown, ...] = ()
    id: str = ""  # of a scatter, by which its script finds its points; of a person, to which a cover leads
    targets: tuple[str, ...] = ()  # of a cover: ids of persons, one an image
    shown: tuple[tuple[Sequence[Cell], tuple[Shown, ...]], ...] = ()  # of conclusions: cells and pictures of each
    scripts: tuple[str, ...] = ()  # addresses of what the page must load for it, in this order

    @property
    def title(self) -> str:
        """The caption's first sentence, which stands where the rest is folded."""
        return re.split(r"(?<=[.;])\s", self.caption, maxsplit=1)[0]

    @property
    def rest(self) -> str:
        """The caption without its title."""
        return self.caption[len(self.title) :].strip()

    @property
    def lines(self) -> int:
        """How many conclusions are seen, of which the first `CARDS` have their pictures unfolded."""
        return MOST_SHOWN

    @property
    def cards(self) -> int:
        """How many conclusions stand with their pictures."""
        return CARDS

    @property
    def facts(self) -> bool:
        """Whether it is a list of facts (name, value) and not a table to sort."""
        return [name for name, _ in self.columns] == ["", "value"]


@dataclass(frozen=True)
class RenderedSection:
    """A section ready for the template."""

    anchor: str
    title: str
    lead: str
    blocks: tuple[RenderedBlock, ...]
    failures: tuple[Failure, ...] = ()


@dataclass
class Places:
    """Where a report's files go; hands out names that are used once."""

    out: Path  # of index.html, assets and figures, while it is built
    figures: str = "figures"  # where PNG and PDF will be, from the page
    _taken: set[str] = field(default_factory=set)
    _copies: dict[Path, Path] = field(default_factory=dict)  # a picture that lies elsewhere -> its copy

    def name(self, *parts: str) -> str:
        """A file stem or anchor made of `parts` that nobody else has, also where file names ignore case."""
        stem = "-".join(filter(None, (slug(p) for p in parts))) or "part"
        candidate, n = stem, 2
        while candidate.lower() in self._taken:
            candidate, n = f"{stem}-{n}", n + 1
        self._taken.add(candidate.lower())
        return candidate

    def bring(self, path: Path, stem: str) -> Path:
        """`path` itself where it lies among the page's assets, else its one copy there."""
        assets = (self.out / "assets").resolve()
        if assets in path.resolve().parents:
            return path
        if path not in self._copies:
            self._copies[path] = assets / "pictures" / f"{stem}{path.suffix.lower()}"
            shutil.copyfile(path, self._copies[path])
        return self._copies[path]

    def url(self, path: Path) -> str:
        """Relative address of a file, for the page."""
        return quote(Path(os.path.relpath(path.resolve(), self.out.resolve())).as_posix())


def slug(text: str) -> str:
    """Letters, digits, '_' and '-' of `text`, for file names and anchors.

    >>> slug('RI: left/right <b>'), slug('関節')
    ('RI-left-right-b', '')
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:60]


def render_section(section: Section, places: Places) -> RenderedSection:
    """Every block that can be shown; one that cannot leaves a sentence in its place and a failure."""
    anchor = places.name(section.name)
    blocks: list[RenderedBlock] = []
    failures: list[Failure] = []
    try:
        given = list(section.blocks)
    except TypeError as error:
        given = []
        failures.append(failure_of(error, f"section {section.name}"))
    for block in given:
        try:
            blocks.append(_render(block, anchor, places, failures, section.name))
        except Exception as error:
            failures.append(failure_of(error, f"section {section.name}"))
            what = (
                getattr(block, "caption", "") if isinstance(block, (Table, Picture, Gallery)) else type(block).__name__
            )
            blocks.append(
                RenderedBlock("broken", f"This part could not be made ({what}): {type(error).__name__}: {error}")
            )
    return RenderedSection(anchor, section.title, section.lead, tuple(blocks), tuple(failures))


def _render(block: Any, anchor: str, places: Places, failures: list[Failure], section: str) -> RenderedBlock:
    if isinstance(block, Conclusions):
        return _conclusions(block, anchor, places, failures, section)
    if isinstance(block, Table):
        return _table(block, anchor, places)
    if isinstance(block, LinkedScatter):
        return _scatter(block, anchor, places)
    if isinstance(block, Picture):
        return _picture(block, anchor, places)
    if isinstance(block, Cover):
        own = _gallery(block, anchor, places, failures, section)
        return replace(own, kind="cover", targets=tuple(_person_id(anchor, key) for key in block.keys))
    if isinstance(block, PersonGallery):
        own = _gallery(block, anchor, places, failures, section)
        return replace(own, kind="person", id=_person_id(anchor, block.key))
    if isinstance(block, Gallery):
        return _gallery(block, anchor, places, failures, section)
    raise TypeError(f"a block is a {type(block).__name__}; expected Table, Picture or Gallery of poseig_mm.types")


def _person_id(anchor: str, key: str) -> str:
    return f"{anchor}-person-{slug(key)}"


def _conclusions(
    block: Conclusions, anchor: str, places: Places, failures: list[Failure], section: str
) -> RenderedBlock:
    """A picture that cannot be shown is left out."""
    table, shown = _table(block, anchor, places), []
    for cells, pictures in zip(table.rows, block.pictures, strict=True):
        images: list[Shown] = []
        for picture in pictures:
            try:
                images += _picture(picture, anchor, places).images
            except Exception as error:
                failures.append(failure_of(error, f"section {section}"))
        shown.append((cells, tuple(images)))
    return replace(table, shown=tuple(shown))


def _table(table: Table, anchor: str, places: Places) -> RenderedBlock:
    cells = shown_cells(table)
    numeric = [any(row[i].numeric for row in cells) for i in range(len(table.columns))]
    columns = tuple((str(name), n) for name, n in zip(table.columns, numeric, strict=True))
    kinds = {
        Cards: "cards",
        Checks: "checks",
        Conclusions: "conclusions",
        Notices: "notices",
        Listing: "listing",
    }
    kind = next((name for cls, name in kinds.items() if isinstance(table, cls)), "table")
    links: tuple[tuple[str, str], ...] = ()
    if kind not in ("notices", "listing") and cells:
        stem = places.name(anchor, re.split(r"[.:,\[(]", table.caption)[0])
        folder = places.out / "assets" / "tables"
        texts = (("CSV", "csv", csv_text(table)), ("LaTeX", "tex", latex_text(table)))
        for _, suffix, text in texts:
            (folder / f"{stem}.{suffix}").write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        links = tuple((label, places.url(folder / f"{stem}.{suffix}")) for label, suffix, _ in texts)
    hidden = max(0, len(cells) - MOST_ROWS)
    return RenderedBlock(kind, str(table.caption), columns, cells[:MOST_ROWS], hidden, links)


def _picture(picture: Picture, anchor: str, places: Places) -> RenderedBlock:
    stem = places.name(anchor, picture.name)
    if isinstance(picture.figure, (str, Path)):
        shown = _image(Path(picture.figure), picture.caption, stem, places)
        return RenderedBlock("picture", picture.caption, images=(shown,))
    saved = save_figure(picture.figure, stem, places.out / "assets" / "figures", places.out / "figures")
    links = tuple((f.suffix[1:].upper(), quote(f"{places.figures}/{f.name}")) for f in (saved.pdf, saved.png))
    shown = Shown(places.url(saved.page), picture.caption, saved.width, saved.height)
    return RenderedBlock("picture", picture.caption, links=links, images=(shown,))


def _scatter(scatter: LinkedScatter, anchor: str, places: Places) -> RenderedBlock:
    """The picture, the points in a file of their own (a page opened from disk may not fetch), and what draws them."""
    still, assets = _picture(scatter, anchor, places), places.out / "assets"
    name = places.name(anchor, "points")
    pictures = {key: _addresses(of, places) for key, of in scatter.samples.items()}
    data = json.dumps({**scatter.points, "pictures": pictures}, separators=(",", ":"), allow_nan=False)
    (assets / f"{name}.js").write_text(f"(window.poseigPoints ??= {{}})[{json.dumps(name)}] = {data};\n")
    shutil.copyfile(plotly_script(), assets / "plotly.min.js")
    scripts = tuple(f"assets/{file}" for file in ("plotly.min.js", f"{name}.js", "scatter.js"))
    return replace(still, kind="scatter", id=name, scripts=scripts)


def _addresses(of: SamplePictures, places: Places) -> dict[str, Any]:
    """The same with addresses in place of paths, as JSON has it."""

    def url(path: Path) -> str:
        return places.url(places.bring(path, places.name(path.stem)))

    return {"whole": url(of.whole), "joints": {k: url(p) for k, p in of.joints.items()}, "cells": dict(of.cells)}


def plotly_script() -> Path:
    """plotly.js as plotly's Python wheel brings it; nothing is imported.

    Raises:
        FileNotFoundError: plotly is not installed.
    """
    spec = find_spec("plotly")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / "package_data" / "plotly.min.js"
        if path.is_file():
            return path
    raise FileNotFoundError("plotly.js was not found: pip install plotly")


def _gallery(gallery: Gallery, anchor: str, places: Places, failures: list[Failure], section: str) -> RenderedBlock:
    """An image that is missing or unreadable is left out, the others are shown."""
    images = []
    for path, caption in gallery.images:
        try:
            images.append(_image(Path(path), str(caption), places.name(anchor, Path(path).stem), places))
        except Exception as error:
            failures.append(failure_of(error, f"section {section}"))
    return RenderedBlock("gallery", str(gallery.caption), images=tuple(images))


def _image(path: Path, caption: str, stem: str, places: Places) -> Shown:
    """An image beside the page; one that lies elsewhere is copied there."""
    from PIL import Image

    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"{path} is not an image that browsers show; expected one of {', '.join(IMAGE_SUFFIXES)}")
    width = height = None
    if path.suffix.lower() == ".svg":
        path.stat()
    else:
        with Image.open(path) as image:
            width, height = image.size
    return Shown(places.url(places.bring(path, stem)), caption, width, height)
