"""The part of the report on kinds of errors, from a finished store."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import polars as pl

from ...functional.shares import share
from ...functional.statistics import Estimate, bootstrap_mean
from ...plotting.counts import stacked_shares
from ...store.reader import Store
from ...summary.measures import Measure, estimate, group_order, has_maps, images_of, joint_order, measures
from ...summary.persons import in_pixels, persons_of
from ...summary.sentences import plural
from ...types import Picture, Section, Table
from ..section_parts import parts_of, percent, study_rows
from .classify import AS_CODED, KINDS, average_precision, corrected, object_similarity
from .precision import similarities
from .rows import ErrorKindsSettings, chance_of, joint_kinds, person_rows, sigmas_of

ORDER = 350
TITLE = "Kinds of errors"
# light to dark, so that they differ in print too
STYLES = {
    "good": ("#d9dde3", ""), "jitter": ("#56B4E9", ""), "inversion": ("#E69F00", "//"), "swap": ("#CC79A7", "\\\\"),
    "miss": ("#333333", ""),
}  # fmt: skip


def error_kinds_section(store: Store, name: str, settings: ErrorKindsSettings) -> Section:
    """Always a section, since it is asked for."""
    joints, rows = store.joints(), study_rows(store, name)
    if len(joints) and not in_pixels(joints):
        lead = (
            "These kinds are defined for joints in pixels of the image; those of this run are in another unit or frame."
        )
        return Section(name, TITLE, lead, order=ORDER)
    if not len(joints) or not len(rows):
        lead = "No person's area is known (see Failures), so that no error could be measured by it."
        return Section(name, TITLE, lead, order=ORDER)
    table = joint_kinds(store, name, settings)
    known = table.filter(pl.col("kind").is_not_null())
    if not len(known):
        return Section(name, TITLE, "No visible joint of a person with a known area.", order=ORDER)
    order = joint_order(known, group_order(known))
    by_joint = {name: _counts(known.filter(pl.col("joint") == j)) for j, name, _ in order}
    chance = chance_of(store, name, settings)
    figure, gains = stacked_shares(by_joint, KINDS, STYLES, xlabel="share of visible joints (%)"), _gains(known)
    blocks = (
        _kinds_table(known, settings, chance),
        Picture("error-kinds", "Kinds of errors of each joint; n visible joints.", figure),
        _groups_table(known),
        *((_indices_table(store, known),) if has_maps(store) else ()),
        gains,
    )
    lead = _lead(settings, table, person_rows(rows), gains) + _whose_sigmas(store, table, settings.sigma)
    return Section(name, TITLE, lead, blocks, ORDER)


def _counts(rows: pl.DataFrame) -> list[int]:
    return [int((rows["kind"] == kind).sum()) for kind in KINDS]


def _share(rows: pl.DataFrame, kind: str) -> Estimate:
    """Share of a kind in %, by images."""
    hits = (rows["kind"] == kind).fill_null(False).to_numpy()
    return percent(share(hits, np.ones(len(rows)), images_of(rows)))


def _kinds_table(known: pl.DataFrame, settings: ErrorKindsSettings, chance: pl.DataFrame) -> Table:
    other = "any other joint" if settings.rule == "any" else "its left-right partner"
    same = "any joint" if settings.rule == "any" else "the same joint or its partner"
    meaning = {
        "good": "nearest to its own annotation, similarity at least 0.85",
        "jitter": "nearest to its own annotation, from 0.5 to 0.85",
        "inversion": f"nearest to {other} of the same person, at least 0.5",
        "swap": f"nearest to {same} of another person, at least 0.5",
        "miss": "below 0.5 to all of these",
    }
    totals, images = chance.select(pl.sum_horizontal(KINDS)).to_series().to_numpy(), images_of(chance)
    rows = tuple(
        (kind, n, _share(known, kind), percent(share(chance[kind].to_numpy(), totals, images)), meaning[kind])
        for kind, n in zip(KINDS, _counts(known), strict=True)
    )
    caption = (
        "Visible joints by kind; similarity: exp(-d² / (2 s² k²)), s² the area of the person whose place it is, k "
        "twice the joint's own sigma; nearest: of the largest. Other persons are those of this run. Share [95 % "
        "interval by images]. Chance: the same, were the predictions uniform in the person's box "
    )
    caption += f"(simulated, {plural(len(chance), 'person')})." if len(chance) else "(unknown: the run holds no boxes)."
    return Table(caption, ("kind", "joints", "share (%)", "chance (%)", "meaning"), rows, 1)


def _groups_table(known: pl.DataFrame) -> Table:
    parts = parts_of(known, "group", [*group_order(known), "all"])
    rows = tuple((group, len(part), *(_share(part, kind) for kind in KINDS)) for group, part in parts)
    caption = "Kinds by group of joints: share in % [95 % interval by images]."
    return Table(caption, ("group", "joints", *KINDS), rows, 1)


def _indices_table(store: Store, known: pl.DataFrame) -> Table:
    columns = [m for m in measures(store, known) if m.name != "epe"] + [Measure("map_error", "map error")]
    parts = [*parts_of(known, "kind", KINDS), ("all errors", known.filter(pl.col("kind") != "good"))]
    rows = tuple((kind, len(part), *(estimate(part, m.name) for m in columns)) for kind, part in parts)
    caption = (
        "Indices of the joints of each kind: mean [95 % interval, images resampled; none where all are of one person]."
    )
    return Table(caption, ("kind", "joints", *(m.label for m in columns)), rows, 2)


def _gains(known: pl.DataFrame) -> Table:
    """AP as it is, and what it would gain were the joints of one kind corrected."""
    found = similarities(known)
    ks, oks, ap = found.ks, found.oks, found.ap
    mean = partial(bootstrap_mean, groups=images_of(found.persons))
    rows: list[tuple[Any, ...]] = [("as predicted", mean(oks), mean(ap), None, None, None)]
    for kind in (*KINDS[1:], "all"):
        which = KINDS[1:] if kind == "all" else (kind,)
        better, errors = corrected(ks, found.kinds, found.largest, which), found.are(which)
        ways = (better, np.where(errors, better**AS_CODED, ks), np.where(errors, 1.0, ks))
        aps = [average_precision(object_similarity(way)) for way in ways]
        numbers = (object_similarity(better), aps[0], *(each - ap for each in aps))
        rows.append((f"{kind} corrected", *map(mean, numbers)))
    caption = (
        "OKS, and AP@[.5:.95] of annotated boxes: the mean over COCO's ten thresholds of the share of persons whose "
        "OKS reaches it, each person matched with its own prediction; no detector, no false positives, so it is not "
        "COCO's AP. Corrected, as Ronchi and Perona define it: a jitter's similarity becomes 0.85, a miss's 0.5, an "
        "inversion's or swap's what it is at the place it was taken for. Their published code leaves the factor 2 out "
        "of k there, so that it corrects to the fourth root of these (gain, coded); the most that could be gained: "
        "joints put on their annotations. Intervals: images resampled; gains: paired."
    )
    columns = ("joints", "OKS", "AP", "gain in AP", "gain, coded", "gain, annotation")
    return Table(caption, columns, tuple(rows), 3)


def _lead(settings: ErrorKindsSettings, table: pl.DataFrame, areas: pl.DataFrame, gains: Table) -> str:
    known = table.filter(pl.col("kind").is_not_null())
    shares = [(kind, _share(known, kind)) for kind in KINDS]
    persons = known["sample_id"].n_unique()
    text = (
        f"Of {plural(len(known), 'visible joint')} of {plural(persons, 'person')}: "
        + ", ".join(f"{value.mean:.1f} % {kind}" for kind, value in shares)
        + "."
    )
    before, best = gains.rows[0][2], max(gains.rows[1:-1], key=lambda row: row[3].mean)
    if best[3].mean > 0:
        kind, gain = best[0].removesuffix(" corrected"), best[3]
        interval = f" [{gain.low:.3f}, {gain.high:.3f}]" if np.isfinite(gain.low) else ""
        text += f" AP {before.mean:.3f}; correcting {kind} alone would gain most, {gain.mean:.3f}{interval}."
    else:
        text += f" AP {before.mean:.3f}; correcting any one kind alone gains nothing."
    boxes, without = (int((areas["area_source"] == source).sum()) for source in ("box", "none"))
    if boxes:
        text += f" {plural(boxes, 'person')} without an annotated area: 0.53 of the box."
    if settings.rule == "any":
        by_partner = known.with_columns(pl.col("kind_partner").alias("kind"))
        other = ", ".join(f"{_share(by_partner, kind).mean:.1f} % {kind}" for kind in KINDS[2:])
        text += f" Were only left-right partners confusable, as in coco-analyze: {other}."
    lost = table.filter(pl.col("visible"))["sample_id"].n_unique() - persons
    if lost:
        text += f" {plural(lost, 'person')} left out, {without} of them without area or box."
    return text


def _whose_sigmas(store: Store, table: pl.DataFrame, sigma: float) -> str:
    """Nothing where they are the data set's own."""
    whose = sigmas_of(persons_of(table).names, sigma, store.groups)[1]
    if whose == "COCO":
        return " The run holds no sigmas of the data set's own metainfo: COCO's, by the joints' names."
    if whose == "setting":
        return (
            " The run holds no sigmas of the data set's own metainfo, and these are not COCO's joints: sigma "
            f"{sigma:g} stands for all of them."
        )
    return ""
