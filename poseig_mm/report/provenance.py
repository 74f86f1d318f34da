"""How the numbers came about: versions, hashes, settings, seeds, plugins, times, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..types import Table
from .blocks import GuardedSection, Heading

if TYPE_CHECKING:
    from ..store import Store


HEADING = Heading("provenance", "Provenance", 950)
ABOUT = ("command", "started", "updated", "resumes", "device", "config", "checkpoint")  # keys of run.json
PLUGIN = ("name", "distribution", "version", "status", "hooks")


def provenance_section(store: Store) -> GuardedSection:
    """Everything run.json holds on where the numbers come from."""
    run, samples = store.run, store.samples()
    about = {k: run[k] for k in ABOUT if run.get(k)}
    hashes = {k: run[k] for k in ("config_hash", "weights_hash") if run.get(k)} | run.get("identity", {})
    timings = _numbers(run.get("timings"))
    if len(samples):
        timings.append(("per person, mean", float(samples["seconds"].mean() or 0.0)))  # type: ignore[arg-type]
    plugins = [tuple(_text(plugin.get(column)) for column in PLUGIN) for plugin in run.get("plugins") or ()]
    tables: tuple[tuple[str, tuple[str, ...], Sequence[tuple[Any, ...]]], ...] = (
        ("The run.", ("", "value"), flatten(about)),
        ("Versions.", ("package", "version"), flatten(run.get("versions") or {})),
        ("Hashes: equal hashes, equal inputs.", ("of", "SHA-256, shortened"), flatten(hashes)),
        ("Settings, as resolved.", ("setting", "value"), flatten(run.get("settings") or {})),
        ("What makes the passes cheaper.", ("", "value"), flatten(run.get("acceleration") or {})),
        ("Seeds.", ("of", "seed"), flatten(run.get("seeds") or {})),
        ("Times, added up over the run.", ("stage", "seconds"), timings),
        ("Largest memory.", ("where", "GiB"), [(k, v / 2**30) for k, v in _numbers(run.get("peak_memory"))]),
        ("Plugins.", PLUGIN, plugins),
    )
    lead = "What it takes to make these numbers again; the resolved configuration is config.py in the work dir."
    return HEADING.section(lead, [Table(caption, columns, tuple(rows)) for caption, columns, rows in tables if rows])


def _numbers(values: Mapping[str, Any] | None) -> list[tuple[str, float]]:
    return [(name, value) for name, value in (values or {}).items() if isinstance(value, (int, float))]


def flatten(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, text), in order.

    >>> flatten({'a': {'b': 1, 'c': {}}, 'd': [1, 2], 'e': None})
    [('a.b', '1'), ('a.c', '{}'), ('d', '1, 2'), ('e', 'None')]
    """
    rows: list[tuple[str, str]] = []
    for key, entry in value.items():
        name = f"{prefix}{key}"
        if isinstance(entry, Mapping) and entry:
            rows += flatten(entry, f"{name}.")
        else:
            rows.append((name, _text(entry) if entry is not None else "None"))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
