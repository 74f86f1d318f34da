"""Which joints are joined by bones, and which are left-right partners: from a data set's metainfo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from poseig_mm.compat import prepare_environment
from poseig_mm.errors import ConfigError, did_you_mean
from poseig_mm.mmpose_config import dataset_config

__all__ = ["edges_of", "partners_of", "skeleton_of_config"]

Edges = list[tuple[int, int]]


def edges_of(skeleton: Any, num_joints: int) -> Edges:
    """The bones as pairs of joint numbers.

    Args:
        skeleton: name of a registered data set ('CocoDataset'); MMPose metainfo, as written (`skeleton_info`,
            `dict(from_file=...)`) or parsed (`skeleton_links`); or the pairs themselves.
        num_joints: that the model predicts.

    Raises:
        ConfigError: none was given, it is unknown, or it is of another number of joints.

    >>> edges_of([(0, 1), [1, 2]], 3)
    [(0, 1), (1, 2)]
    """
    if isinstance(skeleton, Sequence) and not isinstance(skeleton, str):
        return _checked([(int(a), int(b)) for a, b in skeleton], num_joints, "the list of pairs")
    parsed, source = _metainfo(skeleton, num_joints)
    return _checked([(int(a), int(b)) for a, b in parsed["skeleton_links"]], num_joints, source)


def partners_of(skeleton: Any, num_joints: int) -> Edges:
    """Pairs of left-right partners, from the metainfo's flip indices; none of a skeleton that is given as pairs.

    Args:
        skeleton, num_joints: as of `edges_of`.

    Raises:
        ConfigError: as of `edges_of`.

    >>> partners_of({"skeleton_links": [(0, 1), (0, 2)], "flip_indices": [0, 2, 1]}, 3)
    [(1, 2)]
    """
    if isinstance(skeleton, Sequence) and not isinstance(skeleton, str):
        return []
    parsed, source = _metainfo(skeleton, num_joints)
    pairs = [(joint, int(other)) for joint, other in enumerate(parsed.get("flip_indices") or ()) if joint < other]
    return _checked(pairs, num_joints, source)


def _metainfo(skeleton: Any, num_joints: int) -> tuple[Mapping[str, Any], str]:
    """Parsed metainfo of as many joints, and what messages call it."""
    if skeleton is None:
        raise ConfigError(
            "the refined model has no skeleton; give model.skeleton the name of a data set, e.g. 'CocoDataset', "
            "metainfo such as dict(from_file='configs/_base_/datasets/coco.py'), or a list of pairs of joints"
        )
    if isinstance(skeleton, str):
        metainfo, source = _registered(skeleton), skeleton
    elif isinstance(skeleton, Mapping):
        metainfo, source = dict(skeleton), str(skeleton.get("dataset_name") or "the metainfo")
    else:
        raise ConfigError(
            f"model.skeleton is a {type(skeleton).__name__}; expected a name, metainfo, or pairs of joints"
        )
    parsed = metainfo if "skeleton_links" in metainfo else _parsed(metainfo, source)
    count = int(parsed.get("num_keypoints") or len(parsed.get("keypoint_id2name") or ())) or num_joints
    if count != num_joints:
        raise ConfigError(
            f"the skeleton of {source} has {count} joints, the model predicts {num_joints}; give model.skeleton the "
            "data set that the model was trained for"
        )
    return parsed, source


def skeleton_of_config(cfg: Any) -> Any:
    """What `edges_of` takes, from the first of a config's data sets that says; None where none does.

    >>> skeleton_of_config({'test_dataloader': {'dataset': {'type': 'CocoDataset'}}})
    'CocoDataset'
    """
    for split in ("train", "test", "val"):
        dataset = dataset_config(cfg, split)
        while dataset:
            if dataset.get("metainfo"):
                return dataset["metainfo"]
            kind = dataset.get("type")
            inner = dataset.get("dataset") or next(iter(dataset.get("datasets") or ()), None)
            if inner is None:
                return kind if isinstance(kind, str) else getattr(kind, "METAINFO", None)
            dataset = inner
    return None


def _checked(edges: Edges, num_joints: int, source: str) -> Edges:
    wrong = [e for e in edges if not all(0 <= joint < num_joints for joint in e)]
    if wrong:
        raise ConfigError(
            f"the skeleton of {source} joins {wrong[0][0]} and {wrong[0][1]}, the model predicts {num_joints} joints "
            f"(0 to {num_joints - 1}); give model.skeleton the data set that the model was trained for"
        )
    return edges


def _registered(name: str) -> dict[str, Any]:
    prepare_environment()
    import mmpose.datasets.datasets  # noqa: F401  (fills the registry)
    from mmpose.registry import DATASETS

    kind = DATASETS.get(name)
    metainfo = getattr(kind, "METAINFO", None) or (kind._load_metainfo() if hasattr(kind, "_load_metainfo") else None)
    if not metainfo:
        reason = (
            "has no metainfo of its own" if kind else f"is not registered; {did_you_mean(name, DATASETS.module_dict)}"
        )
        raise ConfigError(f"model.skeleton is {name!r}: that data set {reason}. Give metainfo or pairs of joints")
    return dict(metainfo)


def _parsed(metainfo: dict[str, Any], source: str) -> dict[str, Any]:
    prepare_environment()
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    try:
        return dict(parse_pose_metainfo(metainfo))
    except Exception as error:
        raise ConfigError(f"the metainfo of {source} cannot be read: {type(error).__name__}: {error}") from error
