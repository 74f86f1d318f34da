"""Failures that were survived: the first few in full, the rest counted, so that memory and logs stay bounded."""

from __future__ import annotations

import traceback
from collections import Counter

from ..errors import error_message
from ..types import Failure

KEPT = 3  # of each plugin and stage: an observer that raises for each of 10,000 samples says the same 10,000 times
KEPT_OWN = 1000  # of each stage of the session's own: there every sample has its own cause (a corrupt image ...)


class FailureLog:
    """Keeps `Failure`s, never the exceptions: their frames would hold tensors alive.

    >>> log = FailureLog()
    >>> [log.add(ValueError('x'), 'sample', plugin='p')[1] for _ in range(5)]
    [True, True, True, False, False]
    >>> len(log.kept), log.counts['p', 'sample']
    (3, 5)
    """

    def __init__(self) -> None:
        self.kept: list[Failure] = []
        self.counts: Counter[tuple[str, str]] = Counter()  # (plugin, stage) -> how often

    def add(self, error: BaseException, stage: str, *, plugin: str = "", sample_id: str = "") -> tuple[Failure, bool]:
        """The failure, and whether it is among those kept."""
        failure = Failure(
            stage=stage,
            message=error_message(error),
            error=type(error).__name__,
            plugin=plugin,
            sample_id=sample_id,
            traceback="".join(traceback.format_exception(type(error), error, error.__traceback__)),
        )
        self.counts[plugin, stage] += 1
        keep = self.counts[plugin, stage] <= _limit(plugin)
        if keep:
            self.kept.append(failure)
        return failure, keep

    def is_full(self, plugin: str, stage: str) -> bool:
        """Whether further failures of this plugin and stage are only counted."""
        return self.counts[plugin, stage] >= _limit(plugin)


def _limit(plugin: str) -> int:
    return KEPT if plugin else KEPT_OWN
