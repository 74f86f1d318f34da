"""Names of the keypoints a model predicts, from MMPose's metainfo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def keypoint_names(
    metainfo: Mapping[str, Any] | None, count: int, selected: Sequence[int] | None = None
) -> tuple[str, ...]:
    """One name for each keypoint.

    Args:
        metainfo: MMPose's, parsed (`keypoint_id2name`) or as written (`keypoint_info`); or None.
        count: keypoints the head predicts.
        selected: those of them that the model gives out (`test_cfg.output_keypoint_indices`); None: all.

    Returns:
        As many names as keypoints are given out.  'joint_0', 'joint_1' ... where the metainfo has none, or as many as
        fit neither the head nor its selection.

    >>> keypoint_names({'keypoint_id2name': {0: 'nose', 1: 'chin'}}, 2)
    ('nose', 'chin')
    >>> keypoint_names({'keypoint_info': {0: dict(name='nose'), 1: dict(name='chin')}}, 2, selected=[1])
    ('chin',)
    >>> keypoint_names({'keypoint_id2name': {str(i): f'k{i}' for i in range(12)}}, 12)[1:3]  # as JSON has it
    ('k1', 'k2')
    >>> keypoint_names(None, 2)
    ('joint_0', 'joint_1')
    """
    given = _names(metainfo or {})
    indices = range(count) if selected is None else selected
    if len(given) == count:
        return tuple(given[i] for i in indices)
    if len(given) == len(indices):
        return given
    return tuple(f"joint_{i}" for i in indices)


def _names(metainfo: Mapping[str, Any]) -> tuple[str, ...]:
    names = metainfo.get("keypoint_id2name")
    if names:
        return tuple(str(names[i]) for i in sorted(names, key=int))
    info = metainfo.get("keypoint_info") or {}
    return tuple(str(info[i]["name"]) for i in sorted(info, key=int))
