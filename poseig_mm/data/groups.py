"""Groups and chains of joints: laid down for the data sets that MMPose ships, else from the skeleton."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import ConfigError, DataError
from ..types import JointGroups
from .animals import animal_groups, garment_groups
from .faces import face_groups
from .skeletons import five_chains, groups_by_distance, parents_by_groups

# PoseIG, supplement B.1; the end of the head counts as a leaf, as nose, eyes and ears do.  The other groups are
# published nowhere: they hold what trunk, branch and leaf leave out, and leave these as they are.
_LIMBS = {
    "shoulder": "trunk", "hip": "trunk", "elbow": "branch", "knee": "branch", "wrist": "leaf", "ankle": "leaf",
}  # fmt: skip
_OTHERS = {
    "leaf": ("nose", "eye", "ear", "head_top", "top_head", "head", "finger"),
    "axial": ("pelvis", "mid_hip", "root", "hip", "belly", "spine", "thorax", "neck", "upper_neck", "neck_base",
              "head_bottom", "bottom_head"),
    "foot": ("big_toe", "small_toe", "toe", "heel"),
}  # fmt: skip
_GROUP_OF = {part: group for group, parts in _OTHERS.items() for part in parts}
_FACE_POINT = re.compile(r"face[-_]\d+")
_CONTOUR = re.compile(r"(?:medial|lateral)_(left|right)_(shoulder|bow|wrist|hip|knee|ankle)")  # MPII-TRB; bow: elbow
_BODY_PARENTS = {
    "elbow": ("shoulder",), "wrist": ("elbow",), "knee": ("hip",), "ankle": ("knee",), "foot": ("knee",),
    "eye": ("nose",), "ear": ("eye", "nose"),
    "shoulder": ("upper_neck", "neck", "head_bottom", "bottom_head", "thorax"),
    "big_toe": ("ankle",), "small_toe": ("ankle",), "toe": ("ankle",), "heel": ("ankle",), "finger": ("wrist",),
    "hip": ("pelvis", "mid_hip", "root", "hip"),
    "thorax": ("spine", "pelvis", "root"), "spine": ("pelvis", "root"), "upper_neck": ("thorax",), "neck": ("thorax",),
    "neck_base": ("thorax",), "head_top": ("upper_neck", "neck", "head_bottom"), "top_head": ("neck", "bottom_head"),
    "head": ("neck",),
}  # fmt: skip
_ARM, _LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
_FINGER = re.compile(
    r"(thumb|forefinger|index|middle_finger|middle|ring_finger|ring|pinky_finger|pinky|little)_?([1-4])"
)
_FINGER_GROUPS = {"1": "MCP", "2": "PIP", "3": "DIP", "4": "TIP"}
_SIDES = {"left_": "left", "right_": "right", "l_": "left", "r_": "right"}

Pairs = Sequence[tuple[int, int]]
Joint = tuple[str, str]  # side ('left', 'right' or '') and part
Grouping = tuple[tuple[str, ...], tuple[int, ...]]  # group and parent of each joint


def joint_groups(metainfo: Mapping[str, Any]) -> JointGroups:
    """Groups and parents from a data set's parsed MMPose metainfo.

    By the joints' names, in any order, and side by side where a data set has several:

    * bodies with both arms or both legs (COCO-17, MPII-16, CrowdPose, AIC, Halpe, whole bodies ...): trunk, branch and
      leaf as published; axial (pelvis, spine, thorax, neck ...), foot (toes, heels), contour (MPII-TRB);
    * hands with their 20 finger joints (FreiHAND, OneHand10K, RHD, InterHand, whole bodies ...): wrist, MCP, PIP, DIP,
    TIP;
    * faces of 68, 98, 106, 29 or 19 landmarks, alone or of whole bodies: jaw, eyebrow, nose, eye, mouth, without
      parents; of any other number in a whole body: face;
    * animals, quadrupeds and insects, all of whose joints are known: axial, trunk, branch, leaf; parents by the
    skeleton;
    * garments: collar, sleeve, waistline, hem (DeepFashion), or one group a garment (DeepFashion2), without parents.

    Where the names say nothing, from the skeleton, with `derived` True: 21 joints that are five chains of four at one
    joint are a hand.  In everything else the root is the joint whose farthest joint is nearest (bones counted; the
    first of several); 'trunk' is the root and its neighbours, 'leaf' the ends of the skeleton beyond them, 'branch'
    what lies between, and a joint without a bone is in no group.  Each separate piece of a skeleton has its own root.

    Args:
        metainfo: with `keypoint_id2name`, `skeleton_links` and `flip_pairs`, as `dataset.metainfo` has them.

    >>> names = {0: "bow", 1: "keel", 2: "stern"}
    >>> boat = joint_groups({"keypoint_id2name": names, "skeleton_links": [(0, 1), (1, 2)], "flip_pairs": []})
    >>> boat.group_of, boat.parent_of, boat.derived
    (('trunk', 'trunk', 'trunk'), (1, -1, 1), True)

    Raises:
        DataError: joints are not numbered, or a bone or pair is not of two of them.
    """
    id2name = metainfo["keypoint_id2name"]
    try:
        names = tuple(str(id2name[i]) for i in sorted(id2name))
        skeleton = tuple((int(a), int(b)) for a, b in metainfo.get("skeleton_links", ()))
        pairs = _once(metainfo.get("flip_pairs", ()))
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"the metainfo of {metainfo.get('dataset_name')!r} cannot be used: {error}; expected joints numbered from "
            "0, with bones (skeleton_info) and partners (swap) by their names"
        ) from error
    if any(not 0 <= joint < len(names) for bone in (*skeleton, *pairs) for joint in bone):
        raise DataError(
            f"the metainfo of {metainfo.get('dataset_name')!r} has a bone or a pair of a joint that is not one of its "
            f"{len(names)}; expected numbers from 0 to {len(names) - 1}"
        )
    known = _by_name(names, pairs) or _by_kind(names, skeleton, pairs, str(metainfo.get("dataset_name", "")))
    groups, parents = known or five_chains(len(names), skeleton) or groups_by_distance(len(names), skeleton)
    return JointGroups(
        keypoint_names=names,
        group_of=groups,
        parent_of=parents,
        flip_pairs=pairs,
        skeleton=skeleton,
        derived=known is None,
    )


def sigmas_of(metainfo: Mapping[str, Any], count: int) -> tuple[float, ...]:
    """A data set's own sigmas of OKS, (K,); none where one of its `count` joints has none above 0.

    >>> sigmas_of({"sigmas": np.array([0.026, 0.062], dtype=np.float32)}, 2), sigmas_of({"sigmas": []}, 2)
    ((0.026, 0.062), ())
    """
    given = np.ravel(np.asarray(metainfo.get("sigmas", ())))
    sigmas = tuple(float(str(s)) for s in given)  # MMPose has rounded them to float32: the number that was written
    return sigmas if len(sigmas) == count and all(0 < s < math.inf for s in sigmas) else ()


def _once(pairs: Iterable[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    """Each pair once; MMPose's list has (a, b) and (b, a)."""
    return tuple(dict.fromkeys((min(int(a), int(b)), max(int(a), int(b))) for a, b in pairs))


def _by_kind(names: Sequence[str], skeleton: Pairs, pairs: Pairs, dataset: str) -> Grouping | None:
    """What animals', faces' and garments' joints say; None of any other."""
    if animal := animal_groups(names):
        return animal, parents_by_groups(animal, skeleton)
    nameless = all(re.fullmatch(r"(face|kpt)-\d+", name) for name in names)
    groups = (face_groups(len(names), pairs, dataset) if nameless else None) or garment_groups(names)
    return (groups, (-1,) * len(names)) if groups else None


def _by_name(names: Sequence[str], pairs: Pairs) -> Grouping | None:
    """What bodies' and hands' names say; None where there is neither a whole body part nor a whole hand."""
    joints = [_joint(name) for name in names]
    index = {joint: i for i, joint in enumerate(joints)}
    hands = {side for side in ("left", "right", "") if _has_hand(side, index)}
    body = any(all((side, part) in index for side in ("left", "right") for part in limb) for limb in (_ARM, _LEG))
    if not body and not hands:
        return None
    groups, parents = [], []
    face = _face_of([part for _, part in joints], pairs)
    for number, (side, part) in enumerate(joints):
        finger = _FINGER.fullmatch(part)
        if finger and side in hands:
            groups.append(_FINGER_GROUPS[finger[2]])
            parents.append(_finger_parent(side, finger[1], int(finger[2]), index))
        elif side in hands and (part == "hand_root" or (part == "wrist" and not body)):
            groups.append("wrist")
            parents.append(index.get((side, "wrist"), -1) if part == "hand_root" else -1)
        elif body and number in face:
            groups.append(face[number])
            parents.append(-1)
        elif body:
            groups.append(_body_group(side, part, index))
            parents.append(_body_parent(side, part, index))
        else:
            groups.append("")
            parents.append(-1)
    return tuple(groups), tuple(parents)


def _face_of(parts: Sequence[str], pairs: Pairs) -> dict[int, str]:
    """The group of each facial landmark of a whole body."""
    numbers = [k for k, part in enumerate(parts) if _FACE_POINT.fullmatch(part)]
    place = {k: i for i, k in enumerate(numbers)}
    inner = [(place[a], place[b]) for a, b in pairs if a in place and b in place]
    groups = face_groups(len(numbers), inner) or ("face",) * len(numbers)
    return dict(zip(numbers, groups, strict=True))


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
    if part in _LIMBS and side:
        return _LIMBS[part]
    if _CONTOUR.fullmatch(part) or (part == "neck" and side):
        return "contour"
    return _GROUP_OF.get(part, "")  # Halpe's 'hip' without a side is the pelvis


def _body_parent(side: str, part: str, index: Mapping[Joint, int]) -> int:
    if part in _LIMBS and not side:
        return -1
    if outline := _CONTOUR.fullmatch(part):
        return index.get((outline[1], outline[2].replace("bow", "elbow")), -1)
    if part == "neck" and side:
        return index.get(("", "neck"), -1)
    inner = [(s, p) for p in _BODY_PARENTS.get(part, ()) for s in (side, "")]
    return next((index[joint] for joint in inner if joint in index and joint != (side, part)), -1)


def groups_of(dataset_name: str, metainfo: Mapping[str, Any], given: JointGroups | None) -> JointGroups:
    """A data set's joint groups with its own sigmas: a plugin's where one gives them, else by the joints' names.

    Raises:
        ConfigError: a plugin's are of other joints.
    """
    if given is None:
        groups = joint_groups(metainfo)
        return replace(groups, sigmas=sigmas_of(metainfo, len(groups.keypoint_names)))
    names = [metainfo["keypoint_id2name"][i] for i in sorted(metainfo["keypoint_id2name"])]
    if list(given.keypoint_names) != names:
        raise ConfigError(
            f"a plugin's joint groups for {dataset_name} name {len(given.keypoint_names)} joints "
            f"{list(given.keypoint_names)[:3]} ..., the data set has {len(names)}: {names[:3]} ...; they "
            "must be the same in the same order. Correct the plugin, or switch it off with --no-plugin"
        )
    return given if given.sigmas else replace(given, sigmas=sigmas_of(metainfo, len(names)))
