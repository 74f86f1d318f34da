"""Joint groups and kinematic chains, by names and by skeletons."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from poseig_mm.data.groups import joint_groups
from poseig_mm.errors import DataError
from poseig_mm.types import JointGroups

pytestmark = pytest.mark.usefixtures("mmpose_ready")


def of(name: str) -> JointGroups:
    """Of one of MMPose's own data sets."""
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    return joint_groups(parse_pose_metainfo({"from_file": f"configs/_base_/datasets/{name}.py"}))


def plain(names: list[str], bones: list[tuple[int, int]]) -> dict[str, Any]:
    """Metainfo."""
    return {"keypoint_id2name": dict(enumerate(names)), "skeleton_links": bones, "flip_pairs": []}


def members(groups: JointGroups, name: str) -> set[int]:
    """Joint numbers of a group."""
    return {k for k, g in enumerate(groups.group_of) if g == name}


def chain(groups: JointGroups, joint: str) -> list[str]:
    """Names from a joint to its root."""
    found, k = [], groups.keypoint_names.index(joint)
    while k >= 0:
        found.append(groups.keypoint_names[k])
        k = groups.parent_of[k]
    return found


def test_coco_has_the_paper_s_groups() -> None:
    """Supplement B.1: shoulders and hips, elbows and knees, the rest."""
    groups = of("coco")
    assert members(groups, "trunk") == {5, 6, 11, 12}
    assert members(groups, "branch") == {7, 8, 13, 14}
    assert members(groups, "leaf") == {0, 1, 2, 3, 4, 9, 10, 15, 16}
    assert not groups.derived


def test_mpii_keeps_pelvis_thorax_and_neck_apart() -> None:
    """They are in none of the published groups (the evaluation leaves 6 and 7 out)."""
    groups = of("mpii")
    assert members(groups, "trunk") == {2, 3, 12, 13}
    assert members(groups, "branch") == {1, 4, 11, 14}
    assert members(groups, "leaf") == {0, 5, 9, 10, 15}
    assert members(groups, "axial") == {6, 7, 8}
    assert not groups.derived


def test_limbs_hang_on_the_trunk_on_their_own_side() -> None:
    """The chains inversions are counted along."""
    assert chain(of("coco"), "left_wrist") == ["left_wrist", "left_elbow", "left_shoulder"]
    assert chain(of("coco"), "right_ankle") == ["right_ankle", "right_knee", "right_hip"]
    assert chain(of("coco"), "left_ear") == ["left_ear", "left_eye", "nose"]
    assert chain(of("mpii"), "right_ankle") == ["right_ankle", "right_knee", "right_hip", "pelvis"]
    assert chain(of("mpii"), "left_elbow")[1:4] == ["left_shoulder", "upper_neck", "thorax"]


@pytest.mark.parametrize("name", ["freihand2d", "onehand10k", "panoptic_hand2d", "coco_wholebody_hand"])
def test_hands_have_a_wrist_and_five_fingers(name: str) -> None:
    """Dossier 1.2, in FreiHAND's order."""
    groups = of(name)
    assert members(groups, "wrist") == {0}
    for first, group in enumerate(("MCP", "PIP", "DIP", "TIP"), start=1):
        assert members(groups, group) == set(range(first, 21, 4))
    assert groups.parent_of == (-1, *(p for f in range(5) for p in (0, 4 * f + 1, 4 * f + 2, 4 * f + 3)))
    assert not groups.derived


def test_hands_are_known_in_another_order() -> None:
    """InterHand has the tips first and the wrist last; two hands hang each on its own wrist."""
    one, two = of("interhand2d"), of("interhand3d")
    assert members(one, "TIP") == {0, 4, 8, 12, 16}
    assert members(one, "wrist") == {20}
    assert chain(one, "pinky_finger4")[-1] == "wrist"
    assert members(two, "wrist") == {20, 41}
    assert chain(two, "left_thumb4")[-1] == "left_wrist"


def test_whole_bodies_have_body_and_hand_groups() -> None:
    """Where a wrist is a body's, the hand's root is the hand's; the face's nose and eyes are not the body's."""
    groups = of("coco_wholebody")
    assert members(groups, "trunk") == {5, 6, 11, 12}
    assert members(groups, "branch") == {7, 8, 13, 14}
    assert members(groups, "leaf") == {0, 1, 2, 3, 4, 9, 10, 15, 16}
    assert {groups.keypoint_names[k] for k in members(groups, "wrist")} == {"left_hand_root", "right_hand_root"}
    assert len(members(groups, "TIP")) == 10
    assert members(groups, "foot") == set(range(17, 23))
    assert members(groups, "jaw") == set(range(23, 40))
    assert members(groups, "eyebrow") == set(range(40, 50))
    assert members(groups, "nose") == set(range(50, 59))
    assert members(groups, "eye") == set(range(59, 71))
    assert members(groups, "mouth") == set(range(71, 91))
    assert chain(groups, "left_heel") == ["left_heel", "left_ankle", "left_knee", "left_hip"]
    assert chain(groups, "left_thumb2")[1:4] == ["left_thumb1", "left_hand_root", "left_wrist"]


def test_a_hip_without_a_side_is_the_pelvis() -> None:
    """Halpe-26's 'hip': no joint of the trunk group, but the hips' parent."""
    groups = of("halpe26")
    assert groups.group_of[groups.keypoint_names.index("hip")] == "axial"
    assert chain(groups, "left_knee") == ["left_knee", "left_hip", "hip"]
    assert len(members(groups, "trunk")) == 4


def test_half_a_body_is_grouped_too() -> None:
    """Arms alone, as upper-body data sets have them; the unknown joint is left out."""
    names = [f"{side}_{part}" for side in ("left", "right") for part in ("wrist", "elbow", "shoulder")]
    groups = joint_groups(plain([*names, "badge"], []))
    assert groups.group_of == ("leaf", "branch", "trunk", "leaf", "branch", "trunk", "")
    assert groups.parent_of == (1, 2, -1, 4, 5, -1, -1)
    assert not groups.derived


def test_the_order_of_joints_does_not_matter() -> None:
    """COCO backwards has COCO's groups and chains backwards."""
    usual = of("coco")
    turned = joint_groups(plain(list(reversed(usual.keypoint_names)), []))
    assert turned.group_of == tuple(reversed(usual.group_of))
    for joint in usual.keypoint_names:
        assert chain(turned, joint) == chain(usual, joint)


def test_a_hand_is_known_by_its_skeleton() -> None:
    """Names that say nothing, and the wrist somewhere in the middle."""
    order = [*range(1, 11), 0, *range(11, 21)]  # number in the usual order at each place
    place = {usual: k for k, usual in enumerate(order)}
    bones = [(place[0 if i % 4 == 1 else i - 1], place[i]) for i in range(1, 21)]
    groups = joint_groups(plain([f"kpt-{k}" for k in range(21)], bones))
    assert groups.group_of[10] == "wrist"
    assert groups.group_of[:4] == ("MCP", "PIP", "DIP", "TIP")
    assert groups.parent_of[:3] == (10, 0, 1)
    assert groups.derived


@pytest.mark.parametrize("lengths", [(4, 4, 3, 3, 3, 3), (5, 3, 4, 4, 4)], ids=["six", "uneven"])
def test_21_joints_of_another_shape_are_no_hand(lengths: tuple[int, ...]) -> None:
    """Six chains at one joint, or five that are not equally long."""
    bones, end = [], 0
    for length in lengths:
        places = [0, *range(end + 1, end + 1 + length)]
        bones += list(itertools.pairwise(places))
        end += length
    assert end == 20
    assert set(joint_groups(plain([f"kpt-{k}" for k in range(21)], bones)).group_of) == {"trunk", "branch", "leaf"}


def test_other_skeletons_are_grouped_from_their_middle() -> None:
    """A seven-joint chain with a side arm at its middle, and a joint without bones."""
    bones = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (3, 7)]
    groups = joint_groups(plain([f"kpt-{k}" for k in range(9)], bones))
    assert groups.group_of == ("leaf", "branch", "trunk", "trunk", "trunk", "branch", "leaf", "trunk", "")
    assert groups.parent_of == (1, 2, 3, -1, 3, 4, 5, 3, -1)
    assert groups.derived


def test_no_names_and_no_bones_give_no_groups() -> None:
    """Nothing is made up."""
    groups = joint_groups(plain(["kpt-0", "kpt-1"], []))
    assert groups.group_of == ("", "")
    assert groups.group_names == ()
    assert groups.derived


def test_flip_partners_are_listed_once() -> None:
    """MMPose's metainfo has each pair twice, (a, b) and (b, a)."""
    assert (5, 6) in of("coco").flip_pairs
    assert len(of("coco").flip_pairs) == 8


@pytest.mark.parametrize(
    "name", ["coco", "mpii", "halpe", "h36m", "coco_wholebody", "interhand3d", "ap10k", "aflw", "wflw"]
)
def test_every_chain_ends(name: str) -> None:
    """No joint is its own ancestor, and all tuples have the data set's length."""
    groups = of(name)
    assert len(groups.group_of) == len(groups.parent_of) == len(groups.keypoint_names)
    for joint in range(len(groups.keypoint_names)):
        seen = set()
        while joint >= 0:
            assert joint not in seen
            seen.add(joint)
            joint = groups.parent_of[joint]


@pytest.mark.parametrize(
    "wrong",
    [
        {"keypoint_id2name": {0: "a", "1": "b"}},
        {"skeleton_links": [3]},
        {"skeleton_links": [(0,)]},
        {"flip_pairs": [([0], 1)]},
        {"flip_pairs": [(0, float("inf"))]},
    ],
    ids=str,
)
def test_a_metainfo_of_another_shape_is_an_error(wrong: dict[str, Any]) -> None:
    """Of the data, named."""
    with pytest.raises(DataError, match="the metainfo of 'mine' cannot be used"):
        joint_groups({**plain(["a", "b"], [(0, 1)]), "dataset_name": "mine", **wrong})


@pytest.mark.parametrize("info", [3, {0: None}, {0: {}}, {0: {"name": ["a"]}}])
def test_metainfo_of_another_shape_is_said(info: Any) -> None:
    """By its reader, before anything is made of it."""
    from poseig_mm.data.joint_names import complete_written

    wanted = {"metainfo": {"keypoint_info": info, "skeleton_info": {0: {"link": None}}}}
    with pytest.raises(DataError, match="metainfo cannot be used"):
        complete_written(wanted, None, {}, [])


def test_a_bone_beyond_the_joints_is_said() -> None:
    """In metainfo that is parsed already."""
    names = {0: "a", 1: "b"}
    with pytest.raises(DataError, match="not one of its 2"):
        joint_groups({"keypoint_id2name": names, "skeleton_links": [(0, 7)], "flip_pairs": []})
