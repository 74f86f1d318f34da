"""The plugins that come with the package, in load order, by dotted names; imported when a host loads."""

from __future__ import annotations

BUILTINS: tuple[str, ...] = (
    "poseig_mm.adapters.plugin",
    "poseig_mm.attribution.plugin",
    "poseig_mm.indices.plugin",
    "poseig_mm.studies.plugin",
    "poseig_mm.treatments.plugin",
    "poseig_mm.report.plugin",
)


def short_name(dotted: str) -> str:
    """The name a built-in is listed and blocked by: its package's.

    >>> short_name('poseig_mm.report.plugin')
    'report'
    """
    parts = dotted.split(".")
    return parts[-2] if parts[-1] == "plugin" and len(parts) > 1 else parts[-1]
