"""What the built-in sections need beyond `types`: cards, boxes, a linked scatter, and sections that failed in part."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..types import Failure, Gallery, Picture, Section, Table


@dataclass(frozen=True)
class Cards(Table):
    """A table of key numbers, shown as cards.  Columns: label, value, note."""


@dataclass(frozen=True)
class Checks(Table):
    """A table of what was checked; its first column, the level ('ok' | 'warning' | 'stop'), tells how a row looks."""


@dataclass(frozen=True)
class Conclusions(Table):
    """A table of conclusions, shown as cards.  Columns: conclusion, effect, sure, try."""

    pictures: tuple[tuple[Picture, ...], ...] = ()  # of each row


@dataclass(frozen=True)
class PersonGallery(Gallery):
    """One person's pictures, folded; `key` is what a `Cover` leads to it by."""

    key: str = ""


@dataclass(frozen=True)
class Cover(Gallery):
    """Pictures side by side, each of which leads to a person's gallery of the same section."""

    keys: tuple[str, ...] = ()  # of the galleries, one an image


@dataclass(frozen=True)
class Notices(Table):
    """A table of remarks, shown as boxes.  Columns: level ('warning' | 'note'), text."""


@dataclass(frozen=True)
class Listing(Table):
    """A text to copy, such as a config, shown as it is.  One column, one row."""


@dataclass(frozen=True)
class SamplePictures:
    """Image files of one sample, which a click on one of its points opens."""

    whole: Path  # all of its joints
    joints: Mapping[int, Path] = field(default_factory=dict)  # joint -> a picture of that joint alone
    cells: Mapping[int, tuple[float, float, float, float]] = field(default_factory=dict)
    """joint -> where it stands in `whole`: left, top, width, height as shares of it"""


@dataclass(frozen=True)
class LinkedScatter(Picture):
    """A picture that becomes an interactive scatter where scripts run; printed, it is the picture.

    `points` is what `static/scatter.js` draws (see `scatter.payload`); it is written to a file beside the page.
    """

    points: Mapping[str, Any] = field(default_factory=dict)
    samples: Mapping[str, SamplePictures] = field(default_factory=dict)  # sample id -> its pictures


@dataclass(frozen=True)
class GuardedSection(Section):
    """A section parts of which could not be made; `build_report` adds what went wrong to the report's failures."""

    failures: tuple[Failure, ...] = ()
    pictures: Mapping[str, SamplePictures] = field(default_factory=dict)  # sample id -> what other sections may link to


@dataclass(frozen=True)
class Heading:
    """What a section is called and where it stands, said once, in the section's module."""

    name: str  # anchor
    title: str
    order: int

    def section(
        self, lead: str, blocks: Sequence[Table | Picture | Gallery] = (), failures: Sequence[Failure] = ()
    ) -> GuardedSection:
        """The section under this heading.

        >>> Heading('a', 'A', 1).section('Nothing to show.').title
        'A'
        """
        return GuardedSection(self.name, self.title, lead, tuple(blocks), self.order, tuple(failures))


def failure_of(error: BaseException, plugin: str, sample_id: str = "") -> Failure:
    """What went wrong while a report was made.

    >>> failure_of(ValueError('no'), 'indices').error
    'ValueError'
    """
    return Failure(
        stage="report",
        message=str(error),
        error=type(error).__name__,
        plugin=plugin,
        sample_id=sample_id,
        traceback="".join(traceback.format_exception(type(error), error, error.__traceback__)),
    )


def attempt(heading: Heading, make: Callable[[], GuardedSection]) -> GuardedSection:
    """`make()`, or a section that says that it could not be made: one broken section leaves the others alone.

    >>> attempt(Heading('a', 'A', 1), lambda: 1 / 0).lead
    'This section could not be made: division by zero (ZeroDivisionError).'
    """
    try:
        return make()
    except Exception as error:
        lead = f"This section could not be made: {error} ({type(error).__name__})."
        return heading.section(lead, failures=[failure_of(error, f"report.{heading.name}")])
