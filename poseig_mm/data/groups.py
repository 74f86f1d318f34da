"""Groups and kinematic chains of joints: laid down for bodies and hands, derived from the skeleton for everything else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..types import JointGroups

__all__ = ["joint_groups"]

# PoseIG supplement B.1; the end of the head counts as a leaf as nose, eyes and ears do.  Pelvis, thorax and neck are no
# part of any published group.
_BODY_GROUPS = {
    "shoulder": "trunk", "hip": "trunk", "elbow": "branch", "knee": "branch", "wrist": "leaf", "ankle": "leaf",
    "nose": "leaf", "eye": "leaf", "ear": "leaf", "head_top": "leaf", "top_head": "leaf",
    "pelvis": "", "thorax": "", "upper_neck": "", "neck": "",
}  # fmt: skip
_BODY_PARENTS = {
    "elbow": ("shoulder",), "wrist": ("elbow",), "knee": ("hip",), "ankle": ("knee",), "eye": ("nose",), "ear": ("eye",),
    "shoulder": ("upper_neck", "neck"), "hip": ("pelvis",), "thorax": ("pelvis",), "upper_neck": ("thorax",),
    "neck": ("thorax",), "head_top": ("upper_neck", "neck"), "top_head": ("neck",),
}  # fmt: skip
_LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_FINGER = re.compile(r"(thumb|forefinger|index|middle_finger|middle|ring_finger|ring|pinky_finger|pinky|little)([1-4])")
_HAND_GROUPS = {"1": "MCP", "2": "PIP", "3": "DIP", "4": "TIP"}


def joint_groups(metainfo: Mapping[str, Any]) -> JointGroups:
    """Groups and parents from a data set's parsed MMPose metainfo.

    Bodies (all twelve limb joints by name, and nothing but body joints: COCO-17, MPII-16, CrowdPose, AIC): trunk, branch,
    leaf.  Hands of 21 joints, or two of them: wrist, MCP, PIP, DIP, TIP.  Both are recognised by the joints' names, in any
    order.  Everything else is derived from the skeleton (`derived` is True): the root is the joint from which the farthest
    one is nearest, 'trunk' is the root and its neighbours, 'leaf' the ends of the skeleton, 'branch' the rest; a joint
    without a bone belongs to no group.

    Args:
        metainfo: with `keypoint_id2name`, `skeleton_links` and `flip_pairs`.
    """
    id2name = metainfo["keypoint_id2name"]
    names = tuple(str(id2name[i]) for i in sorted(id2name))
    skeleton = tuple((int(a), int(b)) for a, b in metainfo.get("skeleton_links", ()))
    known = _body(names) or _hand(names)
    groups, parents = known or _derived(len(names), skeleton)
    return JointGroups(
        keypoint_names=names,
        group_of=groups,
        parent_of=parents,
        flip_pairs=tuple((int(a), int(b)) for a, b in metainfo.get("flip_pairs", ())),
        skeleton=skeleton,
        derived=known is None,
    )


def _side_and_part(name: str) -> tuple[str, str]:
    side, _, part = name.partition("_")
    return (side + "_", part) if side in ("left", "right") else ("", name)


Found = tuple[tuple[str, ...], tuple[int, ...]]


def _body(names: Sequence[str]) -> Found | None:
    parts = [_side_and_part(n) for n in names]
    if any(part not in _BODY_GROUPS for _, part in parts):
        return None
    if not {f"{side}_{limb}" for side in ("left", "right") for limb in _LIMBS} <= set(names):
        return None
    index = {name: i for i, name in enumerate(names)}

    def parent(side: str, part: str) -> int:
        candidates = [s + p for p in _BODY_PARENTS.get(part, ()) for s in (side, "")]
        return next((index[c] for c in candidates if c in index), -1)

    return tuple(_BODY_GROUPS[part] for _, part in parts), tuple(parent(*p) for p in parts)


def _hand(names: Sequence[str]) -> Found | None:
    parts = [_side_and_part(n) for n in names]
    fingers = [_FINGER.fullmatch(part) for _, part in parts]
    if len(names) not in (21, 42) or any(f is None and p[1] != "wrist" for f, p in zip(fingers, parts, strict=True)):
        return None
    index = {name: i for i, name in enumerate(names)}
    groups, parents = [], []
    for (side, _), finger in zip(parts, fingers, strict=True):
        if finger is None:
            groups.append("wrist")
            parents.append(-1)
            continue
        name, number = finger.groups()
        groups.append(_HAND_GROUPS[number])
        inner = f"{side}wrist" if number == "1" else f"{side}{name}{int(number) - 1}"
        parents.append(index.get(inner, -1))
    return tuple(groups), tuple(parents)


def _derived(count: int, skeleton: Sequence[tuple[int, int]]) -> Found:
    neighbours: list[list[int]] = [[] for _ in range(count)]
    for a, b in skeleton:
        neighbours[a].append(b)
        neighbours[b].append(a)
    groups, parents, placed = [""] * count, [-1] * count, [False] * count
    for start in range(count):
        if placed[start] or not neighbours[start]:
            continue
        component = _distances(start, neighbours)
        root = min(component, key=lambda i: (max(_distances(i, neighbours).values()), i))
        depth = _distances(root, neighbours)
        for i, d in depth.items():
            placed[i] = True
            groups[i] = "trunk" if d <= 1 else "leaf" if len(set(neighbours[i])) == 1 else "branch"
            if d:
                parents[i] = next(n for n in neighbours[i] if depth[n] == d - 1)
    return tuple(groups), tuple(parents)


def _distances(start: int, neighbours: Sequence[Sequence[int]]) -> dict[int, int]:
    """Number of bones from `start` to every joint that can be reached."""
    found, frontier = {start: 0}, [start]
    while frontier:
        new = [n for i in frontier for n in neighbours[i] if n not in found]
        found.update({n: found[i] + 1 for i in frontier for n in neighbours[i] if n not in found})
        frontier = list(dict.fromkeys(new))
    return found
