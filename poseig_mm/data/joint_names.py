"""Metainfo that a data set lacks: joints are numbered then, what is optional is filled in, and both are said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..checks import Note
from ..errors import ConfigError, DataError
from .annotations import Content, persons_of


def complete_written(wanted: Any, cls: Any, content: Content, notes: list[str]) -> None:
    """Fill in what MMPose's parser insists on in the metainfo of a data set's config, in place.

    Args:
        wanted: the data set's config.
        cls: its class, whose METAINFO holds where the config has none.
        content: of its annotation file, whose category names the joints where there is no metainfo at all.
        notes: gets a sentence where something is filled in.

    Raises:
        ConfigError: a file of metainfo that is not there; DataError: metainfo of another shape.
    """
    written = _read(wanted.get("metainfo") or getattr(cls, "METAINFO", None))
    if not written and (names := _names(content)):
        info = {k: {"name": name, "id": k, "color": [0, 0, 0], "type": "", "swap": ""} for k, name in enumerate(names)}
        written = {"keypoint_info": info}
    if not isinstance(written, Mapping) or "keypoint_info" not in written or "keypoint_id2name" in written:
        return
    try:
        for change in (_with_numbers, lambda info: _without_unknown(info, notes)):
            if (changed := change(written)) is not None:
                wanted["metainfo"] = written = changed
        joints = len(written["keypoint_info"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"the data set's metainfo cannot be used ({type(error).__name__}: {error}); expected keypoint_info = "
            "{0: dict(name=..., swap=...), ...} and skeleton_info = {0: dict(link=(name, name)), ...}"
        ) from error
    optional = {"dataset_name": "", "skeleton_info": {}, "joint_weights": [1.0] * joints, "sigmas": []}
    if lacking := [key for key in optional if written.get(key) is None]:
        wanted["metainfo"] = {**written, **{key: optional[key] for key in lacking}}
        text = f"the data set's metainfo has no {', '.join(lacking)}: it is filled in (weights 1, else nothing)"
        notes.append(Note(text, "joints", "ok"))


def _read(written: Any) -> Any:
    """A metainfo, out of its file where it names one; files of MMPose's are found by their name, as MMPose does.

    Raises:
        ConfigError: there is no such file, or nothing in it.
    """
    if not isinstance(written, Mapping) or "from_file" not in written:
        return written
    import mmpose
    from mmengine.config import Config

    given = str(written["from_file"])
    shipped = Path(mmpose.__file__).parent / ".mim" / "configs" / "_base_" / "datasets" / Path(given).name
    path = next((p for p in (Path(given), shipped) if p.is_file()), None)
    if path is None:
        raise ConfigError(
            f"the metainfo's from_file is {given!r}, which does not exist; give its path, seen from the working "
            "directory, or a file of MMPose's configs/_base_/datasets"
        )
    try:
        return Config.fromfile(str(path)).dataset_info.to_dict()
    except Exception as error:  # of any Python in it
        raise ConfigError(
            f"the metainfo {path} cannot be read: {type(error).__name__}: {error}; expected a `dataset_info` in it"
        ) from error


def _with_numbers(written: Mapping[str, Any]) -> dict[str, Any] | None:
    """A metainfo whose joints are numbered by texts (JSON's keys are), by numbers; None where they are."""
    info = written["keypoint_info"]
    if not isinstance(info, Mapping) or not all(isinstance(key, str) and key.isdecimal() for key in info):
        return None
    return {**written, "keypoint_info": {int(key): info[key] for key in sorted(info, key=int)}}


def _without_unknown(written: Mapping[str, Any], notes: list[str]) -> dict[str, Any] | None:
    """A metainfo without bones to, and partners of, joints that it does not name; None where there are none."""
    info, bones = written["keypoint_info"], written.get("skeleton_info") or {}
    if not isinstance(info, Mapping) or not isinstance(bones, Mapping):
        return None
    known = {joint.get("name") for joint in info.values()}
    alone = [key for key, joint in info.items() if joint.get("swap") and joint["swap"] not in known]
    loose = [key for key, bone in bones.items() if not set(bone["link"]) <= known]
    if not alone and not loose:
        return None
    strange = {info[k]["swap"] for k in alone} | {name for k in loose for name in bones[k]["link"]} - known
    text = (
        f"the data set's metainfo speaks of {', '.join(map(repr, sorted(strange)))}, which it does not name: "
        f"{len(loose)} bones (skeleton_info) are left out, and {len(alone)} joints have no partner (swap)"
    )
    notes.append(Note(text, "joints"))
    return {
        **written,
        "keypoint_info": {key: {**joint, "swap": ""} if key in alone else joint for key, joint in info.items()},
        "skeleton_info": {key: bone for key, bone in bones.items() if key not in loose},
    }


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
