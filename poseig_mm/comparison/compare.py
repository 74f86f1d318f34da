"""From stores to the comparison's sections and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..report.blocks import GuardedSection, attempt
from ..report.build import build_report
from ..report.staging import staging_folder
from ..store import Store
from . import causes_section, difference_tables, differences, runs_section, side_by_side
from .causes_section import have_causes
from .runs import match, open_runs


def comparison_sections(stores: Mapping[str, Store], folder: Path) -> list[GuardedSection]:
    """Sections of orders 50 to 58: in a run's own report, after its persons and before its overview.

    Of runs without maps there is none on maps.

    Args:
        stores: name -> run; the others are compared with the first one.
        folder: where pictures are written.

    Raises:
        DataError: the runs share nothing that could be compared.
    """
    runs = match(stores)
    sections = [attempt(runs_section.HEADING, lambda: runs_section.overview_section(runs))]
    if have_causes(runs):
        sections.append(attempt(causes_section.HEADING, lambda: causes_section.causes_section(runs)))
    sections += [
        attempt(differences.HEADING, lambda: differences.differences_section(runs)),
        attempt(difference_tables.GROUPS, lambda: difference_tables.groups_runs_section(runs)),
        attempt(difference_tables.EASY_HARD, lambda: difference_tables.easy_hard_runs_section(runs)),
    ]
    if runs.have_maps:
        sections.append(attempt(side_by_side.HEADING, lambda: side_by_side.maps_section(runs, folder)))
    return sections


def compare(
    paths: Sequence[str | Path], out: str | Path = "work_dirs/comparison", names: Sequence[str] | None = None
) -> Path:
    """Write the comparison of runs; returns the path of its index.html.

    Args:
        paths: work dirs of two runs or more.
        out: directory of the page, its tables (CSV, LaTeX) and figures (PDF, PNG).
        names: of the runs, in their order.

    Raises:
        ConfigError: fewer than two runs, or names that do not fit.
        StoreError: a path is not a run, or `out` cannot be written.
        DataError: the runs share nothing that could be compared.
    """
    stores, out = open_runs(paths, names), Path(out)
    sections = comparison_sections(stores, staging_folder(out) / "assets" / "comparison")
    first = next(iter(stores.values()))
    data = str((first.run.get("dataset") or {}).get("name") or "")
    return build_report(first, sections, out, title=" · ".join(stores), about=[data] if data else [])
