"""The part of the report on inversions, from a finished store."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...functional.inference import FEWEST
from ...functional.shares import share
from ...functional.statistics import FEWEST_GROUPS, Estimate
from ...plotting.counts import count_matrix
from ...store.reader import Store
from ...summary.measures import has_maps
from ...summary.persons import in_pixels, persons_of
from ...summary.sentences import format_estimate, plural
from ...types import Gallery, JointGroups, Picture, Section, Table
from ..pairs import PAIR_KINDS, by_name, pair_kinds
from ..section_parts import parts_of, percent, study_rows
from .inverted import eligible_pairs, inverted_pairs
from .pull_tables import contrast_table, relation_table
from .rows import InversionSettings

ORDER = 340
TITLE = "Inversions: wrong joint, right place"


@dataclass(frozen=True)
class _Counts:
    """Inversions of a run."""

    names: tuple[str, ...]
    images: tuple[str, ...]  # of each person
    rows: pl.DataFrame  # sample_id, joint, other, kind, swap: one row an inversion
    eligible: NDArray[np.int_]  # (K, K) ordered pairs of visible joints
    by_kind: dict[str, tuple[NDArray[np.int_], NDArray[np.int_]]]  # (inversions, eligible pairs) of each person; 'all'


def inversion_section(store: Store, name: str, settings: InversionSettings) -> Section:
    """Always a section: no inversion is a finding too."""
    joints = store.joints()
    if not len(joints):
        return Section(name, TITLE, "There is no person, so nothing was looked at.", order=ORDER)
    if not in_pixels(joints):
        lead = (
            "Inversions are defined for joints in pixels of the input; those of this run are in another unit or frame."
        )
        return Section(name, TITLE, lead, order=ORDER)
    counts, rows = _count(store, joints, settings), study_rows(store, name)
    blocks: list[Table | Picture | Gallery] = [_kinds_table(counts, settings.epsilon)]
    if len(counts.rows):
        caption = "This joint (row) was predicted at that joint (column). White: none; joints without any: left out."
        blocks += [_pairs_table(counts), Picture("inversion-counts", caption, _matrix(counts))]
        if with_maps := has_maps(store):
            blocks += [relation_table(store, counts.rows, settings.not_inverted, settings.seed)]
        if with_maps and len(rows):
            blocks += [contrast_table(rows, settings.limb_radius), *_gallery(store.pictures(name), rows)]
    lead = _lead(counts, settings, store.groups, len(rows) > 0 or not has_maps(store))
    return Section(name, TITLE, lead, tuple(blocks), ORDER)


def _count(store: Store, joints: pl.DataFrame, settings: InversionSettings) -> _Counts:
    people, groups = persons_of(joints), store.groups
    size, persons = len(people.names), len(people.ids)
    kinds = np.array(pair_kinds(groups, settings.pairs) if groups else [["other"] * size] * size)
    of_kind = {kind: kinds == kind for kind in PAIR_KINDS} | {"all": np.full((size, size), True)}
    by_kind = {kind: (np.zeros(persons, dtype=np.int_), np.zeros(persons, dtype=np.int_)) for kind in of_kind}
    eligible, rows = np.zeros((size, size), dtype=np.int_), []
    for i, sample_id in enumerate(people.ids):
        person = people.truth[i], people.prediction[i], people.visible[i]
        possible, inverted = eligible_pairs(*person), inverted_pairs(*person, settings.epsilon)
        eligible += possible
        for kind, (hits, totals) in by_kind.items():
            hits[i], totals[i] = (inverted & of_kind[kind]).sum(), (possible & of_kind[kind]).sum()
        for a, b in zip(*inverted.nonzero(), strict=True):
            rows.append((sample_id, int(a), int(b), str(kinds[a, b]), bool(inverted[b, a])))
    schema = {"sample_id": pl.String, "joint": pl.Int32, "other": pl.Int32, "kind": pl.String, "swap": pl.Boolean}
    return _Counts(people.names, people.image_ids, pl.DataFrame(rows, schema=schema, orient="row"), eligible, by_kind)


def _kinds_table(counts: _Counts, epsilon: float) -> Table:
    lines = []
    for kind, rows in parts_of(counts.rows, "kind", (*PAIR_KINDS, "all")):
        rate = share(*counts.by_kind[kind], counts.images)
        lines.append((kind, len(rows), int(rows["swap"].sum()), rows["sample_id"].n_unique(), rate.n, percent(rate)))
    caption = (
        f"Inversions by kind: predictions at most {epsilon:g} px from another visible joint of the same person "
        "and farther than that from their own. In swaps: the other joint is predicted at this one too. Rate: of "
        "eligible ordered pairs, both visible [95 % interval by images]."
    )
    return Table(caption, ("kind", "inversions", "in swaps", "persons", "eligible pairs", "rate (%)"), tuple(lines), 2)


def _pairs_table(counts: _Counts, most: int = 30) -> Table:
    pairs = counts.rows.group_by("joint", "other", "kind").len()
    pairs = pairs.sort("len", "joint", "other", descending=[True, False, False])
    rows = tuple(
        (counts.names[a], counts.names[b], kind, n, int(counts.eligible[a, b]), 100 * n / int(counts.eligible[a, b]))
        for a, b, kind, n in pairs.head(most).rows()
    )
    left = f"; the {most} most frequent of {len(pairs)}" if len(pairs) > most else ""
    columns = ("joint", "predicted at", "kind", "inversions", "eligible", "rate (%)")
    return Table(f"Inversions by pair of joints{left}.", columns, rows, 1)


def _matrix(counts: _Counts) -> Any:
    matrix = np.zeros((len(counts.names),) * 2, dtype=np.int_)
    for a, b in counts.rows.select("joint", "other").rows():
        matrix[a, b] += 1
    rows, columns = np.flatnonzero(matrix.any(1)), np.flatnonzero(matrix.any(0))
    return count_matrix(
        matrix[np.ix_(rows, columns)], [counts.names[i] for i in rows], [counts.names[i] for i in columns],
        ylabel="this joint was predicted …", xlabel="… at the place of this joint",
    )  # fmt: skip


def _gallery(pictures: Sequence[Path], rows: pl.DataFrame) -> list[Gallery]:
    about = {row["picture"]: row for row in rows.to_dicts() if row["picture"]}
    images = tuple((path, _caption(about[path.stem])) for path in pictures if path.stem in about)
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


def _end_of(rate: Estimate) -> str:
    if not math.isfinite(rate.high):
        return f"of fewer than {FEWEST_GROUPS} images there is no interval of the rate"
    return f"the 95 % interval of the rate ends at {rate.high:.2f} %"


def _lead(counts: _Counts, settings: InversionSettings, groups: JointGroups | None, as_asked: bool) -> str:
    hits, totals = counts.by_kind["all"]
    rate, rows, persons = percent(share(hits, totals, counts.images)), counts.rows, len(hits)
    if not rate.n:
        return "No person has two visible joints, so no pair could be inverted."
    if not len(rows):
        return (
            f"None of {rate.n} eligible ordered pairs of joints of {plural(persons, 'person')} is inverted at "
            f"{settings.epsilon:g} px; {_end_of(rate)}."
        )
    parts = [f"{len(part)} {kind}" for kind, part in parts_of(rows, "kind", PAIR_KINDS)]
    text = (
        f"{plural(len(rows), 'inversion')} among {rate.n} eligible ordered pairs of joints of "
        f"{plural(persons, 'person')}: "
        f"{format_estimate(rate)} %; {', '.join(parts)}; "
        f"{int(rows['swap'].sum()) // 2} swapped both ways."
    )
    several = len(rows) - rows.select("sample_id", "joint").n_unique()
    if several:
        text += f" {plural(several, 'prediction')} within reach of more than one joint count more than once."
    if len(rows) < FEWEST:
        text += f" Fewer than {FEWEST}: too few to test anything; look at the pictures."
    if not as_asked:
        text += " No contrastive map was made (see Failures)."
    if groups is None or not by_name(groups):
        text += " The joints' names are not known here; pairs follow left-right partners and the chain of joints."
    elif settings.pairs != "corrected":
        text += " Child and parent as the paper prints them: hip and elbow where wrist and elbow must be meant."
    return text if math.isfinite(rate.low) else text + f" Of fewer than {FEWEST_GROUPS} images there is no interval."
