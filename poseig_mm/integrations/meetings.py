"""The ranks of a training in one diagnosis: a rank that fails does not leave the others waiting."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import PoseIGError
from ..run.shard import Shard


class RankLeft(PoseIGError, RuntimeError):
    """Another process of the launcher has failed and takes no further part."""


@dataclass(frozen=True)
class MeetingShard(Shard):
    """A shard that meets the others only as long as all of them take part.

    The processes wait for one another several times (`wait_for_others`) and end by asking `all_of` once.  The first
    meeting at which one of them says no is the last one for all: those that wait there raise, and end too.

    >>> shard = MeetingShard(0, 1)
    >>> shard.wait_for_others(), shard.all_of(True)
    (None, True)
    """

    _over: list[bool] = field(default_factory=lambda: [False], repr=False)

    def wait_for_others(self) -> None:
        """Until all have come here.

        Raises:
            RankLeft: one of them has failed before.
        """
        if not Shard.all_of(self, True):
            self._over[0] = True
            raise RankLeft("the diagnosis failed on another rank; see the reason given for that one")

    def all_of(self, value: bool) -> bool:
        """The last meeting: whether this holds in every process."""
        self._over[0] = True
        return super().all_of(value)

    def leave(self) -> None:
        """Of a process that has failed: say so where the others wait, or will; nothing after the last meeting."""
        if not self._over[0]:
            self.all_of(False)
