"""Groups and kinematic chains of joints: laid down for bodies and hands, derived from the skeleton for everything else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..types import JointGroups
from .skeletons import five_chains, groups_by_distance

__all__ = ["joint_groups"]

# PoseIG, supplement B.1; the end of the head counts as a leaf, as nose, eyes and ears do.  Every other joint of a body
# (pelvis, thorax, neck, spine, toes, the contour of a face ...) is in no published group.
_LIMBS = {
    "shoulder": "trunk", "hip": "trunk", "elbow": "branch", "knee": "branch", "wrist": "leaf", "ankle": "leaf",
}  # fmt: skip
_HEAD = {"nose": "leaf", "eye": "leaf", "ear": "leaf", "head_top": "leaf", "top_head": "leaf", "head": "leaf"}
# the first of these that the data set has, on the joint's own side or on none
_BODY_PARENTS = {
    "elbow": ("shoulder",), "wrist": ("elbow",), "knee": ("hip",), "ankle": ("knee",), "foot": ("knee",),
    "eye": ("nose",), "ear": ("eye", "nose"), "shoulder": ("upper_neck", "neck", "thorax"),
    "hip": ("pelvis", "mid_hip", "root", "hip"),
    "thorax": ("spine", "pelvis", "root"), "spine": ("pelvis", "root"), "upper_neck": ("thorax",), "neck": ("thorax",),
    "head_top": ("upper_neck", "neck"), "top_head": ("neck",), "head": ("neck",),
}  # fmt: skip
_ARM, _LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
_FINGER = re.compile(
    r"(thumb|forefinger|index|middle_finger|middle|ring_finger|ring|pinky_finger|pinky|little)_?([1-4])"
)
_FINGER_GROUPS = {"1": "MCP", "2": "PIP", "3": "DIP", "4": "TIP"}
_SIDES = {"left_": "left", "right_": "right", "l_": "left", "r_": "right"}

Joint = tuple[str, str]  # side ('left', 'right' or '') and part
Found = tuple[tuple[str, ...], tuple[int, ...]]  # group and parent of each joint


def joint_groups(metainfo: Mapping[str, Any]) -> JointGroups:
    """Groups and parents from a data set's parsed MMPose metainfo.

    By the joints' names, in any order, and side by side where a data set has both: bodies with both arms or both legs
    (COCO-17, MPII-16, CrowdPose, AIC, Halpe, whole bodies ...) have trunk, branch and leaf; hands with their 20 finger
    joints (FreiHAND, OneHand10K, RHD, InterHand, whole bodies ...) have wrist, MCP, PIP, DIP and TIP.  Joints that neither
    knows, such as feet and faces, are in no group.

    Where the names say nothing, from the skeleton, with `derived` True: 21 joints that are five chains of four at one joint
    are a hand.  In everything else the root is the joint whose farthest joint is nearest (bones counted; the first of
    several); 'trunk' is the root and its neighbours, 'leaf' the ends of the skeleton beyond them, 'branch' what lies
    between, and a joint without a bone is in no group.  Each separate piece of a skeleton has its own root.

    Args:
        metainfo: with `keypoint_id2name`, `skeleton_links` and `flip_pairs`, as `dataset.metainfo` has them.

    >>> names = {0: "head", 1: "neck", 2: "tail"}
    >>> found = joint_groups({"keypoint_id2name": names, "skeleton_links": [(0, 1), (1, 2)], "flip_pairs": []})
    >>> found.group_of, found.parent_of, found.derived
    (('trunk', 'trunk', 'trunk'), (1, -1, 1), True)
    """
    id2name = metainfo["keypoint_id2name"]
    names = tuple(str(id2name[i]) for i in sorted(id2name))
    skeleton = tuple((int(a), int(b)) for a, b in metainfo.get("skeleton_links", ()))
    known = _by_name(names)
    groups, parents = known or five_chains(len(names), skeleton) or groups_by_distance(len(names), skeleton)
    return JointGroups(
        keypoint_names=names,
        group_of=groups,
        parent_of=parents,
        flip_pairs=_once(metainfo.get("flip_pairs", ())),
        skeleton=skeleton,
        derived=known is None,
    )


def _once(pairs: Iterable[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    """Each pair once; MMPose's list has (a, b) and (b, a)."""
    return tuple(dict.fromkeys((min(int(a), int(b)), max(int(a), int(b))) for a, b in pairs))


def _by_name(names: Sequence[str]) -> Found | None:
    """What bodies' and hands' names say; None where there is neither a whole body part nor a whole hand."""
    joints = [_joint(name) for name in names]
    index = {joint: i for i, joint in enumerate(joints)}
    hands = {side for side in ("left", "right", "") if _has_hand(side, index)}
    body = any(all((side, part) in index for side in ("left", "right") for part in limb) for limb in (_ARM, _LEG))
    if not body and not hands:
        return None
    groups, parents = [], []
    for side, part in joints:
        finger = _FINGER.fullmatch(part)
        if finger and side in hands:
            groups.append(_FINGER_GROUPS[finger[2]])
            parents.append(_finger_parent(side, finger[1], int(finger[2]), index))
        elif side in hands and (part == "hand_root" or (part == "wrist" and not body)):
            groups.append("wrist")
            parents.append(index.get((side, "wrist"), -1) if part == "hand_root" else -1)
        elif body:
            groups.append(_body_group(side, part, index))
            parents.append(_body_parent(side, part, index))
        else:
            groups.append("")
            parents.append(-1)
    return tuple(groups), tuple(parents)


def _joint(name: str) -> Joint:
    lower = name.lower()
    prefix = next((p for p in _SIDES if lower.startswith(p)), "")
    return _SIDES.get(prefix, ""), lower[len(prefix) :]


def _has_hand(side: str, index: Mapping[Joint, int]) -> bool:
    """A root, and five fingers of four joints each."""
    fingers = [_FINGER.fullmatch(part) for s, part in index if s == side]
    return sum(f is not None for f in fingers) == 20 and any((side, root) in index for root in ("wrist", "hand_root"))


def _finger_parent(side: str, finger: str, number: int, index: Mapping[Joint, int]) -> int:
    inner = ("hand_root", "wrist") if number == 1 else (f"{finger}{number - 1}", f"{finger}_{number - 1}")
    return next((index[side, part] for part in inner if (side, part) in index), -1)


def _body_group(side: str, part: str, index: Mapping[Joint, int]) -> str:
    if part == "foot" and (side, "ankle") not in index:  # Human3.6M's name for the ankle
        part = "ankle"
    if part in _LIMBS:
        return _LIMBS[part] if side else ""  # Halpe's 'hip' without a side is the pelvis
    return _HEAD.get(part, "")


def _body_parent(side: str, part: str, index: Mapping[Joint, int]) -> int:
    if part in _LIMBS and not side:
        return -1
    inner = [(s, p) for p in _BODY_PARENTS.get(part, ()) for s in (side, "")]
    return next((index[joint] for joint in inner if joint in index and joint != (side, part)), -1)
