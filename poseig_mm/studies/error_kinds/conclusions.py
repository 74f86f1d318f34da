"""What kinds of errors cost most, and which persons they are of, in AP."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...functional.inference import paired_difference
from ...store.reader import Store
from ...summary.conclusions import how_sure
from ...summary.measures import images_of
from ...summary.person_groups import group_conclusions, person_groups
from ...summary.persons import in_pixels
from ...types import Conclusion, PersonPicture
from ..section_parts import study_rows, with_holm
from .classify import KINDS, average_precision, corrected, object_similarity
from .precision import Similarities, similarities
from .rows import ErrorKindsSettings, joint_kinds

WORDS = {
    "jitter": "Joints are near their place and not on it (jitter)",
    "inversion": "Left and right are confused (inversion)",
    "swap": "Joints are taken for another person's (swap)",
    "miss": "Joints are far from every place they could be taken for (miss)",
}
TRY = {
    "jitter": "a larger input or heatmap, or a decoder below the pixel (UDP, DARK)",
    "inversion": "--treat gcn_refinement; more persons from behind and with crossed limbs in training",
    "swap": "more pictures of persons close to one another in training; boxes that hold one person",
    "miss": "look at these persons: more like them in training",
}


def error_kinds_conclusions(store: Store, name: str, settings: ErrorKindsSettings) -> list[Conclusion]:
    """Kinds of errors that cost AP, and groups of persons that reach less of it."""
    joints, rows = store.joints(), study_rows(store, name)
    if not len(joints) or not len(rows) or not in_pixels(joints):
        return []
    known = joint_kinds(store, name, settings).filter(pl.col("kind").is_not_null())
    if not len(known):
        return []
    similar, names = similarities(known), dict(known.select("joint", "joint_name").unique().rows())
    persons = similar.persons.with_columns(pl.Series("loss", 1 - similar.ap))
    return [
        *_kinds(similar, names, settings),
        *group_conclusions(persons, person_groups(store), "AP"),
    ]


def _kinds(similar: Similarities, names: dict[int, str], settings: ErrorKindsSettings) -> list[Conclusion]:
    """One a kind whose correction gains AP beyond noise, after Holm's correction for the four kinds."""
    ap, images = similar.ap, images_of(similar.persons)
    better = {kind: corrected(similar.ks, similar.kinds, similar.largest, (kind,)) for kind in KINDS[1:]}
    gains = {
        kind: paired_difference(ap, average_precision(object_similarity(ks)), images) for kind, ks in better.items()
    }
    conclusions = []
    for kind, (comparison, p) in with_holm(gains).items():
        effect = comparison.difference
        if not (sure := how_sure(effect, p)):
            continue
        lost = np.where(similar.are((kind,)), better[kind] - similar.ks, 0.0)  # (P, K) similarity
        words = WORDS[kind]
        if kind == "inversion" and settings.rule == "any":
            words = "Joints are taken for other joints of the same person (inversion)"
        conclusions.append(
            Conclusion(
                name=f"kind {kind}",
                sentence=f"{words}, above all {_where(similar, lost, kind, names)}.",
                effect=effect,
                unit="AP lost",
                sure=sure,
                cost=effect.mean,
                cost_unit="AP",
                pictures=_pictures(similar, lost, names),
                try_=TRY[kind],
            )
        )
    return conclusions


def _where(similar: Similarities, lost: NDArray[np.float64], kind: str, names: dict[int, str]) -> str:
    """The joint, with its partner, that loses most similarity, and how many of those visible are of this kind.

    >>> part_of("left_ankle"), part_of("ankle_R"), part_of("nose")
    ('ankle', 'ankle', 'nose')
    """
    parts: dict[str, list[int]] = {}
    for joint, name in sorted(names.items()):
        parts.setdefault(part_of(name), []).append(joint)
    part = max(parts, key=lambda part: float(lost[:, parts[part]].sum()))
    own = parts[part]
    count, visible = int(similar.are((kind,))[:, own].sum()), int((similar.kinds[:, own] >= 0).sum())
    side = "left and right " if len(own) > 1 else ""
    return f"{side}{part if side else names[own[0]]} ({count} of {visible})".replace("_", " ")


def part_of(name: str) -> str:
    """A joint's name without its side.

    >>> part_of("left_ankle"), part_of("ankle_R"), part_of("nose")
    ('ankle', 'ankle', 'nose')
    """
    return re.sub(r"(?i)^(left|right|l|r)[_ -]+|[_ -]+(left|right|l|r)$", "", name)


def _pictures(similar: Similarities, lost: NDArray[np.float64], names: dict[int, str]) -> tuple[PersonPicture, ...]:
    """The joints that lose most, of three persons."""
    ids: Sequence[str] = similar.persons["sample_id"].to_list()
    worst = np.argsort(-lost.max(1), kind="stable")[:3]
    return tuple(
        PersonPicture(ids[p], int(k := lost[p].argmax()), f"{names[int(k)]}: similarity {similar.ks[p, k]:.2f}")
        for p in worst.tolist()
        if lost[p].max() > 0
    )
