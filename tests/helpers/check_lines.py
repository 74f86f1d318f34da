"""The preflight of a tiny run by name, and a line of it in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny import session, tiny

from poseig_mm.checks import Check

__all__ = ["lines", "pretty"]


def lines(made: tiny, folder: Path, settings: dict[str, Any] | None = None, **options: Any) -> dict[str, Check]:
    """The preflight's by name, of a session that does nothing else."""
    return {check.name: check for check in session(made, folder / "w", settings, **options).check()}


def pretty(check: Check) -> str:
    """All that a line says, on one line."""
    return f"{check.name} {check.level}: {check.found} -> {check.advice}"
