"""Fields of settings with rules: what they take, and what the message says of what they do not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from poseig_mm.errors import ConfigError
from poseig_mm.settings_fields import check_fields, checked, number, one_of, whole


@dataclass(frozen=True)
class Example:
    count: int = whole(5, least=1)
    most: int | None = whole(None, least=0)
    share: float = number(0.5, above=0, below=1)
    size: float = number(2.0, above=0)
    order: str | None = one_of("up", "down", None)
    word: str = checked("ab", "two letters", lambda v: len(v) == 2)
    anything: Any = None


@pytest.mark.parametrize(
    "values",
    [
        {"count": 1}, {"most": 0}, {"most": None}, {"share": 1e-9}, {"size": 7}, {"order": "down"}, {"order": None},
        {"word": "xy"}, {"anything": object()},
    ],
)  # fmt: skip
def test_what_keeps_the_rule_is_taken(values: dict[str, Any]) -> None:
    """None too where it is the default or a choice, and a field without a rule takes anything."""
    check_fields(Example(**values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"count": 0}, "count is 0; expected at least 1 (a whole number)"),
        ({"count": True}, "count is True; expected at least 1"),
        ({"count": 2.0}, "count is 2.0; expected at least 1"),
        ({"count": None}, "count is None; expected at least 1"),
        ({"most": -1}, "most is -1; expected at least 0"),
        ({"share": 0}, "share is 0; expected above 0 and below 1 (a number)"),
        ({"share": 1}, "share is 1; expected above 0"),
        ({"share": "a"}, "share is 'a'; expected above 0"),
        ({"size": math.inf}, "size is inf; expected above 0 (a number)"),
        ({"size": math.nan}, "size is nan"),
        ({"size": True}, "size is True"),
        ({"order": "left"}, "order is 'left'; expected one of 'up', 'down', None"),
        ({"word": "abc"}, "word is 'abc'; expected two letters"),
        ({"word": 3}, "word is 3; expected two letters"),
    ],
)
def test_what_breaks_it_is_refused(values: dict[str, Any], message: str) -> None:
    """With the place, what was got and what is expected; also where the rule cannot be asked of such a value."""
    with pytest.raises(ConfigError) as caught:
        check_fields(Example(**values), "here.")
    assert str(caught.value).startswith(f"here.{message}")
