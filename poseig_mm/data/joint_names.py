"""Metainfo that a data set lacks: joints are numbered then, what is optional is filled in, and both are said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..checks import Note
from .annotations import Content, persons_of


def complete_written(wanted: Any, cls: Any, content: Content, notes: list[str]) -> None:
    """Fill in what MMPose's parser insists on in the metainfo of a data set's config, in place.

    Args:
        wanted: the data set's config.
        cls: its class, whose METAINFO holds where the config has none.
        content: of its annotation file, whose category names the joints where there is no metainfo at all.
        notes: gets a sentence where something is filled in.
    """
    written = wanted.get("metainfo") or getattr(cls, "METAINFO", None)
    if not written and (names := _names(content)):
        info = {k: {"name": name, "id": k, "color": [0, 0, 0], "type": "", "swap": ""} for k, name in enumerate(names)}
        written = {"keypoint_info": info}
    if not isinstance(written, Mapping) or "keypoint_info" not in written or "keypoint_id2name" in written:
        return
    joints = len(written["keypoint_info"])
    optional = {"dataset_name": "", "skeleton_info": {}, "joint_weights": [1.0] * joints, "sigmas": []}
    if lacking := [key for key in optional if written.get(key) is None]:
        wanted["metainfo"] = {**written, **{key: optional[key] for key in lacking}}
        text = f"the data set's metainfo has no {', '.join(lacking)}: it is filled in (weights 1, else nothing)"
        notes.append(Note(text, "joints", "ok"))


def _names(content: Content) -> list[str]:
    """Of the joints, by a COCO file's first category that has any; numbered by its first annotation otherwise."""
    categories = content.get("categories")
    for category in categories if isinstance(categories, list) else ():
        if isinstance(category, Mapping) and isinstance(category.get("keypoints"), list) and category["keypoints"]:
            return [str(name) for name in category["keypoints"]]
    given = (a["keypoints"] for a in persons_of(content) if isinstance(a.get("keypoints"), list))
    return [f"joint_{k}" for k in range(len(next(given, ())) // 3)]


def complete_built(dataset: Any, notes: list[str]) -> None:
    """Number the joints of built data sets whose metainfo does not name them, in place."""
    for one in _with_metainfo(dataset):
        if "keypoint_id2name" not in one._metainfo and (parsed := _parsed(one._metainfo)):
            one._metainfo = {**one._metainfo, **parsed}
    numbered = [one for one in _with_metainfo(dataset) if "keypoint_id2name" not in one._metainfo]
    for one in numbered:
        one._metainfo = {**_numbered(one), **one._metainfo}
    if numbered:
        text = (
            f"{type(numbered[0]).__name__} has no metainfo (METAINFO, or metainfo=dict(from_file=...)): its joints are "
            "numbered, without sides, bones and names"
        )
        notes.append(Note(text, "joints"))


def _parsed(metainfo: Mapping[str, Any]) -> dict[str, Any]:
    """What MMPose's own data sets make of a metainfo as it is written (MMEngine's others leave it so); {}: nothing."""
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    try:
        return dict(parse_pose_metainfo(dict(metainfo)))
    except Exception:  # whatever it is, joints can be numbered
        return {}


def _numbered(dataset: Any) -> dict[str, Any]:
    """Parsed metainfo of joints without names, as many as the first wrapped or own entry has."""
    from mmengine.dataset import BaseDataset

    inner = next((d for d in _with_metainfo(dataset) if isinstance(d, BaseDataset)), None)
    first = BaseDataset.get_data_info(inner, 0).get("keypoints") if inner is not None and len(inner) else None
    written = dict(getattr(dataset, "_metainfo", {})).get("keypoint_info")
    info = written if isinstance(written, Mapping) else dict(enumerate(written or ()))
    joints = len(info) or (0 if first is None else int(np.shape(first)[-2]))
    described = [info.get(k) for k in range(joints)]
    names = [
        str(d["name"]) if isinstance(d, Mapping) and "name" in d else f"joint_{k}" for k, d in enumerate(described)
    ]
    return {
        "dataset_name": type(dataset).__name__,
        "num_keypoints": joints,
        "keypoint_id2name": dict(enumerate(names)),
        "keypoint_name2id": {name: k for k, name in enumerate(names)},
        "upper_body_ids": [],
        "lower_body_ids": [],
        "flip_pairs": [],
        "flip_indices": list(range(joints)),
        "skeleton_links": [],
        "dataset_keypoint_weights": np.ones(joints, dtype=np.float32),
        "sigmas": [],
    }


def _with_metainfo(dataset: Any) -> Iterator[Any]:
    """A data set and those inside it, as far as they hold a metainfo of their own."""
    if isinstance(getattr(dataset, "_metainfo", None), Mapping):
        yield dataset
    for one in [*(getattr(dataset, "datasets", None) or ()), getattr(dataset, "dataset", None)]:
        if one is not None:
            yield from _with_metainfo(one)
