"""Joint groups and kinematic chains: laid down by name, or derived from the skeleton and said so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from poseig_mm.data.groups import joint_groups
from poseig_mm.types import JointGroups

BODIES = ("coco", "mpii", "crowdpose", "aic", "ochuman", "humanart")
HANDS = ("freihand2d", "onehand10k", "rhd2d", "interhand2d", "panoptic_hand2d", "coco_wholebody_hand")
LIMBS = (("shoulder", "trunk"), ("elbow", "branch"), ("wrist", "leaf"), ("hip", "trunk"), ("knee", "branch"), ("ankle", "leaf"))
INNER = {"elbow": "shoulder", "wrist": "elbow", "knee": "hip", "ankle": "knee"}


def folder() -> Path:
    """MMPose's own metainfo files; found without importing MMPose."""
    from importlib.util import find_spec

    spec = find_spec("mmpose")
    assert spec is not None and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / ".mim" / "configs" / "_base_" / "datasets"


def metainfo(name: str) -> dict[str, Any]:
    """As a data set of MMPose parses it."""
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    return dict(parse_pose_metainfo({"from_file": str(folder() / f"{name}.py")}))


def made(names: list[str], bones: list[tuple[int, int]], pairs: list[tuple[int, int]] | None = None) -> JointGroups:
    """Groups of a made-up data set."""
    return joint_groups({"keypoint_id2name": dict(enumerate(names)), "skeleton_links": bones, "flip_pairs": pairs or []})


def by_name(groups: JointGroups) -> dict[str, str]:
    return dict(zip(groups.keypoint_names, groups.group_of, strict=True))


def parent_names(groups: JointGroups) -> dict[str, str]:
    names = groups.keypoint_names
    return {n: names[p] if p >= 0 else "" for n, p in zip(names, groups.parent_of, strict=True)}


@pytest.mark.parametrize("name", sorted(p.stem for p in folder().glob("*.py")))
def test_every_data_set_of_mmpose_has_groups(mmpose_ready: None, name: str) -> None:
    """One group and one parent a joint, parents form a forest, bones and pairs name joints, joints keep their order."""
    info = metainfo(name)
    groups = joint_groups(info)
    count = len(groups.keypoint_names)
    assert list(groups.keypoint_names) == [info["keypoint_id2name"][i] for i in range(info["num_keypoints"])]
    assert len(groups.group_of) == len(groups.parent_of) == count
    for i in range(count):
        seen, at = {i}, groups.parent_of[i]
        while at != -1:
            assert 0 <= at < count and at not in seen, f"joint {i} is its own ancestor"
            seen.add(at)
            at = groups.parent_of[at]
    assert all(0 <= j < count for pair in (*groups.skeleton, *groups.flip_pairs) for j in pair)
    assert groups.derived or groups.group_names


@pytest.mark.parametrize("name", BODIES)
def test_bodies_have_the_published_groups(mmpose_ready: None, name: str) -> None:
    """Shoulders and hips are trunk, elbows and knees branch, wrists and ankles leaf, on both sides; nothing is derived."""
    groups = joint_groups(metainfo(name))
    found, parents = by_name(groups), parent_names(groups)
    assert not groups.derived
    for side in ("left", "right"):
        for part, group in LIMBS:
            assert found[f"{side}_{part}"] == group
        for part, inner in INNER.items():
            assert parents[f"{side}_{part}"] == f"{side}_{inner}"


def test_coco_has_five_leaves_in_the_face(mmpose_ready: None) -> None:
    """Nose, eyes and ears are leaves; every joint of COCO's is in a group."""
    groups = joint_groups(metainfo("coco"))
    found = by_name(groups)
    assert [found[n] for n in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")] == ["leaf"] * 5
    assert "" not in groups.group_of and groups.group_of.count("leaf") == 9
    assert parent_names(groups)["left_ear"] == "left_eye" and parent_names(groups)["left_eye"] == "nose"


def test_mpii_leaves_the_spine_out(mmpose_ready: None) -> None:
    """Pelvis, thorax and upper neck are in no published group; the chain runs from the pelvis to the head's top."""
    groups = joint_groups(metainfo("mpii"))
    found, parents = by_name(groups), parent_names(groups)
    assert [found[n] for n in ("pelvis", "thorax", "upper_neck", "head_top")] == ["", "", "", "leaf"]
    assert parents["head_top"] == "upper_neck" and parents["upper_neck"] == "thorax" and parents["thorax"] == "pelvis"
    assert parents["pelvis"] == "" and groups.parent_of.count(-1) == 1


@pytest.mark.parametrize("name", HANDS)
def test_hands_have_the_published_groups(mmpose_ready: None, name: str) -> None:
    """One wrist and five each of MCP, PIP, DIP and TIP, whichever end the data set counts from; each finger is a chain."""
    groups = joint_groups(metainfo(name))
    found, parents = by_name(groups), parent_names(groups)
    assert not groups.derived
    counts = {g: groups.group_of.count(g) for g in groups.group_of}
    assert counts == {"wrist": 1, "MCP": 5, "PIP": 5, "DIP": 5, "TIP": 5}
    outer = {"wrist": "", "MCP": "wrist", "PIP": "MCP", "DIP": "PIP", "TIP": "DIP"}
    for joint, group in found.items():
        inner = parents[joint]
        assert (found[inner] if inner else "") == outer[group]
        if group not in ("wrist", "MCP"):
            assert inner[:-1] == joint[:-1], "the same finger"


def test_two_hands_are_two_chains(mmpose_ready: None) -> None:
    """InterHand's 42 joints: each side hangs on its own wrist."""
    groups = joint_groups(metainfo("interhand3d"))
    parents = parent_names(groups)
    assert groups.group_of.count("wrist") == 2 and groups.parent_of.count(-1) == 2
    assert all(joint.split("_")[0] == inner.split("_")[0] for joint, inner in parents.items() if inner)


def test_names_count_not_their_order(mmpose_ready: None) -> None:
    """COCO's joints in reverse have the same groups and parents by name."""
    info = metainfo("coco")
    names = [info["keypoint_id2name"][i] for i in range(17)]
    turned = made(names[::-1], [(16 - a, 16 - b) for a, b in info["skeleton_links"]])
    straight = joint_groups(info)
    assert by_name(turned) == by_name(straight) and parent_names(turned) == parent_names(straight)


def test_a_chain_is_derived_from_its_middle() -> None:
    """Seven joints in a row: the middle and its neighbours are trunk, the ends leaf, the rest branch."""
    groups = made(list("abcdefg"), [(i, i + 1) for i in range(6)])
    assert groups.derived
    assert groups.group_of == ("leaf", "branch", "trunk", "trunk", "trunk", "branch", "leaf")
    assert groups.parent_of == (1, 2, 3, -1, 3, 4, 5)


def test_joints_without_bones_are_in_no_group() -> None:
    """No skeleton, no groups: a face's 68 points, say."""
    groups = made(["a", "b", "c"], [])
    assert groups.derived and groups.group_of == ("", "", "") and groups.parent_of == (-1, -1, -1)
    assert groups.group_names == ()


def test_a_ring_of_bones_still_gives_a_tree() -> None:
    """A cycle in the skeleton ends in no cycle of parents; doubled and self-joined bones change nothing."""
    ring = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)]
    groups = made(list("abcdef"), ring)
    again = made(list("abcdef"), [*ring, (1, 0), (2, 2)])
    assert groups.parent_of.count(-1) == 1
    assert groups.parent_of == again.parent_of and groups.group_of == again.group_of


def test_pairs_are_kept() -> None:
    """Left and right partners come along, each pair once."""
    assert made(["left_a", "right_a", "b"], [], [(0, 1), (1, 0)]).flip_pairs == ((0, 1),)
