"""The part of the report on inversions, from a finished store."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...functional.inference import FEWEST
from ...functional.shares import share
from ...plotting.counts import count_matrix
from ...summary.persons import in_pixels, persons_of
from ...summary.sentences import plural
from ...types import Gallery, Picture, Section, Table
from ..pairs import PAIR_KINDS, by_name, pair_kinds
from .inverted import eligible_pairs, inverted_pairs
from .pull_tables import contrast_table, percent, relation_table

if TYPE_CHECKING:
    from ...store.reader import Store
    from .study import Inversion

__all__ = ["inversion_section"]

ORDER = 340
TITLE = "Inversions: wrong joint, right place"


@dataclass(frozen=True)
class _Counts:
    """Inversions of a run."""

    names: tuple[str, ...]
    found: pl.DataFrame  # sample_id, joint, other, kind, swap: one row an inversion
    eligible: NDArray[np.int_]  # (K, K) ordered pairs of visible joints
    by_kind: dict[str, tuple[NDArray[np.int_], NDArray[np.int_]]]  # (inversions, eligible pairs) of each person


def inversion_section(study: Inversion, store: Store) -> Section:
    """Always a section: no inversion is a finding too."""
    joints = store.joints()
    if not len(joints):
        return Section(study.name, TITLE, "There is no person, so nothing was looked at.", order=ORDER)
    if not in_pixels(joints):
        lead = (
            "Inversions are defined for joints in pixels of the input; those of this run are in another unit or frame."
        )
        return Section(study.name, TITLE, lead, order=ORDER)
    counts = _count(study, store, joints)
    blocks: list[Table | Picture | Gallery] = [_kinds_table(counts, study)]
    if len(counts.found):
        caption = "This joint (row) was predicted at that joint (column). White: none; joints without any: left out."
        blocks += [_pairs_table(counts), Picture("inversion-counts", caption, _matrix(counts))]
        blocks += [relation_table(study, store, counts.found)]
        rows = store.study(study.name) if study.name in store.studies else pl.DataFrame()
        if len(rows):
            blocks += [contrast_table(rows, study)]
        blocks += _gallery(store, rows, study)
    return Section(study.name, TITLE, _lead(study, store, counts), tuple(blocks), ORDER)


def _count(study: Inversion, store: Store, joints: pl.DataFrame) -> _Counts:
    people, groups = persons_of(joints), store.groups
    size = len(people.names)
    kinds = np.array(pair_kinds(groups, study.pairs) if groups else [["other"] * size] * size)
    eligible, rows = np.zeros((size, size), dtype=np.int_), []
    by_kind = {
        k: (np.zeros(len(people.ids), dtype=np.int_), np.zeros(len(people.ids), dtype=np.int_)) for k in PAIR_KINDS
    }
    for i, sample_id in enumerate(people.ids):
        person = people.truth[i], people.prediction[i], people.visible[i]
        may, found = eligible_pairs(*person), inverted_pairs(*person, study.epsilon)
        eligible += may
        for k, (hits, totals) in by_kind.items():
            hits[i], totals[i] = (found & (kinds == k)).sum(), (may & (kinds == k)).sum()
        rows += [
            (sample_id, int(a), int(b), str(kinds[a, b]), bool(found[b, a]))
            for a, b in zip(*found.nonzero(), strict=True)
        ]
    schema = {"sample_id": pl.String, "joint": pl.Int32, "other": pl.Int32, "kind": pl.String, "swap": pl.Boolean}
    return _Counts(people.names, pl.DataFrame(rows, schema=schema, orient="row"), eligible, by_kind)


def _kinds_table(counts: _Counts, study: Inversion) -> Table:
    rows = []
    for kind in (*PAIR_KINDS, "all"):
        found = counts.found if kind == "all" else counts.found.filter(pl.col("kind") == kind)
        hits, totals = _totals(counts) if kind == "all" else counts.by_kind[kind]
        rate = share(hits, totals)
        rows.append((kind, len(found), int(found["swap"].sum()), found["sample_id"].n_unique(), rate.n, percent(rate)))
    caption = (
        f"Inversions by kind: predictions at most {study.epsilon:g} px from another visible joint of the same person "
        "and farther than that from their own. In swaps: the other joint is predicted at this one too. Rate: of "
        "eligible ordered pairs, both visible [95 % interval, persons resampled; where there is none, Wilson's, of "
        "single pairs]."
    )
    return Table(caption, ("kind", "inversions", "in swaps", "persons", "eligible pairs", "rate (%)"), tuple(rows), 2)


def _totals(counts: _Counts) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    hits, totals = zip(*counts.by_kind.values(), strict=True)
    return sum(hits[1:], hits[0]), sum(totals[1:], totals[0])


def _pairs_table(counts: _Counts, most: int = 30) -> Table:
    pairs = (
        counts.found.group_by("joint", "other", "kind")
        .len()
        .sort("len", "joint", "other", descending=[True, False, False])
    )
    rows = tuple(
        (counts.names[a], counts.names[b], kind, n, int(counts.eligible[a, b]), 100 * n / int(counts.eligible[a, b]))
        for a, b, kind, n in pairs.head(most).rows()
    )
    left = f"; the {most} most frequent of {len(pairs)}" if len(pairs) > most else ""
    return Table(
        f"Inversions by pair of joints{left}.",
        ("joint", "predicted at", "kind", "inversions", "eligible", "rate (%)"),
        rows,
        1,
    )


def _matrix(counts: _Counts) -> Any:
    matrix = np.zeros((len(counts.names),) * 2, dtype=np.int_)
    for a, b in counts.found.select("joint", "other").rows():
        matrix[a, b] += 1
    rows, columns = np.flatnonzero(matrix.any(1)), np.flatnonzero(matrix.any(0))
    return count_matrix(
        matrix[np.ix_(rows, columns)], [counts.names[i] for i in rows], [counts.names[i] for i in columns],
        ylabel="this joint was predicted …", xlabel="… at the place of this joint",
    )  # fmt: skip


def _gallery(store: Store, rows: pl.DataFrame, study: Inversion) -> list[Gallery]:
    about = {row["picture"]: row for row in rows.to_dicts() if row["picture"]} if len(rows) else {}
    images = tuple((path, _caption(about[path.stem])) for path in store.pictures(study.name) if path.stem in about)
    if not images:
        return []
    of = f" {len(images)} of {len(about)}, a random choice." if len(images) < len(about) else ""
    caption = (
        "Blue ring and bone: the joint itself; orange: the joint at whose place it was predicted; cross: the "
        "prediction. In the last panel, smoothed by 3 px, orange speaks for that place, blue for its own." + of
    )
    return [Gallery(caption, images)]


def _caption(row: dict[str, Any]) -> str:
    return (
        f"{row['sample_id']}: {row['joint_name']} at {row['other_name']} ({row['kind']}), "
        f"{row['distance_other']:.0f} px from it, {row['distance_own']:.0f} px from its own"
    )


def _lead(study: Inversion, store: Store, counts: _Counts) -> str:
    hits, totals = _totals(counts)
    rate, found, persons = percent(share(hits, totals)), counts.found, len(hits)
    if not rate.n:
        return "No person has two visible joints, so no pair could be inverted."
    if not len(found):
        return (
            f"None of {rate.n} eligible ordered pairs of joints of {plural(persons, 'person')} is inverted at "
            f"{study.epsilon:g} px; the 95 % interval of the rate, as if pairs were independent, ends at "
            f"{rate.high:.2f} %."
        )
    parts = [f"{len(found.filter(pl.col('kind') == k))} {k}" for k in PAIR_KINDS]
    text = (
        f"{plural(len(found), 'inversion')} among {rate.n} eligible ordered pairs of joints of "
        f"{plural(persons, 'person')}: "
        f"{rate.mean:.2f} % [{rate.low:.2f}, {rate.high:.2f}]; {', '.join(parts)}; "
        f"{int(found['swap'].sum()) // 2} swapped both ways."
    )
    several = len(found) - found.select("sample_id", "joint").n_unique()
    if several:
        text += f" {plural(several, 'prediction')} within reach of more than one joint count more than once."
    if len(found) < FEWEST:
        text += f" Fewer than {FEWEST}: too few to test anything; look at the pictures."
    if study.name not in store.studies:
        text += " No contrastive map was made (see Failures)."
    groups = store.groups
    if groups is None or not by_name(groups):
        text += " The joints' names are not known here; pairs follow left-right partners and the chain of joints."
    elif study.pairs != "corrected":
        text += " Child and parent as the paper prints them: hip and elbow where wrist and elbow must be meant."
    return text if math.isfinite(rate.low) else text + " Of a single person there is no interval."
