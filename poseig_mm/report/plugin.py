"""The built-in report sections, as a plugin like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..markers import hookimpl

if TYPE_CHECKING:
    from ..store import Store
    from ..types import Section

__all__ = ["poseig_report_sections"]


@hookimpl
def poseig_report_sections(store: Store, config: Any) -> Sequence[Section]:
    """Overview, indices, scatter, gallery, failures and provenance; each guarded: one that fails leaves the others."""
    from .blocks import attempt
    from .failures import failures_section
    from .gallery import gallery_section
    from .index_section import indices_section
    from .overview import overview_section
    from .provenance import provenance_section
    from .scatter_section import scatter_section

    limit = _gallery_limit(store, config)
    return (
        attempt("overview", "Overview", 0, lambda: overview_section(store)),
        attempt("indices", "Indices", 100, lambda: indices_section(store)),
        attempt("gallery", "Gallery", 200, lambda: gallery_section(store, limit)),
        # after the gallery, whose pictures it links to
        attempt("scatter", "Index against error", 150, lambda: scatter_section(store, limit)),
        attempt("failures", "Failures", 900, lambda: failures_section(store)),
        attempt("provenance", "Provenance", 950, lambda: provenance_section(store)),
    )


def _gallery_limit(store: Store, config: Any) -> int:
    """`diagnosis.report.gallery` of the config, else of the run, else 12."""
    diagnosis = config.get("diagnosis") if isinstance(config, Mapping) or hasattr(config, "get") else None
    for settings in (diagnosis, store.run.get("settings")):
        report = settings.get("report") if isinstance(settings, Mapping) else None
        if isinstance(report, Mapping) and isinstance(report.get("gallery"), int):
            return int(report["gallery"])
    return 12
