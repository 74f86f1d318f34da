"""The built-in report sections, as a plugin like any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..markers import hookimpl

if TYPE_CHECKING:
    from ..store import Store
    from ..types import Conclusion, Section


@hookimpl
def poseig_report_sections(store: Store, config: Any) -> Sequence[Section]:
    """The core's parts of the page, each guarded: one that fails leaves the others.

    A run without maps has errors in the indices' place, and neither scatter nor gallery.  How many persons the gallery
    shows stands in the run's settings.
    """
    from ..settings import ReportSettings
    from ..summary.measures import has_maps, run_value
    from . import failures, gallery, index_section, overview, provenance, scatter_section
    from .blocks import attempt

    first = attempt(overview.HEADING, lambda: overview.overview_section(store))
    last = (
        attempt(failures.HEADING, lambda: failures.failures_section(store)),
        attempt(overview.SETUP, lambda: overview.setup_section(store)),
        attempt(provenance.HEADING, lambda: provenance.provenance_section(store)),
    )
    if not has_maps(store):
        return (first, attempt(index_section.ERRORS, lambda: index_section.indices_section(store)), *last)
    limit = run_value(store, "settings", "report", "gallery", default=ReportSettings.gallery)
    drawn = attempt(gallery.HEADING, lambda: gallery.gallery_section(store, limit))
    return (
        first,
        attempt(index_section.HEADING, lambda: index_section.indices_section(store)),
        attempt(scatter_section.HEADING, lambda: scatter_section.scatter_section(store, drawn.pictures)),
        drawn,
        *last,
    )


@hookimpl
def poseig_conclusions(store: Store) -> Sequence[Conclusion]:
    """What stands out in any run; studies add what they were asked."""
    from ..summary.core_conclusions import core_conclusions

    return core_conclusions(store)
