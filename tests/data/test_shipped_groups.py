"""Every data set whose metainfo MMPose ships: which groups its joints are in, and that no joint is left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from poseig_mm.data.animals import animal_groups
from poseig_mm.data.groups import joint_groups
from poseig_mm.types import JointGroups

pytestmark = pytest.mark.usefixtures("mmpose_ready")

HUMAN = {"trunk": 4, "branch": 4}
HAND = {"wrist": 1, "MCP": 5, "PIP": 5, "DIP": 5, "TIP": 5}
HANDS = {group: 2 * n for group, n in HAND.items()}
FACE = {"jaw": 17, "eyebrow": 10, "nose": 9, "eye": 12, "mouth": 20}
WHOLE = {**HUMAN, "leaf": 9, "foot": 6, **HANDS, **FACE}
CLOTHES = {
    "short sleeved shirt": 25, "long sleeved shirt": 33, "short sleeved outwear": 31, "long sleeved outwear": 39,
    "vest": 15, "sling": 15, "shorts": 10, "trousers": 14, "skirt": 8, "short sleeved dress": 29,
    "long sleeved dress": 37, "vest dress": 19, "sling dress": 19,
}  # fmt: skip
SHIPPED: dict[str, dict[str, int]] = {
    **{name: {**HUMAN, "leaf": 9} for name in ("coco", "humanart", "macaque", "ochuman")},
    **{name: {**HUMAN, "leaf": 5, "axial": 1} for name in ("aic", "campus", "crowdpose", "exlpose", "shelf")},
    **{name: {**HUMAN, "leaf": 10, "axial": 1} for name in ("coco_aic", "humanart_aic")},
    **{name: {**HUMAN, "leaf": 5, "axial": 3} for name in ("mpii", "mhp")},
    "coco_openpose": {**HUMAN, "leaf": 9, "axial": 1},
    "posetrack18": {**HUMAN, "leaf": 8, "axial": 1},
    "halpe26": {**HUMAN, "leaf": 10, "axial": 2, "foot": 6},
    "humanart21": {**HUMAN, "leaf": 11, "foot": 2},
    "jhmdb": {**HUMAN, "leaf": 5, "axial": 2},
    "h36m": {**HUMAN, "leaf": 5, "axial": 4},
    "mpi_inf_3dhp": {**HUMAN, "leaf": 6, "axial": 3},
    "panoptic_body3d": {**HUMAN, "leaf": 9, "axial": 2},
    "mpii_trb": {**HUMAN, "leaf": 5, "axial": 1, "contour": 26},
    **dict.fromkeys(("coco_wholebody", "h3wb", "ubody2d"), WHOLE),
    "coco_wholebody_openpose": {**WHOLE, "axial": 1},
    "halpe": {**WHOLE, "leaf": 10, "axial": 2},
    "ubody3d": {**{g: n for g, n in WHOLE.items() if g not in (*FACE, "wrist")}, "axial": 2, "face": 72},
    **dict.fromkeys(
        ("coco_wholebody_hand", "freihand2d", "interhand2d", "onehand10k", "panoptic_hand2d", "rhd2d"), HAND
    ),
    "interhand3d": HANDS,
    **dict.fromkeys(("300w", "300vw", "300wlp", "coco_wholebody_face"), FACE),
    "wflw": {"jaw": 33, "eyebrow": 18, "nose": 9, "eye": 18, "mouth": 20},
    "lapa": {"jaw": 33, "eyebrow": 18, "nose": 15, "eye": 20, "mouth": 20},
    "cofw": {"eyebrow": 8, "eye": 10, "nose": 4, "mouth": 6, "jaw": 1},
    "aflw": {"eyebrow": 6, "eye": 6, "nose": 3, "mouth": 3, "jaw": 1},
    "ap10k": {"axial": 2, "trunk": 4, "branch": 4, "leaf": 7},
    "animalpose": {"axial": 3, "branch": 8, "leaf": 9},
    "ak": {"axial": 3, "trunk": 4, "branch": 4, "leaf": 12},
    "atrw": {"axial": 2, "trunk": 4, "branch": 2, "leaf": 7},
    "horse10": {"axial": 2, "trunk": 4, "branch": 6, "leaf": 10},
    "zebra": {"axial": 2, "trunk": 4, "leaf": 3},
    "fly": {"axial": 3, "trunk": 6, "branch": 12, "leaf": 11},
    "locust": {"axial": 4, "trunk": 6, "branch": 14, "leaf": 11},
    "deepfashion_upper": {"collar": 2, "sleeve": 2, "hem": 2},
    "deepfashion_lower": {"waistline": 2, "hem": 2},
    "deepfashion_full": {"collar": 2, "sleeve": 2, "waistline": 2, "hem": 2},
    "deepfashion2": CLOTHES,
}


def of(name: str) -> JointGroups:
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    return joint_groups(parse_pose_metainfo({"from_file": f"configs/_base_/datasets/{name}.py"}))


def parent(groups: JointGroups, joint: str) -> str:
    k = groups.parent_of[groups.keypoint_names.index(joint)]
    return groups.keypoint_names[k] if k >= 0 else ""


def test_the_table_is_of_all_that_mmpose_ships() -> None:
    """A data set that comes with a new MMPose belongs in it."""
    import mmpose

    folder = Path(mmpose.__file__).parent / ".mim" / "configs" / "_base_" / "datasets"
    assert {path.stem for path in folder.glob("*.py")} == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_joint_has_a_group(name: str) -> None:
    """So many in each, none in none, by rules that are laid down; partners share a group; chains end."""
    groups = of(name)
    assert Counter(groups.group_of) == SHIPPED[name]
    assert not groups.derived
    for a, b in groups.flip_pairs:
        assert groups.group_of[a] == groups.group_of[b], (groups.keypoint_names[a], groups.keypoint_names[b])
    for joint in range(len(groups.keypoint_names)):
        seen = set()
        while joint >= 0:
            assert joint not in seen
            seen.add(joint)
            joint = groups.parent_of[joint]


@pytest.mark.parametrize(
    ("name", "joint", "expected"),
    [
        ("ap10k", "Nose", "Neck"), ("ap10k", "R_B_Paw", "R_Knee"), ("ap10k", "R_Hip", "Root of tail"),
        ("ap10k", "Neck", ""),
        ("animalpose", "L_F_Elbow", "Throat"), ("ak", "Ankle_Left", "Knee_Left"), ("atrw", "left_knee", "left_hip"),
        ("horse10", "Offhindfoot", "Offhindfetlock"), ("horse10", "Nearknee", ""), ("zebra", "tailtip", "tailbase"),
        ("fly", "midlegL4", "midlegL3"), ("fly", "midlegL1", ""), ("fly", "wingR", "neck"),
        ("locust", "eyeL", "antbaseL"),
        ("mpii_trb", "medial_left_bow", "left_elbow"), ("humanart21", "left_finger", "left_wrist"),
        ("halpe26", "right_big_toe", "right_ankle"), ("posetrack18", "head_top", "head_bottom"), ("wflw", "kpt-7", ""),
    ],
)  # fmt: skip
def test_parents_are_nearer_to_the_trunk(name: str, joint: str, expected: str) -> None:
    """On the same side; none at a root, and none in a face."""
    assert parent(of(name), joint) == expected


def test_other_faces_are_not_guessed() -> None:
    """68 joints with numbers for names, but other mirror partners: nothing is made up; in a whole body they are a
    face.
    """
    names = {i: f"kpt-{i}" for i in range(68)}
    found = joint_groups({"keypoint_id2name": names, "skeleton_links": [], "flip_pairs": [(0, 67), (1, 66)]})
    assert set(found.group_of) == {""}
    assert found.derived
    limbs = [f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "wrist")]
    whole = dict(enumerate([*limbs, *(f"face-{i}" for i in range(68))]))
    found = joint_groups({"keypoint_id2name": whole, "skeleton_links": [], "flip_pairs": []})
    assert set(found.group_of[6:]) == {"face"}


def test_an_unknown_animal_is_read_off_its_skeleton() -> None:
    """One name that the rules do not hold, and it is derived as ever."""
    names = {0: "Neck", 1: "Udder"}
    assert animal_groups(list(names.values())) is None
    assert joint_groups({"keypoint_id2name": names, "skeleton_links": [(0, 1)], "flip_pairs": []}).derived
