"""What is asked of a person: where the map of each joint lies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...settings_fields import number, whole
from ...types import Finding, JointGroups
from ..base import StudyContext
from ..joints import asked_joints, joint_columns, visible_places, visible_truth, why_missing
from .causes import Thresholds
from .evidence import PLACES, densest_spots, person_size, place_areas, place_maps, place_shares

SPOTS = 3  # densest spots a map that are kept; a mark need not be the very densest in every map


@dataclass(frozen=True)
class ShortcutsSettings(Thresholds):
    """What rows and section need to be told."""

    # of a person's size (the root of its box's area): on a man of 1.7 m about 0.1 m, hand and wrist
    radius: float = number(0.1, above=0, below=1)
    pictures: int = whole(6, least=0)  # joints whose mean map is drawn


def evidence_rows(finding: Finding, context: StudyContext, disc: float) -> Sequence[Mapping[str, Any]]:
    """A row a joint with a map, `disc` being the radius as a share of the person; joints not asked for have none."""
    sample = finding.sample
    truth = visible_truth(finding)
    reasons = why_missing(finding, truth)
    asked = asked_joints(reasons)
    places = visible_places(finding)
    if places is None:
        return [_row(finding, context, k, reason="no_place") for k in asked]
    reasons = ["no_place" if not r and p else r for r, p in zip(reasons, places.isnan().any(1), strict=True)]
    points = places.numpy()
    size = person_size(points, sample.extra.get("bbox"), sample.inverse_warp)
    if not math.isfinite(size):
        return [_row(finding, context, k, reason="no_size") for k in asked]
    mask = None if sample.mask is None else sample.mask.cpu().numpy()
    without = "no_mask" if mask is None else "" if mask.any() else "empty_mask"
    maps = finding.attribution.maps.float().cpu().numpy()
    height, width = maps.shape[-2:]
    radius = disc * size
    parents, partners = context.groups.parent_of, partners_of(context.groups)
    where = place_maps(points, parents, partners, (height, width), radius, None if without else mask)
    predicted = finding.prediction.double().cpu()
    known_errors = 1.0 if sample.annotated else math.nan  # from itself, a prediction is 0 away
    errors = [known_errors * float(np.linalg.norm(predicted[k] - truth[k])) for k in range(len(truth))]
    flat = context.unit == "px" and predicted.shape[-1] == 2 and sample.annotated
    prediction = predicted.numpy() if flat else np.full_like(points, math.nan)  # in space, or from itself: at no place
    rows = []
    for k in asked:
        known = {"size": size, "radius": radius, "error": errors[k]}
        if reasons[k]:
            rows.append(_row(finding, context, k, **known, reason=reasons[k]))
            continue
        known |= _evidence(maps[k], where[k], points[k], radius)
        known |= _kin(points, prediction, k, parents[k], partners[k], radius)
        rows.append(_row(finding, context, k, **known, reason=without))
    return rows


def partners_of(groups: JointGroups) -> tuple[int, ...]:
    """(K,) index of each joint's left-right partner, -1 where it has none.

    >>> partners_of(JointGroups(('nose', 'left_eye', 'right_eye'), ('',) * 3, (-1, 0, 0), ((1, 2),), ()))
    (-1, 2, 1)
    """
    partners = [-1] * len(groups.keypoint_names)
    for a, b in groups.flip_pairs:
        partners[a], partners[b] = b, a
    return tuple(partners)


def _row(finding: Finding, context: StudyContext, joint: int, **known: Any) -> dict[str, Any]:
    """A row with all columns."""
    numbers = ("size", "radius", "error", *(f"{kind}_{place}" for place in PLACES for kind in ("share", "area")))
    row = joint_columns(finding, context, joint) | dict.fromkeys(numbers, math.nan)
    row |= {"parent_apart": False, "partner_apart": False}
    for i in range(1, SPOTS + 1):
        row |= {f"spot{i}_{of}": math.nan for of in ("x", "y", "share", "area")} | {f"spot{i}_place": ""}
    return row | {"invertible": False, "inverted": False, "reason": ""} | known


def _evidence(
    values: NDArray[np.floating[Any]], places: NDArray[np.int8], point: NDArray[np.float64], radius: float
) -> dict[str, Any]:
    """Shares and areas of the places, and the densest spots."""
    row: dict[str, Any] = {}
    for kind, numbers in (("share", place_shares(values, places)), ("area", place_areas(places))):
        row |= {f"{kind}_{place}": float(v) for place, v in zip(PLACES, numbers, strict=True)}
    for i, spot in enumerate(densest_spots(values, radius, SPOTS), 1):
        row |= {f"spot{i}_x": spot.x - float(point[0]), f"spot{i}_y": spot.y - float(point[1])}
        row |= {f"spot{i}_share": spot.share, f"spot{i}_area": spot.area}
        row[f"spot{i}_place"] = PLACES[places[spot.y, spot.x]]
    return row


def _kin(
    points: NDArray[np.float64], prediction: NDArray[np.float64], joint: int, parent: int, partner: int, radius: float
) -> dict[str, Any]:
    """Which kin can be told from the joint, and whether the prediction is at the partner."""
    row: dict[str, Any] = {}
    for name, other in (("parent", parent), ("partner", partner)):
        gap = float(np.linalg.norm(points[other] - points[joint])) if other >= 0 else math.nan
        row[f"{name}_apart"] = gap > 2 * radius  # False where it is not known
    row["invertible"] = row["partner_apart"] and bool(np.isfinite(prediction[joint]).all())
    if row["invertible"]:
        there, here = (float(np.linalg.norm(prediction[joint] - points[j])) for j in (partner, joint))
        row["inverted"] = there <= radius < here
    return row
