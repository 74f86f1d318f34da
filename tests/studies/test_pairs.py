"""Kinds of pairs of joints."""

from __future__ import annotations

from collections import Counter

import pytest
from planted import COCO

from poseig_mm.studies.pairs import pair_kinds
from poseig_mm.types import JointGroups

INDEX = {name: i for i, name in enumerate(COCO.keypoint_names)}


def kind(a: str, b: str, preset: str = "corrected") -> str:
    return pair_kinds(COCO, preset)[INDEX[a]][INDEX[b]]


def test_each_kind_has_as_many_pairs_as_the_method_names() -> None:
    """Six symmetric pairs, both ways; four of child and parent on two sides; the rest of 17 x 16 are others."""
    counts = Counter(k for row in pair_kinds(COCO) for k in row)
    assert counts == {"": 17, "symmetric": 12, "child-as-parent": 8, "parent-as-child": 8, "other": 272 - 28}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("left_wrist", "right_wrist", "symmetric"), ("left_wrist", "left_elbow", "child-as-parent"),
        ("left_elbow", "left_wrist", "parent-as-child"), ("left_wrist", "right_elbow", "other"),
        ("left_eye", "right_eye", "other"), ("left_eye", "nose", "other"), ("left_hip", "left_elbow", "other"),
    ],
)  # fmt: skip
def test_pairs_by_name(a: str, b: str, expected: str) -> None:
    """Symmetric is of six parts alone, child and parent are on one side."""
    assert kind(a, b) == expected


def test_the_printed_preset_has_hip_for_wrist() -> None:
    """Hip at elbow is a child at its parent there; wrist at elbow is not."""
    assert (kind("right_hip", "right_elbow", "as_printed"), kind("right_elbow", "right_hip", "as_printed")) == (
        "child-as-parent",
        "parent-as-child",
    )
    assert kind("right_wrist", "right_elbow", "as_printed") == "other"
    for a, b in (("right_elbow", "right_shoulder"), ("right_knee", "right_hip"), ("right_ankle", "right_knee")):
        assert kind(a, b, "as_printed") == kind(a, b) == "child-as-parent"


def test_unknown_names_follow_chain_and_partners() -> None:
    """A hand's joints: the next towards the wrist is the parent; flip pairs are symmetric, even where one is the
    parent.
    """
    groups = JointGroups(("root", "a1", "a2", "b1"), ("",) * 4, (-1, 0, 1, 0), ((1, 3),), ())
    kinds = pair_kinds(groups)
    assert kinds[2] == ("other", "child-as-parent", "", "other")
    assert kinds[1] == ("child-as-parent", "", "parent-as-child", "symmetric")
    assert pair_kinds(groups, "as_printed") == kinds
