"""What `--list-plugins` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PluginRecord:
    """One plugin that was found, whether or not it works."""

    name: str  # what --no-plugin takes
    source: str  # 'built-in' | 'entry point' | 'config'
    target: str  # what was loaded: a module, a file, a class
    distribution: str  # '' for a plugin of the config
    version: str  # '' for a plugin of the config
    hooks: tuple[str, ...]  # in the order of specs.py; empty unless loaded
    status: str  # 'loaded' | 'blocked' | 'failed'
    error: str = ""  # one line, when failed

    @property
    def owner(self) -> str:
        """For messages: the name and where it comes from.

        >>> PluginRecord('ci', 'entry point', 'poseig_ci', 'poseig-ci', '1.0', (), 'loaded').owner
        "'ci' (poseig-ci 1.0)"
        """
        return f"{self.name!r} ({self._origin})"

    @property
    def _origin(self) -> str:
        return f"{self.distribution} {self.version}" if self.distribution else f"{self.source}: {self.target}"


def format_records(records: Sequence[PluginRecord]) -> str:
    """A text table, one plugin a line.

    >>> print(format_records([PluginRecord('f', 'config', 'f.py', '', '', ('poseig_indices',), 'loaded')]))
    name  distribution    version  status  hooks
    f     (config: f.py)  -        loaded  indices
    """
    head = ("name", "distribution", "version", "status", "hooks")
    rows = [
        (
            record.name,
            record.distribution or f"({record._origin})",
            record.version or "-",
            record.status,
            record.error or ", ".join(hook.removeprefix("poseig_") for hook in record.hooks) or "-",
        )
        for record in records
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in (head, *rows))
