"""What a preflight says: a line for each thing that was looked at, and the notes that belong to such a line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "stop"]
LEVELS: tuple[Level, ...] = ("ok", "warning", "stop")  # from the best to the worst


@dataclass(frozen=True)
class Check:
    """One line of a preflight."""

    name: str
    level: Level
    found: str
    advice: str = ""  # what to do; '' where nothing is to be done


class Note(str):
    """A sentence on model or data that belongs to a line of the preflight, and stands there.

    >>> Note("2 of 3 are missing", "images"), Note("as usual", "persons", "ok").level
    ('2 of 3 are missing', 'ok')
    """

    __slots__ = ("check", "level")
    check: str  # name of the line
    level: Level  # that the line has at least

    def __new__(cls, text: str, check: str, level: Level = "warning") -> Note:
        """The text itself, with what it belongs to."""
        note = super().__new__(cls, text)
        note.check, note.level = check, level
        return note

    def __getnewargs__(self) -> tuple[str, str, Level]:  # type: ignore[override]  # what a copy is made of
        return str(self), self.check, self.level


def noted(check: Check, notes: Iterable[str]) -> Check:
    """The line with the notes that belong to it behind what was found, as grave as the gravest of all.

    >>> noted(Check("masks", "ok", "3 of 3"), [Note("they are boxes", "masks"), "on something else"])
    Check(name='masks', level='warning', found='3 of 3; they are boxes', advice='')
    """
    own = [note for note in notes if isinstance(note, Note) and note.check == check.name]
    level = max((check.level, *(note.level for note in own)), key=LEVELS.index)
    return Check(check.name, level, "; ".join(filter(None, (check.found, *own))), check.advice)
