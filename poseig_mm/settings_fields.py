"""Fields of settings that say which values they take, and the one place where these are checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import field, fields, is_dataclass, replace
from typing import Any, TypeVar

from .errors import ConfigError, did_you_mean

T = TypeVar("T")
_RULE = "poseig_mm"  # in a field's metadata: (what is expected, in words; whether a value is that)


def checked(default: T, expected: str, holds: Callable[[Any], bool]) -> T:
    """A field of a dataclass with a rule of its own; where the default is None, None is allowed.

    Args:
        default: of the field.
        expected: by the rule, as the end of 'expected ...'.
        holds: whether a value keeps the rule; it may raise a TypeError for one that is of another kind altogether.
    """
    value: T = field(default=default, metadata={_RULE: (expected, holds)})
    return value


def whole(default: T, *, least: int) -> T:
    """A field that holds a whole number from `least` on."""
    return checked(default, f"at least {least} (a whole number)", lambda v: type(v) is int and v >= least)


def number(
    default: T,
    *,
    above: float = -math.inf,
    below: float = math.inf,
    least: float = -math.inf,
    most: float = math.inf,
) -> T:
    """A field that holds a finite number: above and below those that it does not reach, from `least` to `most`."""
    bounds = {"above": above, "at least": least, "below": below, "at most": most}
    limits = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound))
    expected = f"{limits or 'finite'} (a number)"
    return checked(default, expected, lambda v: is_number(v) and above < v < below and least <= v <= most)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, and no truth value.

    >>> [is_number(v) for v in (1, 0.5, True, float("nan"), "1")]
    [True, True, False, False, False]
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def one_of(*choices: T) -> T:
    """A field that holds one of these; the first is its default."""
    return checked(choices[0], f"one of {', '.join(map(repr, choices))}", lambda v: v in choices)


def check_fields(settings: Any, where: str = "") -> None:
    """Check every field of a dataclass that has a rule.

    Args:
        settings: an instance of a dataclass; fields without a rule may hold anything.
        where: put before the field's name in the message.

    Raises:
        ConfigError: a value that its field does not take.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Counting:
    ...     times: int = whole(5, least=1)
    >>> check_fields(Counting(times=0), 'diagnosis.')
    Traceback (most recent call last):
        ...
    poseig_mm.errors.ConfigError: diagnosis.times is 0; expected at least 1 (a whole number)
    """
    for f in fields(settings):
        value = getattr(settings, f.name)
        if _RULE not in f.metadata or (value is None and f.default is None):
            continue
        expected, holds = f.metadata[_RULE]
        try:
            kept = holds(value)
        except TypeError:
            kept = False
        if not kept:
            raise ConfigError(f"{where}{f.name} is {value!r}; expected {expected}")


def configured(entry: T, settings: Mapping[str, Any], label: str) -> T:
    """A catalog's entry (a study, a treatment) with some of its fields changed.

    Args:
        entry: with a `name`; its fields are those of a dataclass.
        settings: by field.
        label: what messages call it, e.g. 'study'.

    Raises:
        ConfigError: it has no such field, or refuses the value.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Counting:
    ...     name = 'counting'
    ...     times: int = 5
    >>> configured(Counting(), {'times': 2}, 'study').times
    2
    >>> configured(Counting(), {'time': 2}, 'study')
    Traceback (most recent call last):
        ...
    poseig_mm.errors.ConfigError: study 'counting' has no setting 'time'; did you mean 'times'?
    """
    if not settings:
        return entry
    called = f"{label} {getattr(entry, 'name', type(entry).__name__)!r}"
    known: list[str] = [f.name for f in fields(entry)] if is_dataclass(entry) else []
    for name in settings:
        if name not in known:
            hint = did_you_mean(name, known) if known else "it has none"
            raise ConfigError(f"{called} has no setting {name!r}; {hint}")
    try:
        changed: T = replace(entry, **settings)  # type: ignore[type-var]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{called}: {error}") from error
    return changed
