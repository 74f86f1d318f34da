"""What is asked of a person: which joints are inverted, and what their contrastive maps say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...settings_fields import number, one_of, whole
from ...types import Attribution, Finding
from ..base import StudyContext
from ..pairs import PRESETS, pair_kinds
from .inverted import distances, inverted_pairs


@dataclass(frozen=True)
class InversionSettings:
    """What rows and section need to be told."""

    epsilon: float = number(
        10.0, above=0
    )  # input px: within it of another joint, and beyond it of its own (as published)
    # of child and parent: 'corrected', or 'as_printed' in the paper (hip for wrist)
    pairs: str = one_of(*PRESETS)
    # input px around a bone; half a thigh's width of a person that fills 256 x 192
    limb_radius: float = number(12.0, above=0)
    not_inverted: int | None = whole(
        None, least=1
    )  # that many to compare RI with, seeded (100 as published); None: all
    pictures: int = whole(40, least=0)  # at most, a random choice of all that does not depend on their order
    seed: int = whole(0, least=0)  # of the choice of those not inverted


def row_without_numbers(sample_id: str, **known: Any) -> dict[str, Any]:
    """A row with all columns."""
    shares = [f"{of}_{side}" for side in ("wrong", "right") for of in ("mass", "area", "positive")]
    numbers = ("distance_own", "distance_other", "ri", *shares, "positive", "soft_distance_other", "map_error")
    row: dict[str, Any] = {"sample_id": sample_id, "joint": -1, "joint_name": "", "other": -1, "other_name": ""}
    row |= {"kind": "", "swap": False, **dict.fromkeys(numbers, math.nan), "picture": "", "reason": ""}
    return row | known


def inversion_rows(finding: Finding, context: StudyContext, settings: InversionSettings) -> Iterator[dict[str, Any]]:
    """A row for each ordered pair (a, b) of this person that is inverted, without what needs its contrastive map."""
    sample, names = finding.sample, context.groups.keypoint_names
    truth, prediction = sample.keypoints.double().cpu().numpy(), finding.prediction.double().cpu().numpy()
    inverted = inverted_pairs(truth, prediction, sample.visible.cpu().numpy(), settings.epsilon)
    gap, relation = distances(truth, prediction), finding.indices.get("ri")
    kinds = pair_kinds(context.groups, settings.pairs)
    for a, b in zip(*(index.tolist() for index in inverted.nonzero()), strict=True):
        yield row_without_numbers(
            sample.sample_id,
            joint=a,
            joint_name=names[a],
            other=b,
            other_name=names[b],
            kind=kinds[a][b],
            swap=bool(inverted[b, a]),
            distance_own=float(gap[a, a]),
            distance_other=float(gap[a, b]),
            ri=math.nan if relation is None else float(relation[a, b]),
        )


def contrast_numbers(
    contrast: Attribution, a: int, b: int, finding: Finding, parents: Sequence[int], radius: float
) -> dict[str, Any]:
    """Of the contrastive map of joint a at b: where its mass lies, and which way it pulls."""
    from ...functional.limbs import limb_shares

    truth, visible = finding.sample.keypoints.double().cpu().numpy(), finding.sample.visible.cpu().numpy()
    numbers: dict[str, Any] = {"reason": contrast.reasons[a], "map_error": float(contrast.map_error[a])}
    if contrast.soft_coords is not None:
        soft = contrast.soft_coords[a].double().cpu().numpy()
        numbers["soft_distance_other"] = float(np.linalg.norm(soft - truth[b]))
    if numbers["reason"]:
        return numbers
    signed = contrast.signed is not None
    values = (contrast.signed if contrast.signed is not None else contrast.maps)[a].double().cpu().numpy()
    points = np.where(visible[:, None], truth, np.nan)
    wrong, right = limb_shares(values, a, b, points, parents, radius)
    total = float(np.abs(values).sum())
    for side, shares in (("wrong", wrong), ("right", right)):
        numbers |= {f"mass_{side}": shares.mass, f"area_{side}": shares.area}
        numbers[f"positive_{side}"] = shares.positive if signed else math.nan
    numbers["positive"] = float(values[values > 0].sum()) / total if signed and total > 0 else math.nan
    return numbers
