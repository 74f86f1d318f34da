"""DI, FI, LI and RI of the frozen and of the refined model on the same persons, with paired intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from poseig_mm.functional.inference import Comparison, corrected_p, paired_difference
from poseig_mm.functional.statistics import bootstrap_mean
from poseig_mm.store import Store
from poseig_mm.summary.measures import measures
from poseig_mm.summary.sentences import format_estimate
from poseig_mm.types import Section, Table

__all__ = ["indices_section"]

KEYS = ["sample_id", "joint"]


def indices_section(stores: Mapping[str, Store], record: Mapping[str, Any]) -> Section:
    """One line an index.  RI twice: of all pairs of joints, and of symmetric ones, which inversions are about."""
    before, after = (stores[name] for name in ("frozen", "refined"))
    joints = _joined(before.joints(), after.joints(), KEYS)
    found: list[tuple[str, pl.DataFrame, str]] = []
    for measure in measures(before, before.joints()):
        if f"{measure.name}_after" in joints.columns:
            found.append((measure.label, joints, measure.name))
    relations = _joined(before.relations(), after.relations(), [*KEYS, "other"])
    if len(relations):
        pairs = {tuple(p) for pair in record["data"]["pairs"] for p in (pair, pair[::-1])}
        symmetric = relations.filter(
            pl.struct("joint", "other").map_elements(
                lambda r: (r["joint"], r["other"]) in pairs, return_dtype=pl.Boolean
            )
        )
        found += [("RI, all pairs of joints", relations, "ri"), ("RI, symmetric joints", symmetric, "ri")]
    compared = [(label, rows, name, _difference(rows, name)) for label, rows, name in found]
    corrected = corrected_p([c for *_, c in compared])
    lines = []
    for (label, rows, name, c), p in zip(compared, corrected, strict=True):
        known = rows.filter(pl.col(name).is_finite() & pl.col(f"{name}_after").is_finite())
        means = [
            bootstrap_mean(known[column].to_numpy(), groups=known["sample_id"].to_numpy())
            for column in (name, f"{name}_after")
        ]
        lines.append((label, *means, c.difference, p, c.effect, c.difference.n))
    persons = joints["sample_id"].n_unique()
    caption = (
        f"The same joints of {persons} persons before and after [95 % interval, persons resampled]; p: Wilcoxon's "
        "signed-rank test over persons, corrected by Holm for these lines; effect: rank-biserial correlation. DI 0: "
        "one pixel, 100: everywhere; FI, LI, RI 1: no preference for the person, the joint, the other joint."
    )
    columns = ("index", "frozen", "refined", "refined minus frozen", "p", "effect", "values")
    return Section(
        "gcn-indices",
        "The evidence, before and after",
        _lead(compared, persons),
        (Table(caption, columns, tuple(lines), 3),),
        20,
    )


def _joined(before: pl.DataFrame, after: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Rows of both, the second one's columns with `_after`."""
    return before.join(after, on=keys, how="inner", suffix="_after", maintain_order="left")


def _difference(rows: pl.DataFrame, name: str) -> Comparison:
    return paired_difference(rows[name].to_numpy(), rows[f"{name}_after"].to_numpy(), rows["sample_id"].to_numpy())


def _lead(compared: list[tuple[str, pl.DataFrame, str, Comparison]], persons: int) -> str:
    said, unclear = [], []
    for label, _, _, c in compared:
        e = c.difference
        if e.low <= 0 <= e.high or math.isnan(e.low):
            unclear.append(label)
        else:
            said.append(f"{label} {format_estimate(e, 3, sign=True)}")
    text = f"Maps of {persons} persons, made alike for both models. "
    text += f"Refinement changes {'; '.join(said)}. " if said else "No index changes by more than its interval. "
    return text + (f"No change is shown of {', '.join(unclear)}." if unclear and said else "")
