"""What went wrong and was survived: grouped failures, skipped persons, and why numbers are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from ..summary.measures import has_maps
from ..summary.reasons import lacking, missing_reasons, reason_text
from ..summary.sentences import plural
from ..types import Failure, Table
from .blocks import GuardedSection, Heading

if TYPE_CHECKING:
    from ..store import Store


HEADING = Heading("failures", "Failures", 900)
COLUMNS = ("stage", "plugin", "error", "count", "first message", "first sample")
LONGEST = 400  # characters of a message on the page


def failures_section(store: Store, report_failures: Sequence[Failure] = ()) -> GuardedSection:
    """All failures of the run and of this report; says "None" where there are none."""
    failures = [*store.failures, *(f for f in report_failures if f not in store.failures)]
    joints, samples = store.joints(), store.samples()
    skipped = samples.filter(pl.col("n_visible") == 0).select("sample_id", "image_path").rows()
    incomplete = lacking(joints, maps=has_maps(store))
    reasons = missing_reasons(incomplete)
    blocks = []
    if failures:
        blocks.append(Table("Failures of one stage, plugin and kind, counted.", COLUMNS, tuple(grouped(failures))))
        rows = tuple((f.sample_id, f.stage, f.error, _short(f.message)) for f in failures if f.sample_id)
        if rows:
            blocks.append(Table("Samples that failed.", ("sample", "stage", "error", "message"), rows))
    if skipped:
        rows_ = tuple((sample_id, path, "no visible joint inside the input") for sample_id, path in skipped)
        blocks.append(Table("Persons without indices.", ("sample", "image", "reason"), rows_))
    if reasons:
        counted = tuple((code, n, reason_text(code)) for code, n in reasons.most_common())
        blocks.append(Table("Joints without one or more numbers, by reason.", ("reason", "joints", "meaning"), counted))
    lead = f"{plural(len(failures), 'failure')} recorded; the run went on." if failures else "None: nothing failed."
    if skipped:
        lead += f" {plural(len(skipped), 'person')} had no visible joint."
    if reasons:
        lacks = "lacks" if len(incomplete) == 1 else "lack"
        lead += f" {plural(len(incomplete), 'joint')} of {len(joints)} {lacks} one or more numbers."
    return HEADING.section(lead, blocks)


def grouped(failures: Sequence[Failure]) -> list[tuple[str, str, str, int, str, str]]:
    """(stage, plugin, error, count, first message, first sample), the most frequent first.

    >>> grouped([Failure('index', 'a', 'ValueError'), Failure('index', 'b', 'ValueError')])
    [('index', '', 'ValueError', 2, 'a', '')]
    """
    first: dict[tuple[str, str, str], Failure] = {}
    counts: dict[tuple[str, str, str], int] = {}
    for failure in failures:
        key = (failure.stage, failure.plugin, failure.error)
        first.setdefault(key, failure)
        counts[key] = counts.get(key, 0) + 1
    ordered = sorted(counts, key=lambda key: -counts[key])
    return [(*key, counts[key], _short(first[key].message), first[key].sample_id) for key in ordered]


def _short(message: str) -> str:
    return message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"
