"""What is asked of a person, its area, and of the finished tables: what kind of error each joint's prediction is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...seeding import stable_hash
from ...settings_fields import number, one_of
from ...store.reader import Store
from ...summary.persons import Persons, in_pixels, persons_of
from ...types import Finding, JointGroups
from .classify import KINDS, chance_counts, classify

BOX_SHARE = 0.53  # of a person's box is the person, where the annotation has no area (COCO's convention)
# COCO's, by part of the body: the annotators' spread as a share of the person's size
COCO_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107,
    "knee": 0.087, "ankle": 0.089,
}  # fmt: skip
_COCO_NAMES = {"nose", *(f"{side}_{part}" for side in ("left", "right") for part in COCO_SIGMAS if part != "nose")}
KIND_COLUMNS = ("kind_partner", "kind_any")
LARGEST_COLUMNS = ("largest_partner", "largest_any")  # rows without them (of older runs) are of another rule
BOX = ("box_left", "box_top", "box_right", "box_bottom")
MOST_PERSONS, LEAST_POINTS, POINTS = 200, 64, 4096  # of the chance level: persons; points of each, and of all together
_SCHEMA = {
    "sample_id": pl.String, "joint": pl.Int64, **dict.fromkeys(("ks", *LARGEST_COLUMNS), pl.Float64),
    **dict.fromkeys(KIND_COLUMNS, pl.String),
}  # fmt: skip


@dataclass(frozen=True)
class ErrorKindsSettings:
    """What rows and section need to be told."""

    # of every joint where the data set has no sigmas of its own and the joints are not COCO's 17: the mean of those 17
    sigma: float = number(0.067, above=0)
    # a joint can be mistaken for its left-right 'partner' alone, as in coco-analyze ('symmetric' in older configs), or
    # for 'any' other
    confusable: str = one_of("partner", "any", "symmetric")

    @property
    def rule(self) -> str:
        """'partner' or 'any'."""
        return "any" if self.confusable == "any" else "partner"


def area_row(finding: Finding, unit: str) -> dict[str, Any]:
    """The person's area in px^2 of the original image and where it is from, and its box, px there, NaN without."""
    sample, reason = finding.sample, ""
    area, source = sample.extra.get("area"), "annotation"
    box = sample.extra.get("bbox")
    left, top, right, bottom = (math.nan,) * 4 if box is None else (float(v) for v in box)
    if area is None or not float(area) > 0:
        area, source = BOX_SHARE * (right - left) * (bottom - top), "box"
    if not float(area) > 0:
        area, source, reason = math.nan, "none", "no_area"
    if unit != "px" or finding.prediction.shape[-1] != 2:
        reason = "not_pixels"
    about = {"sample_id": sample.sample_id, "area": float(area), "area_source": source}
    return {**about, **dict(zip(BOX, (left, top, right, bottom), strict=True)), "reason": reason}


def kind_rows(store: Store, areas: pl.DataFrame, sigma: float) -> list[dict[str, Any]]:
    """A row for each visible joint of a person whose area is known; none where joints are not in px.

    Args:
        store: with joints and samples; persons of one image are looked at together, in px of the original image.
        areas: sample_id and area of each person.
        sigma: of joints that are not COCO's, where the data set has no sigmas of its own.

    Returns:
        Rows with `ks`, the similarity to the joint's own truth by `sigma`; the kind of error and the similarity that
        decided it where only partners can be confused (`kind_partner`, `largest_partner`), and where any joint can
        (`kind_any`, `largest_any`); '' and a `reason` where there is no prediction.
    """
    joints = store.joints()
    if not len(joints) or not in_pixels(joints):
        return []
    persons = persons_of(joints)
    area, sigmas = _areas(persons, areas), np.array(sigmas_of(persons.names, sigma, store.groups)[0])
    truth, prediction = _in_original(store, persons)
    shape = persons.visible.shape
    kinds, ks, largest = np.full((2, *shape), -1), np.full(shape, np.nan), np.full((2, *shape), np.nan)
    for i in _by_image(persons).values():  # indices of the persons of one image
        for which, partners in enumerate((partners_of(store.groups), None)):
            known = classify(truth[i], prediction[i], persons.visible[i], area[i], sigmas, partners)
            kinds[which, i], ks[i], largest[which, i] = known
    rows = []
    for person, k in zip(*_measured(persons, area).nonzero(), strict=True):
        words = [KINDS[kind] if kind >= 0 else "" for kind in kinds[:, person, k].tolist()]
        row = {"sample_id": persons.ids[person], "joint": int(k), "sigma": float(sigmas[k]), "ks": float(ks[person, k])}
        row |= dict(zip(KIND_COLUMNS, words, strict=True))
        row |= dict(zip(LARGEST_COLUMNS, largest[:, person, k].tolist(), strict=True))
        rows.append({**row, "reason": "" if words[0] else "no_prediction"})
    return rows


def chance_of(store: Store, name: str, settings: ErrorKindsSettings) -> pl.DataFrame:
    """How many joints of each kind there would be, were each prediction uniform in its person's box.

    Simulated: at most 200 persons, those of lowest hash, each by points seeded by its id.

    Returns:
        A row a person whose box and area are known: `sample_id`, `image_id` and a count for each of `KINDS`.  None of a
        run whose rows hold no boxes.
    """
    areas = person_rows(store.study(name))
    known = (
        areas.filter(pl.all_horizontal(pl.col(BOX).is_finite())) if set(BOX) <= set(areas.columns) else areas.clear()
    )
    chosen = sorted(known.filter(pl.col("area").is_finite())["sample_id"], key=stable_hash)[:MOST_PERSONS]
    persons = persons_of(store.joints())
    area = _areas(persons, areas)
    sigmas = np.array(sigmas_of(persons.names, settings.sigma, store.groups)[0])
    truth, _ = _in_original(store, persons)
    place = {sample_id: i for i, sample_id in enumerate(persons.ids)}
    boxes = {row["sample_id"]: [row[side] for side in BOX] for row in known.to_dicts()}
    partners = None if settings.rule == "any" else partners_of(store.groups)
    of_image, rows = _by_image(persons), []
    for sample_id in (s for s in chosen if s in place):
        everybody = of_image[persons.image_ids[place[sample_id]]]
        counts = chance_counts(
            np.array(boxes[sample_id]), everybody.index(place[sample_id]), truth[everybody], persons.visible[everybody],
            area[everybody], sigmas, partners, max(LEAST_POINTS, POINTS // len(chosen)),
            np.random.default_rng(stable_hash(sample_id)),
        )  # fmt: skip
        who = {"sample_id": sample_id, "image_id": persons.image_ids[place[sample_id]]}
        rows.append({**who, **dict(zip(KINDS, counts.tolist(), strict=True))})
    return pl.DataFrame(rows, {"sample_id": pl.String, "image_id": pl.String, **dict.fromkeys(KINDS, pl.Int64)})


def partners_of(groups: JointGroups | None) -> dict[int, int]:
    """Joint -> its left-right partner."""
    return {j: k for a, b in (groups.flip_pairs if groups else ()) for j, k in ((a, b), (b, a))}


def _by_image(persons: Persons) -> dict[str, list[int]]:
    of_image: dict[str, list[int]] = {}
    for person, image in enumerate(persons.image_ids):
        of_image.setdefault(image, []).append(person)
    return of_image


def _areas(persons: Persons, areas: pl.DataFrame) -> NDArray[np.float64]:
    area_of = dict(areas.select("sample_id", "area").iter_rows())
    return np.array([area_of.get(sample_id, math.nan) for sample_id in persons.ids], dtype=np.float64)


def _measured(persons: Persons, area: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N, K) the joints that can have a kind."""
    measured: NDArray[np.bool_] = persons.visible & np.isfinite(area)[:, None]
    return measured


def _in_original(store: Store, persons: Persons) -> NDArray[np.float64]:
    """(2, N, K, 2) truth and prediction in px of the original image."""
    from ...plotting.drawing import to_original

    warps = {row["sample_id"]: row for row in store.samples().to_dicts()}
    points = np.empty((2, *persons.truth.shape))
    for i, sample_id in enumerate(persons.ids):
        warp = np.array([[warps[sample_id][f"warp_{r}{c}"] for c in range(3)] for r in range(2)])
        points[:, i] = [to_original(of[i], warp) for of in (persons.truth, persons.prediction)]
    return points


def joint_kinds(store: Store, name: str, settings: ErrorKindsSettings) -> pl.DataFrame:
    """The table of joints with `ks`, kind and largest similarity by either rule; `kind`, `largest`: the settings'.

    They are the study's rows where it has one for every joint by this sigma and these rules; else (a run by an older
    version, or one that is being resumed) all are classified now.  Null kind: not visible, without an area or a
    prediction.

    Raises:
        StoreError: the study has no rows in this run.
    """
    joints, rows = store.joints(), store.study(name)
    areas = person_rows(rows)
    kinds = rows.filter(pl.col("joint").is_not_null()) if "joint" in rows.columns else rows.clear()
    persons = persons_of(joints)
    sigmas = sigmas_of(persons.names, settings.sigma, store.groups)[0]
    wanted = {
        (persons.ids[i], int(k), sigmas[k])
        for i, k in zip(*_measured(persons, _areas(persons, areas)).nonzero(), strict=True)
    }
    ours = set(LARGEST_COLUMNS) <= set(kinds.columns)
    if not ours or not len(kinds) or set(kinds.select("sample_id", "joint", "sigma").iter_rows()) != wanted:
        kinds = pl.DataFrame(kind_rows(store, areas, settings.sigma), schema_overrides=_SCHEMA)
    numbers = ("ks", *LARGEST_COLUMNS)
    known = kinds.select("sample_id", pl.col("joint").cast(joints.schema["joint"]), *numbers, *KIND_COLUMNS)
    table = joints.join(known, on=["sample_id", "joint"], how="left", maintain_order="left")
    table = table.with_columns(pl.col(*numbers).fill_null(math.nan), pl.col(*KIND_COLUMNS).replace("", None))
    rule = settings.rule
    return table.with_columns(pl.col(f"kind_{rule}").alias("kind"), pl.col(f"largest_{rule}").alias("largest"))


def person_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Those of the study's rows that are about whole persons: their areas."""
    return rows.filter(pl.col("area_source").is_not_null())


def sigmas_of(names: Sequence[str], sigma: float, groups: JointGroups | None) -> tuple[list[float], str]:
    """Each joint's sigma, and whose they are: 'data set' (its metainfo's), else 'COCO' by name, else 'setting'.

    >>> sigmas_of(['wrist', 'tip'], 0.067, None)
    ([0.067, 0.067], 'setting')
    """
    if groups is not None and groups.sigmas and tuple(names) == groups.keypoint_names:
        return list(groups.sigmas), "data set"
    if set(names) != _COCO_NAMES:
        return [sigma] * len(names), "setting"
    return [COCO_SIGMAS[name.split("_")[-1]] for name in names], "COCO"
