"""A process' share of a run's persons, and how the processes of a launcher wait for one another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from ..errors import PoseIGError

T = TypeVar("T")


class RankGoneError(PoseIGError, RuntimeError):
    """A process of the launcher has ended, and the others wait for it in vain."""


@dataclass(frozen=True)
class Shard:
    """Part `rank` of `world_size`.

    Where a process group is up (`--launcher`), rank 0 waits for the others before it makes the report.  Without one
    (jobs of another scheduler, all with `resume`), rank 0 makes it of what is there; a last call without a shard makes
    it of all.

    >>> Shard(1, 2).positions(["a", "b", "c", "d"], done={"d"})
    [1]
    """

    rank: int = 0
    world_size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process does what is done once for all."""
        return self.rank == 0

    def positions(self, ids: Sequence[str], done: Collection[str]) -> list[int]:
        """Positions in `ids` of the persons that are this process' to do.

        Ranks of a launcher have all looked at what is done before anybody writes, and share what is left.  Without a
        process group (a job of another scheduler, tried again as often as it fails) a rank's persons are always the
        same.
        """
        if self._grouped():
            return [i for i, name in enumerate(ids) if name not in done][self.rank :: self.world_size]
        return [i for i in range(self.rank, len(ids), self.world_size) if ids[i] not in done]

    def wait_for_others(self) -> None:
        """Until all processes of a launcher have come here; alone, or without one, this does nothing."""
        self.all_of(True)

    def all_of(self, value: bool) -> bool:
        """Whether this holds in every process of a launcher, once all have come here.

        Raises:
            PoseIGError: one of them has gone.
        """
        if not self._grouped():
            return value
        import torch
        from mmengine.dist import all_gather

        try:
            return all(bool(v) for v in all_gather(torch.tensor([value], dtype=torch.uint8)))
        except RuntimeError as error:  # gloo's own words are of sockets
            raise RankGoneError(
                f"of {self.world_size} processes not all have come to the place where they wait for one another. The "
                "last lines of the one that has gone say why (killed, out of memory, ...); what they have written is "
                "safe: start all of them again with --resume"
            ) from error

    def of_first(self, make: Callable[[], T]) -> T:
        """What `make()` gives in the first process of a launcher; it is called there alone."""
        if not self._grouped():
            return make()
        from mmengine.dist import broadcast_object_list

        made = [make() if self.first else None]
        self.wait_for_others()
        broadcast_object_list(made)
        return cast("T", made[0])

    def _grouped(self) -> bool:
        from mmengine.dist import is_distributed

        return self.world_size > 1 and bool(is_distributed())
