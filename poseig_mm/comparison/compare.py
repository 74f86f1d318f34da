"""From stores to the comparison's sections and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..report.blocks import attempt
from ..report.build import build_report
from ..store import Store
from ..types import Section
from .causes_section import causes_section, have_causes
from .difference_tables import easy_hard_runs_section, groups_runs_section
from .differences import differences_section
from .runs import match, open_runs
from .runs_section import overview_section
from .side_by_side import maps_section

__all__ = ["compare", "comparison_sections"]


def comparison_sections(stores: Mapping[str, Store], folder: Path) -> list[Section]:
    """Sections of orders 50 to 58: in a run's own report, after the overview and before the indices.

    Args:
        stores: name -> run; the others are compared with the first one.
        folder: where pictures are written.

    Raises:
        DataError: the runs share nothing that could be compared.
    """
    runs = match(stores)
    title = "What each joint is read from, run by run"
    causes = [attempt("comparison-causes", title, 51, lambda: causes_section(runs))] if have_causes(runs) else []
    return [
        attempt("comparison", "Comparison", 50, lambda: overview_section(runs)),
        *causes,
        attempt("comparison-differences", "Differences between runs", 52, lambda: differences_section(runs)),
        attempt("comparison-groups", "Joint groups, run by run", 54, lambda: groups_runs_section(runs)),
        attempt("comparison-easy-hard", "Easy and hard persons, run by run", 56, lambda: easy_hard_runs_section(runs)),
        attempt("comparison-maps", "Maps, run by run", 58, lambda: maps_section(runs, folder)),
    ]


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
    sections = comparison_sections(stores, out / "assets" / "comparison")
    first = next(iter(stores.values()))
    data = str((first.run.get("dataset") or {}).get("name") or "")
    return build_report(first, sections, out, title=" · ".join(stores), about=[data] if data else [])
