"""Good, jitter, inversion, swap, miss: what kind of error each joint's prediction is.  numpy only.

Source: Ronchi & Perona, Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation, ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ShapeError

KINDS = ("good", "jitter", "inversion", "swap", "miss")
GOOD, NEAR = 0.85, 0.5  # keypoint similarities of the paper: good from the first, near a joint from the second
AS_CODED = (
    0.25  # exponent of a corrected ks in coco-analyze's code, whose corrections take sigma where ks takes 2 sigma
)
OKS_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # COCO's
Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


def keypoint_similarity(distance: Floats, area: Floats, sigma: Floats) -> Floats:
    """ks = exp(-d^2 / (2 s^2 k^2)), k = 2 sigma, s^2 = area: in [0, 1].

    Args:
        distance: px.
        area: of the person, px^2 of the same frame.
        sigma: of the joint, as a share of the person's size s.

    >>> float(keypoint_similarity(np.array(2.0), np.array(100.0), np.array(0.1)).round(4))  # d = k s: exp(-1/2)
    0.6065
    """
    similarity: Floats = np.exp(-(distance**2) / (2 * area * (2 * sigma) ** 2))
    return similarity


def classify(
    truth: Floats,
    prediction: Floats,
    visible: Bools,
    areas: Floats,
    sigmas: Floats,
    partners: Mapping[int, int] | None = None,
) -> tuple[NDArray[np.int_], Floats, Floats]:
    """Kind of error of each joint of the persons of one image.

    The largest ks decides, among the joint's own place, the other joints of its person that it can be confused with,
    and such joints of other persons.  Below 0.5 it is a miss; else, at its own place: good from 0.85 on, jitter below;
    at another of the same person: inversion; of another person: swap.  Of equal ones the first counts in the order own,
    same joint of others, other joints of its own, other joints of others.  ks takes the joint's own sigma, and the area
    of the person whose place it is.

    Args:
        truth, prediction: (P, K, 2) px of the image.
        visible: (P, K) bool; other joints are neither classified nor confused with.
        areas: (P,) px^2; NaN: the person's joints are not classified, and nobody is confused with them.
        sigmas: (K,).
        partners: joint -> its left-right partner, the one joint that it can be confused with beside its own.  None:
            with any joint.

    Returns:
        ((P, K) index in `KINDS`, -1 where not classified; (P, K) ks to the own truth; (P, K) the largest ks, both NaN
        there).

    Raises:
        ShapeError: shapes that do not fit.

    >>> truth = np.array([[[0.0, 0.0], [50.0, 0.0]]])
    >>> kinds, *_ = classify(truth, truth[:, [1, 1]], np.ones((1, 2), bool), np.array([400.0]), np.array([0.1, 0.1]))
    >>> [KINDS[k] for k in kinds[0]]
    ['inversion', 'good']
    """
    persons, joints = visible.shape
    if truth.shape != prediction.shape or truth.shape[:2] != visible.shape or areas.shape != (persons,):
        raise ShapeError(
            f"truth {truth.shape}, prediction {prediction.shape}, visible {visible.shape}, areas {areas.shape}; "
            "expected (P, K, 2), (P, K, 2), (P, K), (P,)"
        )
    kinds, own, largest = (np.full((persons, joints), fill) for fill in (-1, np.nan, np.nan))
    for p in range(persons):
        at = classify_points(prediction[p][None], p, truth, visible, areas, sigmas, partners)
        kinds[p], own[p], largest[p] = (values[0] for values in at)
    return kinds, own, largest


def classify_points(
    points: Floats,
    person: int,
    truth: Floats,
    visible: Bools,
    areas: Floats,
    sigmas: Floats,
    partners: Mapping[int, int] | None = None,
) -> tuple[NDArray[np.int_], Floats, Floats]:
    """What `classify` gives for one person of the image, for M predictions (M, K, 2) of it: (M, K) each."""
    joints = len(sigmas)
    same = np.eye(joints, dtype=bool)
    mirrored = np.array([[(partners or {}).get(k) == j for j in range(joints)] for k in range(joints)])
    confusable = ~same if partners is None else mirrored & ~same  # (K, K): joints that k can be confused with
    gap = np.linalg.norm(points[:, None, :, None] - truth[:, None], axis=-1)  # (M, P, K of points, K of places)
    ks = keypoint_similarity(gap, areas[:, None, None], sigmas[:, None])
    ks = np.where(visible[:, None] & np.isfinite(ks), ks, -1.0)
    others = np.delete(ks, person, axis=1)

    def nearest(similarity: Floats, allowed: Bools) -> Floats:
        found: Floats = np.where(allowed, similarity, -1.0).max(-1).max(1, initial=-1.0)
        return found

    mine = ks[:, [person]]
    places = np.stack([
        nearest(mine, same), nearest(others, same), nearest(mine, confusable), nearest(others, confusable)
    ])  # fmt: skip
    which, largest, own = places.argmax(0), places.max(0), places[0]
    at_place = np.array([0, 3, 2, 3])[which]  # good, swap, inversion, swap
    kinds = np.select([largest < NEAR, (which == 0) & (largest < GOOD)], [4, 1], at_place)
    known = visible[person] & (own >= 0)
    return np.where(known, kinds, -1), np.where(known, own, np.nan), np.where(known, largest, np.nan)


def chance_counts(
    box: Floats,
    person: int,
    truth: Floats,
    visible: Bools,
    areas: Floats,
    sigmas: Floats,
    partners: Mapping[int, int] | None,
    n: int,
    generator: np.random.Generator,
) -> NDArray[np.int_]:
    """How many of the visible joints of one person have each of `KINDS` at `n` points uniform in a box, (5,).

    Args:
        box: (4,) left, top, right, bottom, px of the image.
        person, truth, visible, areas, sigmas, partners: as in `classify_points`.
        n: points, at which every joint is looked at.
        generator: of the points.
    """
    points = generator.uniform(box[:2], box[2:], (n, 2))
    counts = np.zeros(len(KINDS), dtype=int)
    for some in np.array_split(points, -(-n // 64)):  # limits memory, changes nothing
        each = np.repeat(some[:, None], len(sigmas), 1)
        kinds = classify_points(each, person, truth, visible, areas, sigmas, partners)[0]
        counts += np.bincount(kinds[kinds >= 0], minlength=len(KINDS))
    return counts


def corrected(ks: Floats, kinds: NDArray[np.int_], largest: Floats, which: Sequence[str]) -> Floats:
    """ks of joints whose errors of some kinds are corrected as coco-analyze defines it.

    A jitter is put where ks is 0.85, a miss where it is 0.5, an inversion or swap where it is what it is at the place
    that it was taken for; all others stay.

    Args:
        ks, kinds, largest: of the same shape, as `classify` returns them.
        which: of `KINDS` without good.

    >>> kinds = np.array([0, 1, 2, 4])
    >>> corrected(np.array([0.9, 0.6, 0.1, 0.0]), kinds, np.array([0.9, 0.6, 0.7, 0.2]), ('inversion', 'miss')).tolist()
    [0.9, 0.6, 0.7, 0.5]
    """
    chosen = np.isin(kinds, [KINDS.index(kind) for kind in which])
    goal = np.select([kinds == 1, kinds == 4], [GOOD, NEAR], largest)
    found: Floats = np.where(chosen, goal, ks)
    return found


def object_similarity(ks: Floats) -> Floats:
    """OKS: mean over a person's joints (P, K) of their ks; a joint that is NaN is not there, and nobody without joints.

    >>> object_similarity(np.array([[1.0, 0.5, np.nan]])).tolist()
    [0.75]
    """
    n = np.isfinite(ks).sum(-1)
    with np.errstate(invalid="ignore"):
        oks: Floats = np.where(n > 0, np.nansum(ks, -1) / np.where(n > 0, n, 1), np.nan)
    return oks


def average_precision(oks: Floats) -> Floats:
    """Each person's part of AP@[.5:.95]: the share of COCO's ten thresholds that its OKS reaches, (P,); NaN stays NaN.

    The mean over persons is AP where each annotated person has one detection of the same score: no detector, no false
    positives.

    >>> average_precision(np.array([0.5, 0.72, 0.4, 1.0])).tolist()
    [0.1, 0.5, 0.0, 1.0]
    """
    reached = (np.asarray(oks)[:, None] >= OKS_THRESHOLDS - 1e-10).mean(1)
    parts: Floats = np.where(np.isfinite(oks), reached, np.nan)
    return parts
