"""Kinds of ordered pairs of joints that can be confused (method section 6)."""

from __future__ import annotations

import re

from ..types import JointGroups

PAIR_KINDS = ("symmetric", "child-as-parent", "parent-as-child", "other")
# (child, parent): what the paper must mean, and what it prints
PRESETS = {
    "corrected": (("elbow", "shoulder"), ("wrist", "elbow"), ("knee", "hip"), ("ankle", "knee")),
    "as_printed": (("elbow", "shoulder"), ("hip", "elbow"), ("knee", "hip"), ("ankle", "knee")),
}
_PART = re.compile(r"(left|right|l|r)_(shoulder|elbow|wrist|hip|knee|ankle)")


def by_name(groups: JointGroups) -> bool:
    """Whether the pairs are known by the joints' names; else they are read off flip pairs and parents."""
    return any(_PART.fullmatch(name.lower()) for name in groups.keypoint_names)


def pair_kinds(groups: JointGroups, preset: str = "corrected") -> tuple[tuple[str, ...], ...]:
    """(K, K) of `PAIR_KINDS`: what it is called when joint a (row) is predicted at joint b (column); '' where a = b.

    Bodies by their joints' names, left_ or right_ and shoulder, elbow, wrist, hip, knee, ankle: symmetric is left for
    right of the same part; child and parent are on the same side.  Everything else, hands for one: symmetric are the
    flip pairs, the parent is the next joint of the chain.

    Args:
        groups: of the data set.
        preset: of `PRESETS`; matters to bodies alone.

    >>> names = ('left_elbow', 'right_elbow', 'left_shoulder')
    >>> body = JointGroups(names, ('',) * 3, (2, -1, -1), ((0, 1),), ())
    >>> pair_kinds(body)[0]
    ('', 'symmetric', 'child-as-parent')
    """
    named = by_name(groups)
    parts = [_PART.fullmatch(name.lower()) for name in groups.keypoint_names]
    sides = [(part[1][0], part[2]) if part else None for part in parts]  # ('l' | 'r', part)
    flips = {frozenset(pair) for pair in groups.flip_pairs}

    def kind(a: int, b: int) -> str:
        if a == b:
            return ""
        if not named:
            if frozenset((a, b)) in flips:
                return "symmetric"
            is_child, is_parent = groups.parent_of[a] == b, groups.parent_of[b] == a
        else:
            first, second = sides[a], sides[b]
            if first is None or second is None:
                return "other"
            if first[1] == second[1] and first[0] != second[0]:
                return "symmetric"
            same_side = first[0] == second[0]
            is_child = same_side and (first[1], second[1]) in PRESETS[preset]
            is_parent = same_side and (second[1], first[1]) in PRESETS[preset]
        return "child-as-parent" if is_child else "parent-as-child" if is_parent else "other"

    joints = range(len(groups.keypoint_names))
    return tuple(tuple(kind(a, b) for b in joints) for a in joints)
