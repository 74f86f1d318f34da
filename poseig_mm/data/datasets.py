"""What is known of data sets by their MMPose name."""

from __future__ import annotations

from dataclasses import dataclass

from ..types import JointGroups

__all__ = ["BUILTIN_DATASETS", "DatasetInfo"]


@dataclass(frozen=True)
class DatasetInfo:
    """A data set that a plugin knows."""

    name: str  # MMPose's `dataset_name`
    groups: JointGroups | None = None  # None: by the joints' names, see `groups.joint_groups`
    config: str | None = None  # an MMPose config that reads it, as `_base_` takes it


BUILTIN_DATASETS = {
    name: DatasetInfo(name, config=config)
    for name, config in {
        "coco": "mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py",
        "mpii": "mmpose::body_2d_keypoint/topdown_heatmap/mpii/td-hm_res50_8xb64-210e_mpii-256x256.py",
        "freihand": "mmpose::hand_2d_keypoint/topdown_heatmap/freihand2d/td-hm_res50_8xb64-100e_freihand2d-224x224.py",
        "onehand10k": "mmpose::hand_2d_keypoint/topdown_heatmap/onehand10k/td-hm_res50_8xb32-210e_onehand10k-256x256.py",
        "interhand2d": None,  # MMPose has its joints, and no config over it
        "rhd2d": "mmpose::hand_2d_keypoint/topdown_heatmap/rhd2d/td-hm_res50_8xb64-210e_rhd2d-256x256.py",
    }.items()
}
