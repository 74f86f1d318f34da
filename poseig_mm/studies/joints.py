"""What every row on a joint begins with, and why there may be nothing to measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..types import Finding
from .base import StudyContext

if TYPE_CHECKING:
    from torch import Tensor


def joint_columns(finding: Finding, context: StudyContext, joint: int) -> dict[str, Any]:
    """The columns that say which joint of which person a row is about."""
    return {
        "sample_id": finding.sample.sample_id,
        "joint": joint,
        "joint_name": context.groups.keypoint_names[joint],
        "group": context.groups.group_of[joint],
    }


def asked_joints(reasons: Sequence[str]) -> list[int]:
    """Joints that can have a map: visible, and asked for by the run's settings.

    >>> asked_joints(['', 'not_visible', 'zero_map', 'not_asked'])
    [0, 2]
    """
    return [k for k, reason in enumerate(reasons) if reason not in ("not_visible", "not_asked")]


def visible_truth(finding: Finding) -> Tensor:
    """The annotated points (K, D) on the CPU in float64, NaN where a joint is not visible: EPE starts from these."""
    truth = finding.sample.keypoints.double().cpu()
    return truth.where(finding.sample.visible.cpu()[:, None], truth.new_tensor(float("nan")))


def visible_places(finding: Finding) -> Tensor | None:
    """Where the joints appear in the input (K, 2), px, as `visible_truth`; None where the input is no image."""
    places, visible = finding.sample.pixels, finding.sample.visible.cpu()[:, None]
    return None if places is None else places.double().cpu().where(visible, float("nan"))


def why_missing(finding: Finding, points: Tensor) -> list[str]:
    """For each joint '' or why nothing can be measured: it has no map, or no point (K, D) to measure from."""
    reasons = list(finding.attribution.reasons)
    known = finding.attribution.maps.flatten(1).isfinite().all(1).tolist()
    placed = points.isfinite().all(1).tolist()
    for k, reason in enumerate(reasons):
        if not reason and not (known[k] and placed[k]):
            reasons[k] = "no_map" if not known[k] else "not_visible"
    return reasons
