"""Which indices of several runs may be compared: those whose `comparable_by` is the same in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from ..store import Store
from ..summary.measures import Measure, run_value
from ..summary.sentences import plural


@dataclass(frozen=True)
class Incomparable:
    """An index that is left out, for some persons or all."""

    measure: Measure
    keys: tuple[str, ...]  # of its `comparable_by`, those that differ
    values: Mapping[str, str]  # run -> what they are there
    persons: frozenset[str]  # ids of those it is left out for


def incomparable_indices(
    stores: Mapping[str, Store], measures: Sequence[Measure], persons: frozenset[str]
) -> tuple[Incomparable, ...]:
    """The measures that depend on something that differs between the runs.

    What a run does not say (as older ones may not) differs from nothing.

    Args:
        stores: name -> run.
        measures: which all runs have.
        persons: ids of those that all runs share.
    """
    samples = {name: store.samples().filter(pl.col("sample_id").is_in(list(persons))) for name, store in stores.items()}
    columns = next(iter(samples.values())).columns
    incomparable = []
    for measure in measures:
        keys = dict.fromkeys(key for store in stores.values() for key in _comparable_by(store, measure))
        values: dict[str, list[str]] = {name: [] for name in stores}
        differing, different_keys = frozenset[str](), []
        for key in keys:
            if key in columns:
                found = _different_persons(samples, key)
                said = {
                    name: _values(rows.filter(pl.col("sample_id").is_in(list(found))), key)
                    for name, rows in samples.items()
                }
            else:
                known = {name: run_value(store, *key.split(".")) for name, store in stores.items()}
                found = persons if len({_text(v) for v in known.values() if v is not None}) > 1 else frozenset()
                said = {name: "unknown" if v is None else _text(v) for name, v in known.items()}
            if found:
                differing |= found
                different_keys.append(key)
                for name, text in said.items():
                    values[name].append(text)
        if differing:
            texts = {name: " and ".join(parts) for name, parts in values.items()}
            incomparable.append(Incomparable(measure, tuple(different_keys), texts, differing))
    return tuple(incomparable)


def incomparable_texts(incomparable: Sequence[Incomparable], persons: int) -> list[str]:
    """A sentence for each reason: what is left out, why, and what to do.

    Args:
        incomparable: indices that are left out.
        persons: how many are compared.
    """
    together: dict[Any, list[Incomparable]] = {}
    for each in incomparable:
        together.setdefault((each.keys, tuple(each.values.items()), each.persons), []).append(each)
    texts = []
    for (keys, values, left_out), several in together.items():
        titles = " and ".join(each.measure.title for each in several)
        of_whom = "" if len(left_out) == persons else f" of {len(left_out)} of {plural(persons, 'person')}"
        said = ", ".join(f"{text} ({name})" for name, text in values)
        texts.append(
            f"{titles}{of_whom} {'is' if len(several) == 1 else 'are'} left out: the value depends on "
            f"{' and '.join(keys)}, which differ{'s' if len(keys) == 1 else ''}: {said}. Diagnose again with the same, "
            "or with an index that does not depend on it (docs/indices.md)."
        )
    return texts


def _comparable_by(store: Store, measure: Measure) -> Sequence[str]:
    (index,) = [i for i in store.run["indices"] if i["name"] == measure.name] or [{}]
    return tuple(index.get("comparable_by", ()))


def _different_persons(samples: Mapping[str, pl.DataFrame], column: str) -> frozenset[str]:
    rows = pl.concat([table.select("sample_id", pl.col(column).cast(pl.String)) for table in samples.values()])
    counts = rows.drop_nulls().group_by("sample_id").agg(pl.col(column).n_unique())
    return frozenset(counts.filter(pl.col(column) > 1)["sample_id"])


def _values(samples: pl.DataFrame, column: str) -> str:
    """What a column holds, at most three values of it."""
    known = sorted({str(value) for value in samples[column].drop_nulls()})
    return ", ".join(known[:3]) + (" ..." if len(known) > 3 else "")


def _text(value: Any) -> str:
    return " x ".join(map(str, value)) if isinstance(value, list) else str(value)
