"""Good, jitter, inversion, swap, miss: what kind of error each joint's prediction is.  numpy only.

Source: Ronchi & Perona, Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation, ICCV 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ShapeError

KINDS = ("good", "jitter", "inversion", "swap", "miss")
GOOD, NEAR = 0.85, 0.5  # keypoint similarities of the paper: good from the first, near a joint from the second
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
) -> tuple[NDArray[np.int_], Floats]:
    """Kind of error of each joint of the persons of one image.

    good: ks >= 0.85 to its own truth; jitter: from 0.5 on.  Below, the largest ks to any other joint decides where it
    is at least 0.5: inversion for one of the same person, swap for one of another person; equal ks are an inversion.
    Else miss. ks to a joint takes that joint's sigma and its person's area.

    Args:
        truth, prediction: (P, K, 2) px of the image.
        visible: (P, K) bool; other joints are neither classified nor confused with.
        areas: (P,) px^2; NaN: the person's joints are not classified, and nobody is confused with them.
        sigmas: (K,).
        partners: joint -> its left-right partner: inversions are then with the partner alone, and swaps with the same
            joint and its partner (as published code has it).  None: with any joint.

    Returns:
        ((P, K) index in `KINDS`, -1 where not classified; (P, K) ks to the own truth, NaN there).

    Raises:
        ShapeError: shapes that do not fit.

    >>> truth = np.array([[[0.0, 0.0], [50.0, 0.0]]])
    >>> kinds, ks = classify(truth, truth[:, [1, 1]], np.ones((1, 2), bool), np.array([400.0]), np.array([0.1, 0.1]))
    >>> [KINDS[k] for k in kinds[0]]
    ['inversion', 'good']
    """
    persons, joints = visible.shape
    if truth.shape != prediction.shape or truth.shape[:2] != visible.shape or areas.shape != (persons,):
        raise ShapeError(
            f"truth {truth.shape}, prediction {prediction.shape}, visible {visible.shape}, areas {areas.shape}; "
            "expected (P, K, 2), (P, K, 2), (P, K), (P,)"
        )
    kinds, own = np.full((persons, joints), -1), np.full((persons, joints), np.nan)
    same_joint = np.eye(joints, dtype=bool)
    mirrored = np.array([[(partners or {}).get(k) == j for j in range(joints)] for k in range(joints)])
    within = ~same_joint if partners is None else mirrored  # (K, K): joints of the same person to confuse k with
    between = np.ones_like(within) if partners is None else mirrored | same_joint
    for p in range(persons):
        gap = np.linalg.norm(prediction[p][None, :, None] - truth[:, None], axis=-1)  # (P, K of p, K of others)
        ks = keypoint_similarity(gap, areas[:, None, None], sigmas)
        ks = np.where(visible[:, None] & np.isfinite(ks), ks, -1.0)
        own[p] = np.where(visible[p] & (np.diagonal(ks[p]) >= 0), np.diagonal(ks[p]), np.nan)
        inverted = np.where(within, ks[p], -1.0).max(1)
        others = np.delete(ks, p, axis=0)
        swapped = np.where(between, others, -1.0).max((0, 2)) if persons > 1 else np.full(joints, -1.0)
        kind = np.select(
            [own[p] >= GOOD, own[p] >= NEAR, (inverted >= NEAR) & (inverted >= swapped), swapped >= NEAR],
            [0, 1, 2, 3],
            4,
        )
        kinds[p] = np.where(np.isfinite(own[p]), kind, -1)
    return kinds, own


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
