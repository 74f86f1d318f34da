"""Every error this package raises on purpose, and how its messages are made.

A message says what happened, what was got, what was expected and what to do next.  Each class is also a built-in
error, so that callers who know nothing of this package can still catch what they mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PoseIGError(Exception):
    """Root of all errors of this package."""


class ConfigError(PoseIGError, ValueError):
    """The configuration asks for something that does not exist or does not fit."""


class ShapeError(PoseIGError, ValueError):
    """A tensor has another shape than the function's contract says."""


class DataError(PoseIGError, ValueError):
    """One sample, or a whole data set, cannot be used; other samples may be fine."""


class CheckpointError(PoseIGError, RuntimeError):
    """A checkpoint does not belong to the configured model."""


class AdapterError(PoseIGError, TypeError):
    """No adapter turns this model's output into coordinates."""


class AttributionError(PoseIGError, ArithmeticError):
    """An attribution could not be computed at all (a single bad joint is a NaN with a reason instead)."""


class PluginError(PoseIGError, RuntimeError):
    """A plugin is broken, unknown, or clashes with another one."""


class TrainingError(PoseIGError, RuntimeError):
    """A training that a treatment asked for cannot be done, or cannot go on."""


class PreflightError(PoseIGError, ValueError):
    """A check before the run says that its numbers would mean nothing, and nobody has overruled it."""


class StoreError(PoseIGError, OSError):
    """The work dir cannot be written or read, or belongs to another run."""


class DependencyError(PoseIGError, ImportError):
    """A library is missing or has an unsupported version."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The tail of an error message on an unknown name: the nearest known one, else the list of all.

    >>> did_you_mean('midpont', ['midpoint', 'trapezoid'])
    "did you mean 'midpoint'?"
    >>> did_you_mean('x', ['b', 'a'])
    'known: a, b'
    """
    names = sorted(known)
    match = get_close_matches(name, names, n=1)
    return f"did you mean {match[0]!r}?" if match else "known: " + (", ".join(names) or "none")


def describe_error(error: BaseException) -> str:
    """Class and message on one line, also of an error that cannot be shown, and of an exit.

    >>> describe_error(ValueError('x')), describe_error(SystemExit(0))
    ('ValueError: x', 'SystemExit: it asked the whole program to exit with 0')
    """
    return f"{type(error).__name__}: {error_message(error)}"


def refuse_changes(changed: Iterable[str]) -> None:
    """Of a plugin that was given something to look at.

    Raises:
        PluginError: it changed some of it; `changed` names what.
    """
    if names := list(changed):
        raise PluginError(
            f"it changed {', '.join(names)}, which it may only read; the values were put back. Work on a copy "
            "(`.clone()`, `.copy()`)"
        )


def error_message(error: BaseException) -> str:
    """`str(error)` where that says anything.

    >>> error_message(KeyError('a'))
    "'a'"
    """
    if isinstance(error, SystemExit):
        return f"it asked the whole program to exit with {error.code!r}"
    try:
        return str(error)
    except Exception:
        return "(its message cannot be shown: str() of it raises)"
