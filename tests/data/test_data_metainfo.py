"""Every data set that MMPose describes has groups and chains; which ones: test_shipped_groups."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from drawn_coordinates import dataset, person, source, write

from poseig_mm.data.groups import joint_groups

KNOWN = {"coco", "mpii", "aic", "crowdpose", "ochuman", "halpe", "coco_wholebody", "h36m"}
HANDS = {"freihand2d", "onehand10k", "rhd2d", "interhand2d", "interhand3d", "panoptic_hand2d", "coco_wholebody_hand"}


def described() -> list[Path]:
    """MMPose's metainfo files; found without importing MMPose."""
    spec = find_spec("mmpose")
    places = (spec.submodule_search_locations if spec else None) or []
    return sorted(p for place in places for p in (Path(place) / ".mim/configs/_base_/datasets").glob("*.py"))


@pytest.mark.parametrize("path", described(), ids=lambda p: p.stem)
def test_every_data_set_of_mmpose_has_groups(mmpose_ready: None, path: Path) -> None:
    """One group and one parent a joint in the data set's order; parents are a forest; bones and pairs name joints.

    None is derived from a skeleton.
    """
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    info = parse_pose_metainfo({"from_file": str(path)})
    groups = joint_groups(info)
    count = len(groups.keypoint_names)
    assert list(groups.keypoint_names) == [info["keypoint_id2name"][i] for i in range(info["num_keypoints"])]
    assert len(groups.group_of) == len(groups.parent_of) == count
    for joint in range(count):
        line = [joint]
        while (above := groups.parent_of[line[-1]]) != -1:
            assert 0 <= above < count
            assert above not in line, f"{groups.keypoint_names[joint]} is its own ancestor"
            line.append(above)
    assert all(0 <= j < count for pair in (*groups.skeleton, *groups.flip_pairs) for j in pair)
    assert not groups.derived
    if path.stem in HANDS:
        assert set(groups.group_of) == {"wrist", "MCP", "PIP", "DIP", "TIP"}
    if path.stem in KNOWN:
        assert {"trunk", "branch", "leaf"} <= set(groups.group_of)


def test_mmpose_describes_many() -> None:
    """The test above looks at something."""
    assert {p.stem for p in described()} >= KNOWN | HANDS


def test_sigmas_are_those_of_the_metainfo(mmpose_ready: None, tmp_path: Path) -> None:
    """As they were written, not as float32 rounds them; none where one is not a number above 0."""
    write(tmp_path, [person(1)])
    coco = source(dataset(tmp_path)).groups
    assert dict(zip(coco.keypoint_names, coco.sigmas, strict=True))["left_wrist"] == 0.062
    for own in ([0.01 * (k + 1) for k in range(17)], [0.0] * 17, [float("nan")] * 17, []):
        info = coco_metainfo() | {"sigmas": own}
        expected = tuple(own) if own and own[0] > 0 else ()
        assert source(dataset(tmp_path, metainfo=info)).groups.sigmas == pytest.approx(expected)


def coco_metainfo() -> dict[str, Any]:
    """COCO's as written."""
    from mmengine.config import Config

    path = next(p for p in described() if p.stem == "coco")
    return dict(Config.fromfile(path).dataset_info.to_dict())
