"""The part of the report on kinds of errors, from a finished store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...functional.shares import share
from ...functional.statistics import Estimate, bootstrap_mean
from ...plotting.counts import stacked_shares
from ...plotting.drawing import to_original
from ...summary.measures import Measure, estimate, group_order, joint_order, measures
from ...summary.persons import in_pixels, persons_of
from ...summary.sentences import plural
from ...types import Picture, Section, Table
from .classify import KINDS, average_precision, classify, object_similarity
from .study import sigmas_of

if TYPE_CHECKING:
    from ...store.reader import Store
    from .study import ErrorKinds

__all__ = ["error_kinds_section", "joint_kinds"]

ORDER = 350
TITLE = "Kinds of errors"
# light to dark, so that they differ in print too
STYLES = {
    "good": ("#d9dde3", ""), "jitter": ("#56B4E9", ""), "inversion": ("#E69F00", "//"), "swap": ("#CC79A7", "\\\\"),
    "miss": ("#333333", ""),
}  # fmt: skip


def joint_kinds(study: ErrorKinds, store: Store) -> pl.DataFrame:
    """See `ErrorKinds.joint_kinds`; persons of one image are looked at together, in px of the original image."""
    joints, samples = store.joints(), store.samples()
    people = persons_of(joints)
    areas = dict(store.study(study.name).select("sample_id", "area").iter_rows())
    warps = {row["sample_id"]: row for row in samples.to_dicts()}
    groups = store.groups
    partners = None
    if study.confusable == "symmetric":
        partners = {j: k for a, b in (groups.flip_pairs if groups else ()) for j, k in ((a, b), (b, a))}
    sigmas = np.array(sigmas_of(people.names, study.sigma)[0])
    of_image: dict[str, list[int]] = {}
    for i, image in enumerate(people.image_ids):
        of_image.setdefault(image, []).append(i)
    kinds, ks = np.full(people.visible.shape, -1), np.full(people.visible.shape, np.nan)
    for together in of_image.values():
        points = []
        for i in together:
            warp = np.array([[warps[people.ids[i]][f"warp_{r}{c}"] for c in range(3)] for r in range(2)])
            points.append([to_original(of[i], warp) for of in (people.truth, people.prediction)])
        truth, prediction = np.stack(points, 1)
        area = np.array([areas.get(people.ids[i], np.nan) for i in together], dtype=np.float64)
        kinds[together], ks[together] = classify(truth, prediction, people.visible[together], area, sigmas, partners)
    names = [KINDS[k] if k >= 0 else None for k in kinds.ravel()]
    return joints.with_columns(pl.Series("ks", ks.ravel()), pl.Series("kind", names, dtype=pl.String))


def error_kinds_section(study: ErrorKinds, store: Store) -> Section:
    """Always a section, since it is asked for."""
    joints = store.joints()
    if len(joints) and not in_pixels(joints):
        lead = (
            "These kinds are defined for joints in pixels of the image; those of this run are in another unit or frame."
        )
        return Section(study.name, TITLE, lead, order=ORDER)
    if not len(joints) or study.name not in store.studies:
        lead = "No person's area is known (see Failures), so that no error could be measured by it."
        return Section(study.name, TITLE, lead, order=ORDER)
    table = joint_kinds(study, store)
    known = table.filter(pl.col("kind").is_not_null())
    if not len(known):
        return Section(study.name, TITLE, "No visible joint of a person with a known area.", order=ORDER)
    order = joint_order(known, group_order(known))
    by_joint = {name: _counts(known.filter(pl.col("joint") == j)) for j, name, _ in order}
    gains, before = _gains(known)
    blocks = (
        _kinds_table(known, study),
        Picture("error-kinds", "Kinds of errors of each joint; n visible joints.", stacked_shares(
            by_joint, KINDS, STYLES, xlabel="share of visible joints (%)")),
        _groups_table(known),
        _indices_table(store, known),
        gains,
    )  # fmt: skip
    return Section(study.name, TITLE, _lead(study, store, table, known, gains, before), blocks, ORDER)


def _counts(rows: pl.DataFrame) -> list[int]:
    return [int((rows["kind"] == kind).sum()) for kind in KINDS]


def _share(rows: pl.DataFrame, kind: str) -> Estimate:
    """Share of a kind in %, persons resampled."""
    by_person = rows.group_by("sample_id", maintain_order=True).agg(
        (pl.col("kind") == kind).sum().alias("hits"), pl.len()
    )
    found = share(by_person["hits"].to_numpy(), by_person["len"].to_numpy())
    return Estimate(found.n, *(100 * v for v in (found.mean, found.std, found.low, found.high)))


def _kinds_table(known: pl.DataFrame, study: ErrorKinds) -> Table:
    other = "any other joint" if study.confusable == "any" else "its left-right partner"
    same = "any joint" if study.confusable == "any" else "the same joint or its partner"
    meaning = {
        "good": "similarity to its own annotation at least 0.85",
        "jitter": "from 0.5 to 0.85",
        "inversion": f"below, and at least 0.5 to {other} of the same person",
        "swap": f"below, and at least 0.5 to {same} of another person",
        "miss": "below 0.5 to all of these",
    }
    rows = tuple((kind, n, _share(known, kind), meaning[kind]) for kind, n in zip(KINDS, _counts(known), strict=True))
    caption = (
        "Visible joints by kind; similarity: exp(-d² / (2 s² k²)), s² the person's area, k twice the joint's sigma. "
        "Where a joint is near others of both, the larger similarity decides. Other persons are those of this run. "
        "Share [95 % interval, persons resampled]."
    )
    return Table(caption, ("kind", "joints", "share (%)", "meaning"), rows, 1)


def _groups_table(known: pl.DataFrame) -> Table:
    groups = group_order(known)
    named = [(g, known.filter(pl.col("group") == g)) for g in groups] + [("all", known)]
    rows = tuple((g, len(some), *(_share(some, kind) for kind in KINDS)) for g, some in named)
    return Table(
        "Kinds by group of joints: share in % [95 % interval, persons resampled].", ("group", "joints", *KINDS), rows, 1
    )


def _indices_table(store: Store, known: pl.DataFrame) -> Table:
    columns = [m for m in measures(store, known) if m.name != "epe"] + [Measure("map_error", "map error")]
    rows = []
    for kind in (*KINDS, "all errors"):
        some = known.filter(pl.col("kind") != "good") if kind == "all errors" else known.filter(pl.col("kind") == kind)
        rows.append((kind, len(some), *(estimate(some, m.name) for m in columns)))
    caption = (
        "Indices of the joints of each kind: mean [95 % interval, persons resampled; none where all are of one person]."
    )
    return Table(caption, ("kind", "joints", *(m.label for m in columns)), tuple(rows), 2)


def _gains(known: pl.DataFrame) -> tuple[Table, Estimate]:
    """AP as it is, and what it would gain were the joints of one kind at their truth."""
    ids = known["sample_id"].unique(maintain_order=True).to_list()
    place = {name: i for i, name in enumerate(ids)}
    person = np.array([place[name] for name in known["sample_id"]])
    joint = known["joint"].to_numpy()
    ks = np.full((len(ids), int(joint.max()) + 1), np.nan)
    ks[person, joint] = known["ks"].to_numpy()
    kinds = np.full(ks.shape, "", dtype=object)
    kinds[person, joint] = known["kind"].to_numpy()
    oks, ap = object_similarity(ks), average_precision(object_similarity(ks))
    before = bootstrap_mean(ap)
    rows: list[tuple[Any, ...]] = [("as predicted", bootstrap_mean(oks), before, None)]
    for kind in (*KINDS[1:], "all"):
        errors = kinds == kind if kind != "all" else np.isin(kinds.astype(str), KINDS[1:])
        corrected = object_similarity(np.where(errors, 1.0, ks))
        rows.append((f"{kind} corrected", bootstrap_mean(corrected), *_gain(ap, average_precision(corrected))))
    caption = (
        "OKS, and AP@[.5:.95] of annotated boxes: the mean over COCO's ten thresholds of the share of persons whose "
        "OKS reaches it, each person matched with its own prediction; no detector, no false positives, so it is not "
        "COCO's AP. Corrected: the joints of that kind put on their annotations. Intervals: persons resampled; gain: "
        "paired."
    )
    return Table(caption, ("joints", "OKS", "AP", "gain in AP"), tuple(rows), 3), before


def _gain(before: NDArray[Any], after: NDArray[Any]) -> tuple[Estimate, Estimate]:
    return bootstrap_mean(after), bootstrap_mean(after - before)


def _lead(
    study: ErrorKinds, store: Store, table: pl.DataFrame, known: pl.DataFrame, gains: Table, before: Estimate
) -> str:
    shares = [(kind, _share(known, kind)) for kind in KINDS]
    persons = known["sample_id"].n_unique()
    text = (
        f"Of {plural(len(known), 'visible joint')} of {plural(persons, 'person')}: "
        + ", ".join(f"{value.mean:.1f} % {kind}" for kind, value in shares)
        + "."
    )
    best = max(gains.rows[1:-1], key=lambda row: row[3].mean)
    if best[3].mean > 0:
        kind, gain = best[0].removesuffix(" corrected"), best[3]
        interval = f" [{gain.low:.3f}, {gain.high:.3f}]" if np.isfinite(gain.low) else ""
        text += f" AP {before.mean:.3f}; correcting {kind} alone would gain most, {gain.mean:.3f}{interval}."
    else:
        text += f" AP {before.mean:.3f}; correcting any one kind alone gains nothing."
    areas = store.study(study.name)
    boxes, without = ((areas["area_source"] == source).sum() for source in ("box", "none"))
    if boxes:
        text += f" {plural(int(boxes), 'person')} without an annotated area: 0.53 of the box."
    if study.confusable == "any":
        strict = joint_kinds(replace(study, confusable="symmetric"), store).filter(pl.col("kind").is_not_null())
        other = ", ".join(f"{_share(strict, kind).mean:.1f} % {kind}" for kind in KINDS[2:])
        text += f" Were only left-right partners confusable, as published code has it: {other}."
    lost = table.filter(pl.col("visible"))["sample_id"].n_unique() - persons
    if lost:
        text += f" {plural(lost, 'person')} left out, {int(without)} of them without area or box."
    if not sigmas_of(persons_of(table).names, study.sigma)[1]:
        text += f" These are not COCO's joints: sigma {study.sigma:g} stands for all of them."
    return text
